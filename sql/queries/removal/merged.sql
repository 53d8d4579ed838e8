-- One row per row that stays in place of others: the different captions, licences and URLs of all, its own first.
select
    kept.sample_id, kept.dataset, kept.url, kept.caption, kept.license,
    list_concat(
        if(kept.caption is null, [], [kept.caption]),
        coalesce(list_sort(list(distinct samples.caption) filter (samples.caption <> coalesce(kept.caption, ''))), [])
    ) as captions,
    list_concat(
        if(kept.license is null, [], [kept.license]),
        coalesce(list_sort(list(distinct samples.license) filter (samples.license <> coalesce(kept.license, ''))), [])
    ) as licenses,
    list_concat(
        if(kept.url is null, [], [kept.url]),
        coalesce(list_sort(list(distinct samples.url) filter (samples.url <> coalesce(kept.url, ''))), [])
    ) as urls,
    count(*) as rows_merged
from leaving
join catalog.samples as samples using (sample_id)
join catalog.samples as kept on kept.sample_id = leaving.kept_sample_id
group by kept.sample_id, kept.dataset, kept.url, kept.caption, kept.license
order by kept.sample_id

-- One row per host that serves a picture which some generation resembles: what would its owner want to know?
-- Every training row that shows the picture counts, not only the one that fits best: whoever serves a copy of it is
-- listed, and whether others serve the same picture is said. A host is where the picture lay, not who made it.
-- unique: host
-- not_null: host, verdict, copies, similar_only, generations, generation_ids, pictures, copied_pictures
-- not_null: only_here, rows, recalled_rows, training_rows, licenses
-- assert: verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar')
-- assert: generations = copies + similar_only and generations = len(generation_ids)
-- assert: (copies > 0) = (copied_pictures > 0)
-- assert: rows >= pictures and only_here <= pictures and copied_pictures <= pictures
-- assert: rows >= recalled_rows and rows <= training_rows
-- column host: 'unknown' for rows whose URL names none
-- column verdict: the strongest of any generation
-- column copies: generations that hold a picture of this host, confirmed (exact, copy, partial_copy or altered_copy)
-- column similar_only: generations that are close to one, with no copy confirmed
-- column generations: both together
-- column generation_ids: these, the strongest verdict first
-- column least_q_value: of the best supported of them: the false discovery rate if everything this strong is reported; NULL where encoders.copy is none
-- column pictures: different pictures of this host that are a likely source of some generation
-- column copied_pictures: of these, confirmed in some generation
-- column only_here: of the pictures, those that no other host serves in the training set
-- column rows: training rows of this host that show the pictures
-- column recalled_rows: of these, withdrawn by an opt-out list
-- column training_rows: all training rows of this host, whether anything resembles them or not
-- column licenses: the licences that the rows state, 'unknown' among them where a row states none

with served as (
    select
        *,
        min(host) over (partition by cluster_id) = max(host) over (partition by cluster_id) as only_here
    from provenance.appearances
),

copied as (
    select distinct cluster_id from provenance.sources where confirms_copy(verdict)
),

pictures as (
    select
        served.host,
        count(distinct served.cluster_id) as pictures,
        count(distinct copied.cluster_id) as copied_pictures,
        count(distinct served.cluster_id) filter (where served.only_here) as only_here,
        sum(served.rows)::bigint as rows,
        sum(served.recalled_rows)::bigint as recalled_rows,
        list(distinct served.license order by served.license) as licenses
    from served
    left join copied using (cluster_id)
    group by served.host
),

found as (
    select
        served.host,
        sources.generation_id,
        min(verdict_rank(sources.verdict)) as strength,
        min(sources.q_value) as q_value
    from provenance.sources
    join served using (cluster_id)
    group by all
),

resembling as (
    select
        host,
        min(strength) as strength,
        count(*) filter (where strength < 5) as copies,
        count(*) filter (where strength = 5) as similar_only,
        count(*) as generations,
        list(generation_id order by strength, generation_id) as generation_ids,
        min(q_value) as least_q_value
    from found
    group by host
),

training as (
    select coalesce(url_host, 'unknown') as host, count(*) as training_rows
    from catalog.samples
    group by all
)

select
    host,
    ['exact', 'copy', 'partial_copy', 'altered_copy', 'similar'][resembling.strength] as verdict,
    resembling.copies,
    resembling.similar_only,
    resembling.generations,
    resembling.generation_ids,
    resembling.least_q_value,
    pictures.pictures,
    pictures.copied_pictures,
    pictures.only_here,
    pictures.rows,
    pictures.recalled_rows,
    training.training_rows,
    pictures.licenses
from resembling
join pictures using (host)
join training using (host)
order by resembling.copies desc, resembling.generations desc, host

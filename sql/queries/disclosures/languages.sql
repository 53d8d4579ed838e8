-- One row per language of captions, as the metadata states it, most rows first; NULL: a caption and no language stated.
select language, count(*) as rows
from catalog.samples
where caption is not null
group by language
order by rows desc, language

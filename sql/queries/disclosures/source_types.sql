-- One row per digital source type that files state, as written, most rows first.
select digital_source_type, count(*) as rows
from catalog.rights
where digital_source_type is not null
group by digital_source_type
order by rows desc, digital_source_type

-- One row: training rows whose file says anything of its creator or its use, and those that reserve it in any way.
select
    count(*) as rows,
    count(*) filter (where creator is not null) as with_creator,
    count(*) filter (where coalesce(notice, terms, license_url, web_statement) is not null) as with_terms,
    count(*) filter (where reserved) as reserved
from catalog.rights

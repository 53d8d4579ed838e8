-- One row: how many generations were searched by meaning.
select count(distinct generation_id) as generations from provenance.related

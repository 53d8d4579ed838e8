-- One row per concept, with its name.
select concept_id, name from provenance.concepts order by concept_id

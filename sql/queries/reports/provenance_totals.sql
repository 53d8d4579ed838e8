-- One row: how many licences and rightsholders there are in all, and what copies pictures that are reserved.
select (select count(*) from provenance.licenses) as all_licences,
    (select count(*) from provenance.rightsholders) as all_rightsholders,
    (select count(distinct generation_id) from provenance.reserved) as reserved_generations,
    (select count(distinct cluster_id) from provenance.reserved) as reserved_pictures

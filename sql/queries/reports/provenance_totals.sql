-- One row: how many licences and rightsholders there are in all.
select (select count(*) from provenance.licenses) as all_licences,
    (select count(*) from provenance.rightsholders) as all_rightsholders

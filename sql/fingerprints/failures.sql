-- One row per reason for which pictures could not be used, with an example.
-- unique: dataset, failure
-- not_null: dataset, failure, rows

select dataset, failure, count(*) as rows, min(sample_id) as example_id, min_by(member, sample_id) as example_member
from fingerprints.images
where status = 'failed'
group by all
order by rows desc, dataset, failure

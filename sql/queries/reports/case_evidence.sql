-- One row, or none: what was measured between the generation $generation and the training row $sample.
select * exclude (generation_id)
from matches.evidence
where generation_id = $generation and sample_id = $sample

-- One row: the version, the Lance version of its semantic embeddings, and the encoders of its vectors.
select version, lance_versions['semantic_embeddings'] as embeddings, encoders
from warehouse.versions
order by version desc
limit 1

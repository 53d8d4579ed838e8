-- One row per dataset and fingerprint: the training rows that can be searched by it, or whose picture is too flat to.
select dataset, fingerprint, ok + low_quality
from fingerprints.coverage

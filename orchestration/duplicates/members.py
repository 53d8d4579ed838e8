"""Members of clusters, as facts.

What belongs here: which clusters there are, and telling two states of them apart. What does not: cutting components
into clusters (`transforms/duplicates/members.py`).
"""

import hashlib

import numpy as np

from orchestration.facts import Facts


def clusters_digest(facts: Facts) -> str:
    """Hash the clusters by what they hold: after an opt-out that moves nobody, nothing is searched again."""
    clusters = hashlib.sha256()
    for batch in facts["cluster_members"].scan(["sample_id", "representative_id"]):
        clusters.update(np.stack([column.to_numpy() for column in batch.columns], axis=1).tobytes())
    return clusters.hexdigest()

"""The training pictures that could be decoded, read as arrays.

What belongs here: reading the facts. What does not: the arrays (`transforms/fingerprints/picture_set.py`).
"""

from orchestration.facts import Facts
from transforms.fingerprints.picture_set import COLUMNS, Pictures


def usable_pictures(facts: Facts) -> Pictures:
    """Read the training pictures that could be decoded."""
    recalled = facts["recalled_rows"].read(["sample_id"])["sample_id"].to_numpy()
    table = facts["image_fingerprints"]
    return Pictures(table.scan(COLUMNS, "status <> 'failed'"), table.dataset().count_rows(), recalled)

"""The training pictures that could be decoded, read as arrays.

What belongs here: reading the facts. What does not: the arrays (`transforms/fingerprints/picture_set.py`).
"""

from orchestration.facts import Facts
from transforms.fingerprints.picture_set import COLUMNS, Pictures


def usable_pictures(facts: Facts, memory: int) -> Pictures:
    """Read the training pictures that could be decoded.

    Args:
        facts: The fact tables; files without a name are made in their folder.
        memory: Bytes that the arrays may take; what exceeds it lies in these files.

    Raises:
        OSError: If the disk has too little room.
    """
    recalled = facts["recalled_rows"].read(["sample_id"])["sample_id"].to_numpy()
    table = facts["image_fingerprints"]
    rows = table.scan(COLUMNS, "status <> 'failed'")
    return Pictures(rows, table.dataset().count_rows(), facts.folder, memory, recalled)

"""The training pictures that could be decoded, read as arrays.

What belongs here: reading the facts, and keeping what was read for the next step of a run. What does not: the arrays
(`transforms/fingerprints/picture_set.py`).
"""

import hashlib
from collections.abc import Hashable

import numpy as np

from orchestration.facts import Facts
from transforms.fingerprints.picture_set import COLUMNS, Pictures

_KEPT: dict[Hashable, Pictures] = {}
"""The pictures that were read last in this process, by all that they were read from."""


def usable_pictures(facts: Facts, memory: int) -> Pictures:
    """Read the training pictures that could be decoded. Nobody may change them.

    The steps of a run that join, pair and cluster them read the same ones one after the other. So they are kept until
    others are read or `forget` is called.

    Args:
        facts: The fact tables; files without a name are made in their folder.
        memory: Bytes that the arrays may take; what exceeds it lies in these files.

    Raises:
        OSError: If the disk has too little room.
    """
    recalled = facts["recalled_rows"].read(["sample_id"])["sample_id"].to_numpy()
    table = facts["image_fingerprints"]
    dataset = table.dataset()
    files = sorted(str(fragment.metadata) for fragment in dataset.get_fragments())  # Lance never changes a file
    withdrawn = hashlib.sha256(np.sort(recalled).tobytes()).hexdigest()
    read_from = facts.folder.resolve(), memory, dataset.version, tuple(files), withdrawn
    pictures = _KEPT.get(read_from)
    if pictures is None:
        forget()
        rows = table.scan(COLUMNS, "status <> 'failed'")
        pictures = _KEPT[read_from] = Pictures(rows, dataset.count_rows(), facts.folder, memory, recalled)
    return pictures  # which another thread may have forgotten by now


def forget() -> None:
    """Free the memory of the pictures that were read last, unless a step still works on them."""
    _KEPT.clear()

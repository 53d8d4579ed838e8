"""The embeddings of pictures: each different picture once, and as a column of a fact table.

What belongs here: from pictures to vectors and their column. What does not: encoders (`encoders/`), hashes
(`fingerprints/fingerprint.py`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.encoders import Encoder, Prepared, Vectors
from transforms.pictures import Pixels


def embed(encoder: Encoder, pictures: Sequence[Pixels]) -> Vectors:
    """Embed pictures.

    Args:
        encoder: The encoder.
        pictures: Any number of pictures of any size.

    Returns:
        float32 of shape (n, dimension), norm 1.
    """
    return encoder.embed([encoder.prepare(picture) for picture in pictures])


def embed_distinct(encoder: Encoder, keys: Sequence[str], prepared: Sequence[Prepared]) -> Vectors:
    """Embed prepared pictures, those of the same key once.

    Args:
        encoder: The encoder.
        keys: Keys that identify pictures.
        prepared: The pictures.

    Returns:
        float32 of shape (n, dimension), in the given order.
    """
    first: dict[str, int] = {}
    distinct: list[Prepared] = []
    for key, picture in zip(keys, prepared, strict=True):
        if key not in first:
            first[key] = len(distinct)
            distinct.append(picture)
    return encoder.embed(distinct)[[first[key] for key in keys]]


def vector_column(vectors: Vectors | Sequence[npt.NDArray[np.float32]]) -> pa.FixedSizeListArray:
    """Return vectors, at least one or of shape (0, dimension), as an Arrow column."""
    rows = np.asarray(vectors, np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float32()), rows.shape[1])

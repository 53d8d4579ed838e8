"""Digests as Arrow columns and NumPy rows."""

import numpy as np
import pyarrow as pa
import pytest

from transforms.hashing import digest_arrays
from transforms.hashing.hashes import from_hex


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_hexadecimal_columns_are_read_as_their_texts_are(kind: pa.DataType) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (300, 32), np.uint8)
    texts = [row.tobytes().hex() for row in rows]
    texts[7] = texts[7].upper()
    column = pa.array(texts, kind)
    assert (digest_arrays.of_hex(column) == rows).all()
    assert (digest_arrays.of_hex(column.slice(5, 100)) == from_hex(texts[5:105])).all()
    assert digest_arrays.of_hex(column.slice(0, 0)).shape == (0, 32)
    assert digest_arrays.of_hex(pa.array([], kind)).shape == (0, 32)


@pytest.mark.parametrize(
    "texts", [["ab"], ["00" * 32, "00" * 31], ["00" * 33, "00" * 31], ["00" * 32, None], ["0g" * 32]]
)
def test_what_is_no_digest_is_refused(texts: list[str | None]) -> None:
    with pytest.raises(ValueError, match="digests of 64 hexadecimal digits expected"):
        digest_arrays.of_hex(pa.array(texts, pa.string()))

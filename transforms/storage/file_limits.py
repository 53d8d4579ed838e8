"""The limits of files that come from anywhere, as numbers.

What belongs here: the numbers, for settings that must do without Arrow. What does not: holding a file to them
(`catalog/byte_limits.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ByteLimits:
    """Limits of files of metadata, tables and lists. Settings of the same name in `[limits]`, with `_bytes`.

    Attributes:
        text: Most bytes of one text: a caption, a URL, a value of any column that is used.
        record: Most characters of one record of JSON or CSV, and most bytes of a parquet's footer.
        batch: Most bytes of what is decompressed or held at once: a page of a parquet, some rows.
        file: Most bytes of a file of text, decompressed, and of the texts of a parquet.
    """

    text: int = 1 << 20
    record: int = 16 << 20
    batch: int = 512 << 20
    file: int = 16 << 30

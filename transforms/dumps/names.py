"""Names of files in dumps: their endings, their stems, and the keys of samples.

What belongs here: what can be told by names alone. What does not: first bytes (`dumps/first_bytes.py`), files that
systems leave behind (`storage/system_files.py`).
"""

import re
from collections.abc import Collection

from transforms.pictures import PICTURE_ENDINGS

PICTURE_NAMES = PICTURE_ENDINGS | {".jfif", ".jpe", ".jif", ".pjpeg", ".apng", ".dib"}
"""Endings of files that are pictures or broken ones. Files with other names are pictures by their first bytes."""
RECORDS, TEXTS = frozenset({".json"}), frozenset({".txt", ".text", ".caption"})
"""Endings of sidecars: of a record, of a caption."""
TABLES = frozenset({"metadata.jsonl", "metadata.csv", "metadata.parquet"})
"""Tables of a folder in Hugging Face's `imagefolder` form."""
CAPTION_WORDS = frozenset({"caption", "captions", "prompt", "text", "alt", "alt_text", "description", "title"})
"""Words before the ending of a caption's file: `7.caption.txt`."""
_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_MASKS = frozenset(
    {"seg", "mask", "masks", "depth", "edge", "edges", "canny", "pose", "normal", "normals"}
    | {"segmentation", "semantic", "instance", "panoptic", "alpha", "matte", "label", "labels", "conditioning"}
)
_THUMBNAILS = frozenset({"thumb", "thumbs", "thumbnail"})
_FIRST = ("image", "img", "input", "picture", "photo", "original", "source", "rgb")


def ending(name: str) -> str:
    """Return the last ending in lower case with its dot, or nothing."""
    stem, dot, last = name.rpartition("/")[2].rpartition(".")
    return f".{last.lower()}" if dot and stem.strip(".") else ""


def stem(name: str) -> str:
    """Return the path without the last ending and without a `./` before it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name[: len(name) - len(ending(name))]


def shorter_stems(of: str) -> list[str]:
    """Return the stems that a stem goes on from after a dot, longest first: `d/a.b` and `d/a` of `d/a.b.c`."""
    folder, slash, last = of.rpartition("/")
    parts = last.split(".")
    return [folder + slash + ".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1) if parts[0]]


def webdataset_key(of: str) -> str:
    """Return webdataset's key of a stem: what comes before the first dot of its last part.

    That is the stem itself where the rest is not words, as in `Mr. Fox v1.2`, or names a mask.
    """
    shortest = shorter_stems(of)
    rest = of[len(shortest[-1]) + 1 :] if shortest else ""
    return shortest[-1] if rest and _WORDS.fullmatch(rest) and not is_mask(of) else of


def goes_on_in_words(longer: str, shorter: str, *, numbers: bool = False) -> bool:
    """Return whether a stem is another one and words: `7.input` of `7`, but not `Mr. Fox` of `Mr`, `12.5` of `12`.

    Args:
        longer: The stem that goes on.
        shorter: One of its shorter stems.
        numbers: Whether a number of one or two digits will do: `7.0` and `7.1` are pictures of the sample `7`.
    """
    rest = longer[len(shorter) + 1 :]
    return _WORDS.fullmatch(rest) is not None or (numbers and rest.isdecimal() and len(rest) < 3)


def is_mask(of: str) -> bool:
    """Return whether the last part of a stem says that the picture describes another one: `7.seg`."""
    return bool(shorter_stems(of)) and of.rpartition(".")[2].lower() in _MASKS


def is_thumbnail(of: str, stems: Collection[str]) -> bool:
    """Return whether a stem says that its picture is a small copy of another one: `7.thumb` of `7`.

    Args:
        of: The stem.
        stems: Of the pictures beside it.
    """
    shorter = shorter_stems(of)
    return bool(shorter) and of.rpartition(".")[2].lower() in _THUMBNAILS and shorter[0] in stems


def place_in_sample(of: str) -> int:
    """Return a number by which the pictures of a sample are ordered: the smallest is the one that its row is about."""
    if not shorter_stems(of):
        return 0
    word = of.rpartition(".")[2].lower()
    return 3 if word in _MASKS else 1 if word in _FIRST else 2

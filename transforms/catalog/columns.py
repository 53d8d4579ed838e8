"""Dialects of training metadata: the names and types that a column may have.

What belongs here: names and types of columns. What does not: reading files (`catalog/metadata.py`), converting all
dialects into one row shape (`sql/catalog/samples.sql`).
"""

from collections.abc import Iterable

import pyarrow as pa

# One training row may be called by any of these names, in any case (LAION-400M, LAION-2B, LAION-COCO, Re-LAION,
# img2dataset, DataComp, Recap-DataComp, COYO-700M). sql/catalog/samples.sql takes the first that states a value; a test
# keeps the two in step.
TEXT_COLUMNS = {
    "url": ("url", "image_url", "img_url"),
    "caption": ("caption", "text", "alt_text", "top_caption", "org_caption", "re_caption", "captions"),
    "key": ("key",),
    "uid": ("uid", "sample_id", "id"),
    "license": ("license",),
    "nsfw": ("nsfw",),
    "language": ("language",),
}
NUMBER_COLUMNS = {
    "width": ("original_width", "width"),
    "height": ("original_height", "height"),
    "similarity": ("similarity", "clip_l14_similarity_score", "clip_similarity_vitl14"),
    "punsafe": ("punsafe", "nsfw_score_gantman"),
    "pwatermark": ("pwatermark", "watermark_score"),
}
ALIASES = TEXT_COLUMNS | NUMBER_COLUMNS
KNOWN = frozenset(alias for aliases in ALIASES.values() for alias in aliases)
DECIDING = frozenset(alias for meaning in ("url", "caption", "uid", "key") for alias in TEXT_COLUMNS[meaning])
# What a downloader noted of a picture's use: EXIF as JSON, headers of the answer. Only `catalog.rights` reads them, so
# that a column that is no text is left alone.
RIGHTS_COLUMNS = {
    "exif": ("exif",),
    "x_robots_tag": ("x_robots_tag", "x-robots-tag"),
    "content_usage": ("content_usage", "content-usage"),
    "tdm_reservation": ("tdm_reservation", "tdm-reservation"),
}
EXIF_TAGS = ("Image Artist", "Image Copyright")
"""What is read of a column `exif`: the tags as img2dataset names them."""
ON_RIGHTS = frozenset(alias for aliases in RIGHTS_COLUMNS.values() for alias in aliases)
# Hashes of a picture's bytes as they were downloaded (img2dataset, DataComp).
HASH_COLUMNS = ("sha256", "md5")
# Bytes of a picture: a struct of bytes and path, as Hugging Face writes it, or a column called by its encoding, as
# img2dataset does.
PICTURE_COLUMNS = ("image", "jpg", "jpeg", "png", "webp", "gif", "avif", "img", "picture", "image_bytes", "bytes")
PICTURES_WANTED = f"a struct of bytes and path, or bytes called {', '.join(PICTURE_COLUMNS)}"

# Spellings of "nothing is stated", compared in any case; sql/functions/stated.sql has the same ones. `NA` counts in
# upper case alone, because `na` is a language.
_NOT_A_NUMBER = ("nan", "-nan", "nat", "1.#qnan", "-1.#ind")
_NOTHING = ("?", "-", "none", "<none>", "null", "<null>", "(null)", "[null]", "nil", "undefined", "unknown", "\\n")
_NOT_AVAILABLE = ("<na>", "n/a", "<n/a>", "#n/a", "#na", "n.a.")
MISSING = frozenset({*_NOT_A_NUMBER, *_NOTHING, *_NOT_AVAILABLE})
# A caption may be such a word, so of captions only what programs write for a missing value counts, in this case.
MISSING_CAPTIONS = frozenset(("nan", "NaN", "None", "<NA>", "null", "\\N"))
BLANKS = " \t\n\v\f\r\x85\xa0\u200b\u2028\u2029\u3000\ufeff"


def stated(text: str | None) -> str | None:
    """Return what a column states, without white space at both ends, or None if it only says that it is missing."""
    said = (text or "").strip(BLANKS)
    return None if not said or said == "NA" or said.lower() in MISSING else said


def stated_caption(text: str | None) -> str | None:
    """Return a caption or prompt as written, or None if it is blank or what a program writes for a missing value."""
    said = (text or "").strip(BLANKS)
    return None if not said or said in MISSING_CAPTIONS else text


class LandingError(ValueError):
    """A landing file cannot be used; the message names the file and the fix."""


def column_of(names: Iterable[str], meaning: str) -> str | None:
    """Return the column of a file that has a meaning, or None.

    Args:
        names: The columns of the file.
        meaning: A key of TEXT_COLUMNS or NUMBER_COLUMNS.
    """
    return _first(names, ALIASES[meaning])


def _first(names: Iterable[str], aliases: Iterable[str]) -> str | None:
    lower = {name.lower(): name for name in names}
    return next((lower[alias] for alias in aliases if alias in lower), None)


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds bytes."""
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def form_of(kind: pa.DataType) -> str | None:
    """Return how a column of this type is read in place: `text`, `whole` or `float`; None if it has to be converted."""
    if pa.types.is_dictionary(kind):
        return form_of(kind.value_type)
    if is_text(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_integer(kind):
        return "whole"
    return "float" if pa.types.is_float32(kind) or pa.types.is_float64(kind) else None


_ON_RIGHTS_FORMS = ("text", "whole")


def forms_of(schema: pa.Schema) -> tuple[str, ...]:
    """Return how each column that has a meaning is read: `whole WIDTH`."""
    known = ((each.name, each.name.lower(), form_of(each.type)) for each in schema)
    return tuple(
        f"{form} {name}"
        for name, alias, form in known
        if form and (alias in KNOWN or (alias in ON_RIGHTS and form in _ON_RIGHTS_FORMS))
    )


def fits(kind: pa.DataType, alias: str) -> bool:
    """Return whether a column may have a type.

    Args:
        kind: The type.
        alias: The column's name, in lower case.
    """
    if is_text(kind) or pa.types.is_null(kind) or pa.types.is_integer(kind):
        return True
    if alias in TEXT_COLUMNS["uid"] and pa.types.is_floating(kind):
        return True  # some parts of LAION-400M number their rows in doubles
    if any(alias in names for names in NUMBER_COLUMNS.values()):
        return pa.types.is_floating(kind)
    return is_bytes(kind) or pa.types.is_dictionary(kind)

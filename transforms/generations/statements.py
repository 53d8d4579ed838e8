"""What a table, a sidecar or a text within a picture states of a generation, in one shape.

What belongs here: the names under which programs and people write a prompt, a seed and so on; several statements of one
picture. What does not: finding the statements (`generations/tables.py`, `generations/embedded.py`), the languages of
single programs (`generations/dialects.py`).
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from transforms.catalog.columns import stated, stated_caption
from transforms.storage import stores

# Any of these names, in any case, `_` for spaces and hyphens. DiffusionDB writes p, se, st and sa; Fooocus, InvokeAI,
# NovelAI (uc), SwarmUI, Draw Things and Civitai the others.
NAMES = {
    "prompt": ("prompt", "positive_prompt", "positiveprompt", "p", "caption", "text"),
    "negative_prompt": ("negative_prompt", "negativeprompt", "neg_prompt", "negative", "uc", "np"),
    "seed": ("seed", "noise_seed", "se"),
    "model": (
        "model",
        "model_name",
        "base_model",
        "base_model_name",
        "sd_model_name",
        "checkpoint",
        "ckpt_name",
        "ckpt",
    ),
    "sampler": ("sampler", "sampler_name", "samplername", "scheduler", "sa"),
    "steps": ("steps", "num_inference_steps", "step", "st"),
}
FILE_NAMES: tuple[str, ...] = (
    "file_name",
    "filename",
    "file_names",
    "image_name",
    "image_path",
    "file_path",
    "filepath",
    "path",
    "file",
)
FILE_NAMES += ("image", "img", "name", "key")
COLUMNS = frozenset({*FILE_NAMES, *(name for names in NAMES.values() for name in names)})
"""Every column of a table that is read."""

_SEEDS = 10**20  # more than any 64-bit number: what DECIMAL(20, 0) holds
_STEPS = 1 << 31
_DIGITS = re.compile(r"[+-]?\d{1,20}(\.0*)?")
_EXACT = 1 << 53  # above it, a double has lost digits


@dataclass(frozen=True)
class PictureStatement:
    """What one table, sidecar or text of a file states; None for what it does not.

    Attributes:
        said_by: The table, `.txt` or `.json` for a sidecar, or the text within the file, such as `PNG parameters`.
        prompt: What the picture should show.
        negative_prompt: What it should not.
        seed: Of the random numbers.
        model: By whatever name.
        sampler: Likewise.
        steps: Of the sampler.
    """

    said_by: str
    prompt: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    model: str | None = None
    sampler: str | None = None
    steps: int | None = None

    @property
    def fields(self) -> dict[str, str | int]:
        """What is stated."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


def lower_names(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with names in lower case and `_` for spaces and hyphens; the first of equal names counts."""
    lower: dict[str, Any] = {}
    for name, value in record.items():
        lower.setdefault(re.sub(r"[ \-]+", "_", str(name).strip().lower()), value)
    return lower


def of_record(said_by: str, record: Mapping[str, Any]) -> PictureStatement:
    """Read a record by the names that are in use.

    Args:
        said_by: See PictureStatement.
        record: Values by name.
    """
    fields = lower_names(record)

    def first[T](meaning: str, kind: Callable[[object], T | None]) -> T | None:
        return next((value for name in NAMES[meaning] if (value := kind(fields.get(name))) is not None), None)

    return PictureStatement(
        said_by,
        first("prompt", sentence),
        first("negative_prompt", sentence),
        first("seed", seed),
        first("model", word),
        first("sampler", word),
        first("steps", steps),
    )


def sentence(value: object) -> str | None:
    """Return a prompt as it is written, or None if it is no text or only says that it is unknown."""
    return stated_caption(_text(value))


def word(value: object) -> str | None:
    """Return a name, or None if it is no text or one of the words that mean unknown."""
    if isinstance(value, Mapping):  # InvokeAI describes a model
        names = (value.get(key) for key in ("model_name", "name", "key"))
        return next((said for each in names if (said := stated(_text(each))) is not None), None)
    return stated(_text(value))


def _text(value: object) -> str | None:
    if isinstance(value, list | tuple) and len(value) == 1:
        [value] = value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return stores.plain(value.replace("\0", "")) if isinstance(value, str) else None


def seed(value: object) -> int | None:
    """Return a whole number of up to 20 digits, or None. A double that has lost digits is none."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return _below(int(value.strip().partition(".")[0]), _SEEDS)
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() and abs(value) <= _EXACT else None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return _below(int(value), _SEEDS)
    return _below(value, _SEEDS) if isinstance(value, int) and not isinstance(value, bool) else None


def steps(value: object) -> int | None:
    """Return a count of steps, or None."""
    found = seed(value)
    return found if found is not None and 0 <= found < _STEPS else None


def _below(number: int, most: int) -> int | None:
    return number if abs(number) < most else None


@dataclass(frozen=True)
class Description:
    """What is said of a generation by all that describes it.

    Attributes:
        fields: The value of each field, as the first statement that has it states it.
        described_by: Whatever said so, in the order in which it is believed; None if nothing did.
        stated_otherwise: Other values that it stated, such as `PNG parameters: seed = 7`.
    """

    fields: Mapping[str, str | int]
    described_by: str | None
    stated_otherwise: tuple[str, ...]


def describe(statements: Iterable[PictureStatement]) -> Description:
    """Return what several statements say together. The first that states a field is believed."""
    fields: dict[str, str | int] = {}
    speakers: dict[str, None] = {}
    otherwise: dict[str, None] = {}
    for each in statements:
        for name, value in each.fields.items():
            if name not in fields:
                fields[name] = value
                speakers[each.said_by] = None
            elif _differs(fields[name], value):
                otherwise[f"{each.said_by}: {name} = {value}"] = None
    return Description(fields, "; ".join(speakers) or None, tuple(otherwise))


def _differs(one: str | int, other: str | int) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        one, other = (" ".join(unicodedata.normalize("NFC", each).split()) for each in (one, other))
    return one != other

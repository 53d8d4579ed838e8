"""Recipes: hashes of everything that a fact depends on, so that it is computed again exactly when that changes.

What belongs here: writing values into a recipe, under names that never change. What does not: choosing the values that
a fact depends on (its own module), storing a recipe (`facts/table.py`).

A recipe hashes plain values only. A class that is part of one is listed in `FROZEN` under the names its fields had when
they first entered a recipe. Renaming the class or a field changes the right-hand side there, never the name, and so no
recipe; a field that is added later is listed in `later`, and changes recipes only where it differs from its default.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlglot
from sqlglot.tokens import TokenType

from transforms.alignment.alteration_policy import AlterationLimits
from transforms.alignment.policy import PixelLimits
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import View
from transforms.generations.generation import Generation
from transforms.matches.candidates import CandidateThresholds
from transforms.regions import Box

FORMAT = 1
"""Raise it to compute every fact again; then delete `older_recipe`, and mention it in the changelog."""

type Plain = bool | int | float | str | Sequence["Plain"] | Mapping[str, "Plain"] | None


@dataclass(frozen=True)
class Frozen:
    """How a class is written into recipes.

    Attributes:
        tag: The name that identifies the class.
        names: Attributes by their names in recipes.
        later: Likewise for attributes added after the first release, with the default values that leave recipes
            unchanged.
    """

    tag: str
    names: Mapping[str, str]
    later: Mapping[str, tuple[str, Plain]] = field(default_factory=dict)

    @property
    def attributes(self) -> set[str]:
        """Every attribute that is part of recipes."""
        return set(self.names.values()) | {attribute for attribute, _ in self.later.values()}

    def plain(self, value: object) -> dict[str, Plain]:
        """Return an instance as a mapping of plain values."""
        written = {name: plain(getattr(value, attribute)) for name, attribute in self.names.items()}
        for name, (attribute, neutral) in self.later.items():
            if (found := plain(getattr(value, attribute))) != neutral:
                written[name] = found
        return {self.tag: written}


def _unchanged(names: str) -> dict[str, str]:
    """Return a mapping of names to attributes of the same name."""
    return {name: name for name in names.split()}


FROZEN: Mapping[type, Frozen] = {
    Rules: Frozen(
        "picture rules",
        _unchanged("max_pixels member_bytes pdq_quality"),
        {
            "max_side": ("max_side", 100_000),
            "max_aspect": ("max_aspect", 10_000),
            "picture_memory": ("picture_memory", 2_000_000_000),
            "picture_seconds": ("picture_seconds", 60.0),
        },
    ),
    PixelLimits: Frozen(
        "pixel limits",
        _unchanged(
            "long_side enlarged keypoints ratio reprojection stretch structure likeness gain colour inliers "
            "inliers_part cells cells_whole agreement agreement_whole agreement_unmatched aligned_distance solid "
            "solid_share masked_mse larger_share smaller_share whole_overlap"
        ),
    ),
    AlterationLimits: Frozen(
        "alteration limits",
        _unchanged(
            "agreement agreement_part roughness exact_share ratio ratio_clear gate displacement smooth likeness "
            "likeness_close likeness_related exact colour matches cells cells_unmatched exact_matches spread in_place "
            "related kept larger_share smaller_share whole_overlap"
        ),
        {
            "cells_tiny": ("cells_tiny", 100),
            "agreement_tiny": ("agreement_tiny", 0.93),
            "closely_tiny": ("closely_tiny", 0.5),
        },
    ),
    DuplicateThresholds: Frozen("duplicate thresholds", _unchanged("pdq similar overlap pixels")),
    CandidateThresholds: Frozen("candidate thresholds", _unchanged("pdq candidate neighbours")),
    View: Frozen("view", _unchanged("name box mirrored")),
    Box: Frozen("box", _unchanged("x y width height")),
    Generation: Frozen("generation", _unchanged("generation_id source path model prompt seed")),
}


def recipe(kind: str, *parts: object) -> str:
    """Hash what a fact depends on.

    Args:
        kind: The fact, by a name that never changes: equal parts of two facts then have different recipes.
        *parts: Plain values, sequences and mappings of these, and instances of the classes in `FROZEN`.

    Returns:
        16 hexadecimal digits: the beginning of a SHA-256.

    Raises:
        TypeError: If a part is of any other class; the message says where to list it.
    """
    written = {"format": FORMAT, "kind": kind, "parts": plain(parts)}
    text = json.dumps(written, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def plain(value: object) -> Plain:
    """Return a value in the form that JSON holds. Raises TypeError for a value that a recipe cannot hold."""
    if value is None or type(value) in (bool, int, float, str):
        return value  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        if not all(type(name) is str for name in value):
            raise TypeError("a recipe holds mappings of text only; write other keys as pairs")
        return {name: plain(each) for name, each in value.items()}
    if frozen := FROZEN.get(type(value)):
        return frozen.plain(value)
    raise TypeError(
        f"a recipe holds plain values, not {type(value).__name__}: pass its values, or list it in "
        "orchestration/facts/recipes.py under names that never change"
    )


_OLDER_NAMES = {Rules: "Rules", View: "View", Box: "Box", Generation: "Generation"}


def older_recipe(*parts: object) -> str:
    """Hash parts in the way used before recipes had a format.

    Only for hashes and embeddings of pictures, which are too expensive to compute again because of a format.

    Args:
        *parts: Those of `recipe`, without the kind, in the same order.
    """
    return hashlib.sha256(json.dumps(parts, default=_older_text).encode()).hexdigest()[:16]


def _older_text(value: object) -> str:
    name = _OLDER_NAMES.get(type(value))
    if name is None:
        return repr(value)
    attributes = FROZEN[type(value)].names.items()
    return (
        f"{name}({', '.join(f'{field}={_older_text(getattr(value, attribute))}' for field, attribute in attributes)})"
    )


@cache  # a run asks three times for the words of each model
def sql_words(text: str) -> tuple[str, ...]:
    """Return the words of a SQL text, so that layout, comments and the case of keywords do not change a recipe."""
    return tuple(_word(token) for token in sqlglot.tokenize(text, read="duckdb"))


def _word(token: Any) -> str:  # noqa: ANN401 -- sqlglot's own class, which it compiles
    if token.token_type == TokenType.STRING:
        return f"'{token.text}'"
    if token.token_type == TokenType.IDENTIFIER:
        return f'"{token.text}"'
    if token.token_type.name.endswith("STRING"):  # such as e'\n' and $$text$$
        return f"{token.token_type.name} '{token.text}'"
    return str(token.text).lower()

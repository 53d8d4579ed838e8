"""Prompts and the generations made of them: which are near each other, computed once for each set of generations.

What belongs here: which prompts are due, and comparing the pictures of one. What does not: the asset
(`defs/memorization.py`), the distances (`transforms/provenance/memorization.py`), the clique
(`transforms/provenance/cliques.py`), what follows from it (`sql/provenance/prompts.sql`).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import batched
from pathlib import Path

import numpy as np

from orchestration.facts import literal
from orchestration.facts.recipes import recipe
from orchestration.runtime.resources import Warehouse
from transforms import pictures
from transforms.fingerprints.fingerprint import FAILED
from transforms.provenance import cliques, memorization

CODE = 1  # raise when the same generations would give another clique
_COLUMNS = ("generation_id", "source", "model", "prompt", "seed", "path", "pixel_sha256")


@dataclass(frozen=True)
class Prompt:
    """The readable generations of a prompt.

    different: rows of `generation_fingerprints` of different pixels, or of equal pixels and different seeds: the same
    generation that is filed twice is one, two seeds that give the same pixels are two. In order of a digest.
    """

    source: str
    model: str | None
    prompt: str
    different: tuple[dict, ...]

    @property
    def prompt_id(self) -> str:
        """Digest of source, model and prompt."""
        return sha256(json.dumps([self.source, self.model, self.prompt]).encode()).hexdigest()


def prompts(warehouse: Warehouse) -> Iterator[Prompt]:
    """Read the prompts. A generation without one has none; an empty prompt is one."""
    where = f"status <> '{FAILED}' and prompt is not null"
    found: dict[tuple, dict[tuple, dict]] = {}
    for batch in warehouse.facts["generation_fingerprints"].scan(_COLUMNS, where):
        for row in batch.to_pylist():
            mine = found.setdefault((row["source"], row["model"], row["prompt"]), {})
            same = row["pixel_sha256"], row["seed"]
            mine[same] = min(mine.get(same, row), row, key=lambda each: each["generation_id"])
    for (source, model, prompt), rows in found.items():
        yield Prompt(source, model, prompt, tuple(sorted(rows.values(), key=_place)))


def _place(row: dict) -> str:
    """Return where a generation stands among others: at random, but always the same."""
    return sha256(f"{row['pixel_sha256']} {row['generation_id']}".encode()).hexdigest()


def recipe_of(warehouse: Warehouse, prompt: Prompt) -> str:
    """Hash what a prompt's row depends on."""
    cut = warehouse.settings.memorization
    shown = [(row["generation_id"], row["pixel_sha256"]) for row in prompt.different]
    return recipe("prompt cliques", CODE, cliques.BUDGET, cut.epsilon, cut.generations, shown)


def due(warehouse: Warehouse) -> list[tuple[Prompt, str]]:
    """Return the prompts whose generations, or the settings, are others than when they were compared; forget gone ones.

    Each with its recipe.
    """
    table = warehouse.facts["prompt_cliques"]
    rows = table.read(["prompt_id", "recipe"])
    known = dict(zip(rows["prompt_id"].to_pylist(), rows["recipe"].to_pylist(), strict=True))
    wanted = []
    for prompt in prompts(warehouse):
        made_by = recipe_of(warehouse, prompt)
        if known.pop(prompt.prompt_id, None) != made_by:
            wanted.append((prompt, made_by))
    for gone in batched(sorted(known), 500):
        table.delete(f"prompt_id in ({', '.join(map(literal, gone))})")
    return wanted


def compared(warehouse: Warehouse, wanted: Iterable[tuple[Prompt, str]]) -> Iterator[dict]:
    """Yield the row of each prompt. Memory: 786 kB a generation of one prompt, `memorization.generations` at most."""
    cut = warehouse.settings.memorization
    for prompt, made_by in wanted:
        chosen = prompt.different[: cut.generations]
        tiles, shown, failures = [], [], []
        for row in chosen if len(chosen) > 1 else ():  # a picture alone is near no other
            try:
                data = Path(row["path"]).read_bytes()
                tiles.append(memorization.tiles(pictures.decode(data, warehouse.rules.max_pixels)))
                shown.append(row["generation_id"])
            except (OSError, ValueError) as error:
                failures.append(f"{row['generation_id']}: {error}")
        shown = shown if len(chosen) > 1 else [row["generation_id"] for row in chosen]
        near = memorization.tile_distances(tiles) <= cut.epsilon if tiles else np.eye(len(shown), dtype=np.bool_)
        found = cliques.largest_clique(near)
        yield {
            "prompt_id": prompt.prompt_id,
            "recipe": "" if failures else made_by,
            "source": prompt.source,
            "model": prompt.model,
            "prompt": prompt.prompt,
            "different": len(prompt.different),
            "compared": len(shown),
            "pairs": int(np.triu(near, k=1).sum()),
            "members": [shown[place] for place in found.members],
            # each that was not compared could be near all members
            "clique_at_most": found.at_most + len(prompt.different) - len(shown),
            "failure": f"{len(failures)} cannot be read, such as {failures[0]}" if failures else None,
        }

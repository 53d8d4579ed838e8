"""Cliques of near generations of each prompt, computed once for each set of generations.

What belongs here: finding due prompts, comparing the generations of a prompt, and committing their rows. What does not:
the distances (`transforms/provenance/memorization.py`), the clique (`transforms/provenance/cliques.py`), its
interpretation (`sql/provenance/prompts.sql`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import batched

import numpy as np
import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.ray_tasks import Lost
from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import UnreadPicture
from orchestration.progress import track
from orchestration.settings.sections import Compute, Memorization
from transforms import pictures
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.fingerprint import FAILED, OK
from transforms.generations import addresses
from transforms.pictures import Bounds
from transforms.provenance import cliques, memorization

CODE = 1  # raise when the same generations would give another clique
_COMMIT = 200  # prompts
_TASK = 64  # generations of small prompts that are compared in one task
_COLUMNS = ("generation_id", "source", "model", "prompt", "seed_number", "path", "pixel_sha256", "status")


@dataclass(frozen=True)
class Prompt:
    """A prompt with its readable generations, flat ones left out: every two black pictures are near each other.

    Attributes:
        source: Source of the generations.
        model: Model that made them.
        prompt: The text.
        different: Rows of `generation_fingerprints`, in a random but stable order. A file that exists twice counts
            once. Two seeds that give the same pixels count twice.
    """

    source: str
    model: str | None
    prompt: str
    different: tuple[dict, ...]

    @property
    def prompt_id(self) -> str:
        """Digest of source, model and prompt."""
        return sha256(json.dumps([self.source, self.model, self.prompt]).encode()).hexdigest()


def prompts(facts: Facts) -> Iterator[Prompt]:
    """Read the prompts. An empty text is a prompt."""
    where = f"status <> '{FAILED}' and prompt is not null"
    by_prompt: dict[tuple, dict[tuple, dict]] = {}
    for batch in facts["generation_fingerprints"].scan(_COLUMNS, where):
        for row in batch.to_pylist():
            different = by_prompt.setdefault((row["source"], row["model"], row["prompt"]), {})
            if row["status"] != OK:
                continue
            same = row["pixel_sha256"], row["seed_number"]
            different[same] = min(different.get(same, row), row, key=lambda each: each["generation_id"])
    for (source, model, prompt), rows in by_prompt.items():
        yield Prompt(source, model, prompt, tuple(sorted(rows.values(), key=_order)))


def _order(row: dict) -> str:
    return sha256(f"{row['pixel_sha256']} {row['generation_id']}".encode()).hexdigest()


def clique_recipe(prompt: Prompt, cut: Memorization) -> str:
    """Return the recipe of a prompt's row.

    Args:
        prompt: The prompt.
        cut: `[memorization]`.
    """
    generations = [(row["generation_id"], row["pixel_sha256"]) for row in prompt.different]
    return recipe("prompt cliques", CODE, cliques.BUDGET, cut.epsilon, cut.generations, generations)


def update(facts: Facts, cut: Memorization, bounds: Bounds, compute: Compute) -> tuple[int, int]:
    """Compare the prompts whose generations changed. Return their count, and that of those that could not be read.

    Args:
        facts: The fact tables; `prompt_cliques` is written.
        cut: `[memorization]`.
        bounds: What a picture may have and need.
        compute: Where generations are compared.
    """
    table, changed = facts["prompt_cliques"], due(facts, cut)
    rows = compare(changed, cut, bounds, compute)
    failed = 0
    for some in batched(track(rows, "comparing prompts", len(changed)) if changed else (), _COMMIT):
        failed += sum(row["failure"] is not None for row in some)
        table.upsert(pa.Table.from_pylist(list(some), table.schema))
    return len(changed), failed


def due(facts: Facts, cut: Memorization) -> list[tuple[Prompt, str]]:
    """Return the prompts to compare with their recipes, and delete the rows of prompts that no longer exist.

    Args:
        facts: The fact tables.
        cut: `[memorization]`.
    """
    table = facts["prompt_cliques"]
    rows = table.read(["prompt_id", "recipe"])
    stored = dict(zip(rows["prompt_id"].to_pylist(), rows["recipe"].to_pylist(), strict=True))
    changed = []
    for prompt in prompts(facts):
        made_by = clique_recipe(prompt, cut)
        if stored.pop(prompt.prompt_id, None) != made_by:
            changed.append((prompt, made_by))
    for gone in batched(sorted(stored), 500):
        table.delete(is_in("prompt_id", gone))
    return changed


@dataclass(frozen=True)
class PromptGenerations:
    """The generations of a prompt to compare. `files`: the id and the path of each."""

    prompt_id: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PromptClique:
    """What comparing the generations of a prompt found.

    Attributes:
        compared: Generations that were compared.
        pairs: Pairs of near ones.
        members: The largest clique that was found.
        at_most: The most that a clique of the compared ones may have.
        failure: Why others could not be compared.
    """

    compared: int
    pairs: int
    members: Sequence[str]
    at_most: int
    failure: str | None = None


def compare(due: Iterable[tuple[Prompt, str]], cut: Memorization, bounds: Bounds, compute: Compute) -> Iterator[dict]:
    """Yield the row of each prompt. Memory: 786 kB a generation of one prompt, `memorization.generations` at most.

    Args:
        due: Prompts with their recipes.
        cut: `[memorization]`.
        bounds: What a picture may have and need.
        compute: Where generations are compared.
    """
    asked: dict[str, tuple[Prompt, str]] = {}

    def generations() -> Iterator[PromptGenerations]:
        for prompt, made_by in due:
            asked[prompt.prompt_id] = prompt, made_by
            rows = prompt.different[: cut.generations]
            yield PromptGenerations(prompt.prompt_id, tuple((row["generation_id"], row["path"]) for row in rows))

    bundles = engines.bundles(generations(), lambda each: 1 + len(each.files), _TASK)
    how = engines.by_core(compute)
    shared = cut.epsilon, bounds, engines.cores(how)
    for each, found in engines.each(largest_clique, bundles, how, shared):
        prompt, made_by = asked.pop(each.prompt_id)
        clique = PromptClique(0, 0, (), 0, str(found)) if isinstance(found, Lost) else found
        yield _row(prompt, made_by, clique)


def largest_clique(asked: PromptGenerations, epsilon: float, bounds: Bounds, threads: int) -> PromptClique:
    """Find the largest clique of near generations of a prompt, in whatever process.

    Args:
        asked: The generations.
        epsilon: The distance up to which two are near.
        bounds: What a picture may have and need.
        threads: Generations that are read at once.
    """
    if len(asked.files) < 2:  # a picture alone is near no other, and need not be read
        return PromptClique(len(asked.files), 0, [name for name, _ in asked.files], len(asked.files))
    tiles, readable, failures = [], [], []
    read = work_ahead(partial(_tiles, bounds), (path for _, path in asked.files), WorkPace(threads, threads))
    for (name, _), found in zip(asked.files, read, strict=True):
        if isinstance(found, UnreadPicture):
            failures.append(f"{name}: {found.message}")
        else:
            tiles.append(found)
            readable.append(name)
    near = memorization.tile_distances(tiles) <= epsilon if tiles else np.eye(0, dtype=np.bool_)
    clique = cliques.largest_clique(near)
    members = [readable[vertex] for vertex in clique.members]
    failure = f"{len(failures)} cannot be read, such as {failures[0]}" if failures else None
    return PromptClique(len(readable), int(np.triu(near, k=1).sum()), members, clique.at_most, failure)


def _tiles(bounds: Bounds, path: str) -> memorization.Picture | UnreadPicture:
    """Return the tiles of a generation, or why it cannot be read."""
    try:
        return memorization.tiles(pictures.decode(addresses.read(path), bounds))
    except (OSError, ValueError) as error:
        return UnreadPicture.of(error)


def _row(prompt: Prompt, made_by: str, clique: PromptClique) -> dict:
    return {
        "prompt_id": prompt.prompt_id,
        "recipe": "" if clique.failure else made_by,
        "source": prompt.source,
        "model": prompt.model,
        "prompt": prompt.prompt,
        "different": len(prompt.different),
        "compared": clique.compared,
        "pairs": clique.pairs,
        "members": clique.members,
        # each that was not compared could be near all members
        "clique_at_most": clique.at_most + len(prompt.different) - clique.compared,
        "failure": clique.failure,
    }

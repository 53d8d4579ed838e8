"""Fingerprints of generated images: finding due ones and committing them.

What belongs here: the hashes of generations and the embeddings of their views. What does not: finding generations
(`transforms/catalog/generations.py`), their views (`transforms/fingerprints/views.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import older_recipe, recipe
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.makers import BEFORE, CODE, Makers
from orchestration.progress import track
from orchestration.settings.sections import Generations
from transforms.catalog import generations
from transforms.catalog.generations import Generation
from transforms.encoders import Encoder, Prepared
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.fingerprint import FAILED, Fingerprint, Rules, fingerprint, vector_column
from transforms.fingerprints.views import View
from transforms.pictures import may_show_more

_KIND = "generation fingerprints"
_FORGOTTEN = 500  # generations in one filter
_HEADER = 131_072  # bytes of a file that tell whether its fingerprints by older code are good


def find_generations(sources: Iterable[Generations]) -> list[Generation]:
    """Find the generated images of all sources in the settings."""
    return [each for source in sources for each in generations.find(source.name, source.path)]


@dataclass(frozen=True)
class GenerationFingerprinter:
    """Fingerprints generations and commits them.

    Attributes:
        facts: The fact tables; `generation_fingerprints` and `generation_embeddings` are written.
        makers: The rules, and the copy encoder.
        views: The parts of a generation that are embedded.
        pace: The size of a batch and the number of threads.
    """

    facts: Facts
    makers: Makers
    views: Sequence[View]
    pace: WorkPace

    def update(self, current: Sequence[Generation]) -> dict[str, int]:
        """Fingerprint new and changed generations, and delete those that no longer exist.

        Args:
            current: All current generations.

        Returns:
            Counts of fingerprinted generations, of failed ones among them, and of deleted ones.
        """
        notes = self.facts["generation_fingerprints"].read(["generation_id", "recipe", "status"]).to_pylist()
        done = {note["generation_id"]: note for note in notes}
        if current:  # vectors of another encoder go, and with them the notes that generations are done
            encoder = self.makers.encoder(COPY)
            self.facts["generation_embeddings"].reset(str(encoder.id), encoder.id.dimension)
        recipes = {each.generation_id: recipe(_KIND, *self._parts(each)) for each in current}
        due = [each for each in current if not self._is_done(each, recipes, done.get(each.generation_id))]
        failed = self._fingerprint(due, recipes, encoder) if due else 0
        gone = done.keys() - recipes.keys()
        for ids in batched(sorted(gone), _FORGOTTEN):
            for table in ("generation_fingerprints", "generation_embeddings"):
                self.facts[table].delete(is_in("generation_id", ids))
        return {"fingerprinted now": len(due), "failed now": failed, "gone": len(gone)}

    def _is_done(self, generation: Generation, recipes: Mapping[str, str], note: Mapping[str, str] | None) -> bool:
        """Return whether the note of a generation says that its fingerprints are good."""
        if note is None or note["recipe"] == recipes[generation.generation_id]:
            return note is not None
        before = self._parts(generation, BEFORE)
        if note["status"] == FAILED or note["recipe"] not in (recipe(_KIND, *before), older_recipe(*before)):
            return False
        with Path(generation.path).open("rb") as file:
            return not may_show_more(file.read(_HEADER))

    def _parts(self, generation: Generation, code: int = CODE) -> tuple[object, ...]:
        """Return the parts of the recipe of a generation's fingerprints."""
        stat = Path(generation.path).stat()
        makers = self.makers
        encoder = makers.encoder_id(COPY)
        return code, encoder, makers.rules, generation, tuple(self.views), stat.st_size, stat.st_mtime_ns

    def _fingerprint(self, due: Sequence[Generation], recipes: dict[str, str], encoder: Encoder) -> int:
        """Fingerprint generations batch by batch, and return how many cannot be read."""
        table = self.facts["generation_fingerprints"]
        embeddings = self.facts.embeddings("generation_embeddings", str(encoder.id), encoder.id.dimension)
        embeddings.delete(f"not ({is_in('view', (view.name for view in self.views))})")
        readings = work_ahead(lambda each: _read(each, self.makers.rules, encoder, self.views), due, self.pace)
        readings = track(readings, "fingerprinting generations", len(due))
        failed = 0
        for batch in batched(readings, max(1, self.pace.batch // 4)):
            rows = [
                reading.row() | {"encoder": str(encoder.id), "recipe": recipes[reading.generation.generation_id]}
                for reading in batch
            ]
            failed += sum(row["status"] == FAILED for row in rows)
            self._embed(batch, encoder, embeddings)
            table.upsert(pa.Table.from_pylist(rows, table.schema))
        return failed

    def _embed(self, readings: Sequence["_Reading"], encoder: Encoder, embeddings: FactTable) -> None:
        views = [(each.generation.generation_id, view) for each in readings if each.prepared for view in self.views]
        columns: dict[str, pa.Array] = {
            "generation_id": pa.array([generation_id for generation_id, _ in views], pa.string()),
            "view": pa.array([view.name for _, view in views], pa.string()),
            "mirrored": pa.array([view.mirrored for _, view in views], pa.bool_()),
            "vector": vector_column(encoder.embed([picture for each in readings for picture in each.prepared])),
        }
        for side in ("x", "y", "width", "height"):
            columns[side] = pa.array([getattr(view.box, side) for _, view in views], pa.float64())
        embeddings.upsert(pa.table(columns).select(embeddings.schema.names))


@dataclass(frozen=True)
class _Reading:
    """A generation, its hashes, and its prepared views. Without views if it cannot be read."""

    generation: Generation
    print_: Fingerprint
    prepared: Sequence[Prepared] = ()

    def row(self) -> dict[str, object]:
        """Return its stored columns."""
        dihedral = self.print_.dihedral
        hashes = None if dihedral is None else [each.tobytes().hex() for each in dihedral]
        print_ = self.print_
        return {**vars(self.generation), **print_.row(), "dihedral_pdq": hashes, "unsearched": print_.unsearched}


def _read(generation: Generation, rules: Rules, encoder: Encoder, views: Sequence[View]) -> _Reading:
    path = Path(generation.path)
    try:
        if path.stat().st_size > rules.member_bytes:
            reason = f"more than limits.member_bytes = {rules.member_bytes} bytes"
            return _Reading(generation, Fingerprint(FAILED, reason))
        print_, picture = fingerprint(path.read_bytes(), rules, dihedral=True)
    except OSError as error:
        return _Reading(generation, Fingerprint(FAILED, f"cannot be opened: {error.strerror}"))
    prepared = [] if picture is None else [encoder.prepare(view.cut(picture)) for view in views]
    return _Reading(generation, print_, prepared)

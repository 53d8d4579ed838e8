"""Fingerprints and descriptions of generated images: finding due ones and committing them.

What belongs here: the hashes of generations, the embeddings of their views, and what is said of them. What does not:
finding generations and reading what describes them (`transforms/generations/`), their views
(`transforms/fingerprints/views.py`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import batched, chain

import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import older_recipe, recipe
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.makers import BEFORE, CODE, Makers
from orchestration.progress import say, track
from orchestration.settings.inputs import Generations
from transforms.dumps.members import ArchiveError
from transforms.encoders import Encoder, Prepared, Vectors, full_call_of
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import vector_column
from transforms.fingerprints.feed import Feed
from transforms.fingerprints.fingerprint import FAILED, Fingerprint
from transforms.fingerprints.views import View
from transforms.generations import addresses, sources
from transforms.generations.descriptions import description
from transforms.generations.generation import FoundGeneration, FoundGenerations, Generation
from transforms.generations.statements import Description
from transforms.pictures import may_show_more
from transforms.readable import count
from transforms.storage import stores
from transforms.storage.file_limits import ByteLimits

DESCRIPTION_CODE = 1  # raise when the same tables, sidecars and files would say something else of a generation
_LIMITS = ByteLimits()
_KIND = "generation fingerprints"
_FORGOTTEN = 500  # generations in one filter
_HEADER = 131_072  # bytes of a file that tell whether its fingerprints by older code are good
_TABLES = ("generation_fingerprints", "generation_embeddings")


def find_generations(named: Iterable[Generations], member_bytes: int, limits: ByteLimits = _LIMITS) -> FoundGenerations:
    """Find the generated images of all sources in the settings.

    Args:
        named: The sources.
        member_bytes: Bytes of the largest file that is read.
        limits: Of tables and of archives' texts.
    """
    found, not_taken = [], {}
    for each in named:
        generations, not_taken[each.name] = sources.find(each.name, each.path, member_bytes, limits)
        found += generations
    return FoundGenerations(found, not_taken)


def complaints(found: FoundGenerations) -> list[str]:
    """Return a sentence for each place and reason for which something is no generation, or does not meet its table."""
    return [
        f"{each.place}: {each.reason} ({each.files:,}, such as {', '.join(each.examples)})"
        for reasons in found.not_taken.values()
        for each in reasons
    ]


def description_recipe(found: FoundGeneration) -> str:
    """Return the recipe of what is said of a generation: its tables, and its sidecars and itself as they are now."""
    files = [(each.path, each.member, each.size, each.stamp) for each in (found.location, *found.sidecars)]
    stated = [{"said by": each.said_by, **each.fields} for each in found.stated]
    # with the code of fingerprints: where both say the same, the file was seen to be good by it
    return recipe("generation description", DESCRIPTION_CODE, CODE, stated, files)


@dataclass(frozen=True)
class GenerationBacklog:
    """What is to be done for generations.

    Attributes:
        due: Those to be fingerprinted: new ones, changed ones, and those of another encoder or other rules.
        outdated: Others, of which something else is said now.
        gone: The sources of those that no longer exist, by id.
        known: How many there are of each source by now.
    """

    due: Sequence[FoundGeneration]
    outdated: Sequence[FoundGeneration]
    gone: Mapping[str, str]
    known: Mapping[str, int]


@dataclass(frozen=True)
class GenerationFingerprinter:
    """Fingerprints and describes generations and commits them.

    Attributes:
        facts: The fact tables; `generation_fingerprints` and `generation_embeddings` are written.
        makers: The rules, and the copy encoder, if there is one.
        views: The parts of a generation that are embedded.
        pace: The size of a batch and the number of threads.
    """

    facts: Facts
    makers: Makers
    views: Sequence[View]
    pace: WorkPace

    def update(self, current: Sequence[FoundGeneration]) -> dict[str, int]:
        """Fingerprint new and changed generations, and delete those that no longer exist.

        Args:
            current: All current generations.

        Returns:
            Counts of fingerprinted generations, of failed ones among them, of others that are described anew, and of
            deleted ones.
        """
        backlog = self.backlog(current)
        encoder = self.makers.encoder(COPY) if current and COPY in self.makers.encoder_names else None
        embeddings = self.facts["generation_embeddings"]
        if encoder:  # vectors of another encoder go, and with them the notes that generations are done
            embeddings.reset(str(encoder.id), encoder.id.dimension)
        elif embeddings.dataset().count_rows():
            embeddings.clear()
        failed = self._fingerprint(backlog.due, encoder) if backlog.due else 0
        self._describe(backlog.outdated)
        for sentence in _gone(backlog):
            say(f"warning: {sentence}")
        for ids in batched(backlog.gone, _FORGOTTEN):
            for name in _TABLES:
                self.facts[name].delete(is_in("generation_id", ids))
        return {
            "fingerprinted now": len(backlog.due),
            "failed now": failed,
            "described anew": len(backlog.outdated),
            "gone": len(backlog.gone),
        }

    def backlog(self, current: Sequence[FoundGeneration]) -> GenerationBacklog:
        """Return what is to be done. Writes nothing.

        Args:
            current: All current generations.
        """
        columns = ["generation_id", "source", "status", "recipe", "description_recipe"]
        notes = self.facts["generation_fingerprints"].read(columns).to_pylist()
        done = {note["generation_id"]: note for note in notes}
        due, outdated = [], []
        for each in current:
            note = done.get(each.generation_id)
            if note is None or not self._is_done(each, note):
                due.append(each)
            elif note["description_recipe"] != description_recipe(each):
                outdated.append(each)
        gone = sorted(done.keys() - {each.generation_id for each in current})
        return GenerationBacklog(
            due, outdated, {each: done[each]["source"] for each in gone}, Counter(note["source"] for note in notes)
        )

    def _is_done(self, found: FoundGeneration, note: Mapping[str, str]) -> bool:
        """Return whether the note of a generation says that its fingerprints are good."""
        if note["recipe"] == self._recipe(found):
            return True
        at = found.location
        if at.member or note["status"] == FAILED or note["recipe"] not in self._recipes_before(found):
            return False
        if note["description_recipe"] == description_recipe(found):
            return True  # an earlier run looked into the file; its recipe stays, because searches are made by it
        try:
            with stores.open_file(at.path) as file:
                return not may_show_more(file.read(_HEADER))
        except OSError:
            return False

    def _recipe(self, found: FoundGeneration) -> str:
        """Return the recipe of a generation's fingerprints."""
        return recipe(_KIND, *self._parts(found, _bare(found), CODE))

    def _recipes_before(self, found: FoundGeneration) -> list[str]:
        """Return the recipes of the code before.

        Earlier releases hashed what a table states of a generation too, and had no format.
        """
        bare, stated = (self._parts(found, each, BEFORE) for each in (_bare(found), found.generation))
        return [recipe(_KIND, *bare), recipe(_KIND, *stated), older_recipe(*stated)]

    def _parts(self, found: FoundGeneration, generation: Generation, code: int) -> tuple[object, ...]:
        """Return the parts of the recipe of a generation's fingerprints."""
        encoder, at = self.makers.encoder_id(COPY), found.location
        return code, encoder, self.makers.rules, generation, tuple(self.views), at.size, at.stamp

    def _fingerprint(self, due: Sequence[FoundGeneration], encoder: Encoder | None) -> int:
        """Fingerprint generations batch by batch, and return how many cannot be read."""
        table, identity = self.facts["generation_fingerprints"], self.makers.encoder_id(COPY)
        opened = addresses.read_members(due)
        if encoder:
            embeddings = self.facts.embeddings("generation_embeddings", str(encoder.id), encoder.id.dimension)
            embeddings.delete(f"not ({is_in('view', (view.name for view in self.views))})")
        feed = Feed(self.makers.rules, {COPY: encoder} if encoder else {}, self.views, dihedral=True, expected=len(due))
        size = max(1, self.pace.batch // 4, full_call_of(encoder) // len(self.views))  # each has many views
        pace = replace(self.pace, batch=size).by(feed.files)
        read = chain.from_iterable(work_ahead(partial(_read, feed), feed.handfuls(opened, pace.workers), pace))
        readings = track(read, "fingerprinting generations", len(due))
        failed = 0
        for batch, vectors in work_ahead(partial(_embedded, encoder), batched(readings, size), WorkPace(1, 1)):
            rows = [each.row() | {"encoder": identity, "recipe": self._recipe(each.found)} for each in batch]
            failed += sum(row["status"] == FAILED for row in rows)
            if encoder and vectors is not None:
                self._keep(batch, encoder, vectors)
            table.upsert(pa.Table.from_pylist(rows, table.schema))
        return failed

    def _describe(self, outdated: Sequence[FoundGeneration]) -> None:
        """Renew what is said of generations whose fingerprints are good."""
        table = self.facts["generation_fingerprints"]
        opened = track(addresses.read_members(outdated), "describing generations", len(outdated))
        for batch in batched(opened, _FORGOTTEN):
            stored = table.read(where=is_in("generation_id", [each.generation_id for each, _ in batch])).to_pylist()
            rows = {row["generation_id"]: row for row in stored}
            for each, data in batch:
                rows[each.generation_id] |= _said(each, description(each, _bytes(each, data) or b""))
            table.upsert(pa.Table.from_pylist(list(rows.values()), table.schema))

    def _keep(self, readings: Sequence["_Reading"], encoder: Encoder, vectors: Vectors) -> None:
        embeddings = self.facts.embeddings("generation_embeddings", str(encoder.id), encoder.id.dimension)
        views = [(each.found.generation_id, view) for each in readings if each.prepared for view in self.views]
        columns: dict[str, pa.Array] = {
            "generation_id": pa.array([generation_id for generation_id, _ in views], pa.string()),
            "view": pa.array([view.name for _, view in views], pa.string()),
            "mirrored": pa.array([view.mirrored for _, view in views], pa.bool_()),
            "vector": vector_column(vectors),
        }
        for side in ("x", "y", "width", "height"):
            columns[side] = pa.array([getattr(view.box, side) for _, view in views], pa.float64())
        embeddings.upsert(pa.table(columns).select(embeddings.schema.names))


def _embedded(encoder: Encoder | None, readings: Sequence["_Reading"]) -> tuple[Sequence["_Reading"], Vectors | None]:
    """Return readings with the vectors of their views, None if there is no encoder; while others are committed."""
    if encoder is None:
        return readings, None
    return readings, encoder.embed([picture for each in readings for picture in each.prepared])


def _bare(found: FoundGeneration) -> Generation:
    """Return a generation without what is stated of it, which changes no fingerprint."""
    return replace(found.generation, model=None, prompt=None, seed=None)


def _gone(backlog: GenerationBacklog) -> list[str]:
    """Return a sentence for each source of which generations are gone."""
    by_source: dict[str, list[str]] = {}
    for generation_id, source in backlog.gone.items():
        by_source.setdefault(source, []).append(generation_id)
    return [
        f"{len(ids):,} of {count(backlog.known[source], 'generation')} of {source!r} are gone, such as "
        f"{', '.join(ids[:3])}"
        for source, ids in by_source.items()
    ]


@dataclass(frozen=True)
class _Reading:
    """A generation, what is said of it, its hashes, and its prepared views. Without views if it cannot be read."""

    found: FoundGeneration
    said: Description
    print_: Fingerprint
    prepared: Sequence[Prepared] = ()

    def row(self) -> dict[str, object]:
        """Return its stored columns."""
        dihedral = self.print_.dihedral
        hashes = None if dihedral is None else [each.tobytes().hex() for each in dihedral]
        print_ = self.print_
        columns = {**print_.row(), "dihedral_pdq": hashes, "unsearched": print_.unsearched}
        return {**_said(self.found, self.said), **columns}


def _said(found: FoundGeneration, said: Description) -> dict[str, object]:
    """Return the stored columns of what is said of a generation."""
    seed = said.fields.get("seed")
    return {
        "generation_id": found.generation_id,
        "source": found.generation.source,
        "path": found.generation.path,
        **{name: said.fields.get(name) for name in ("model", "prompt", "negative_prompt", "sampler", "steps")},
        "seed_number": None if seed is None else Decimal(seed),
        "described_by": said.described_by,
        "stated_otherwise": list(said.stated_otherwise),
        "description_recipe": description_recipe(found),
    }


def _bytes(found: FoundGeneration, data: bytes | Exception | None) -> bytes | None:
    """Return the bytes of a generation that is not refused; None if they cannot be read."""
    if data is None and found.refusal is None:
        try:
            return addresses.read_location(found.location)
        except OSError:
            return None
    return data if isinstance(data, bytes) else None


def _read(feed: Feed, some: Sequence[tuple[FoundGeneration, bytes | Exception | None]]) -> list[_Reading]:
    read = [_opened(found, data) for found, data in some]
    fed = iter(feed([data for data in read if isinstance(data, bytes)]))
    readings = []
    for (found, _), data in zip(some, read, strict=True):
        if isinstance(data, bytes):
            picture = next(fed)
            readings.append(_Reading(found, description(found, data), picture.print_, picture.inputs.get(COPY, ())))
        else:
            readings.append(_Reading(found, description(found, b""), Fingerprint(FAILED, data.reason)))
    return readings


def _opened(found: FoundGeneration, data: bytes | Exception | None) -> "bytes | _Unread":
    """Return the bytes of a generation, or why there are none."""
    if found.refusal is not None:
        return _Unread(found.refusal)
    try:
        if isinstance(data, Exception):
            raise data
        return addresses.read_location(found.location) if data is None else data
    except (OSError, ArchiveError) as error:
        return _Unread(f"cannot be opened: {error.strerror or error}" if isinstance(error, OSError) else str(error))


@dataclass(frozen=True)
class _Unread:
    """Why a generation has no bytes."""

    reason: str

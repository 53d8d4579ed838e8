"""The pictures that p-values are calibrated with: choosing them, their pixels, and the embeddings of their views.

What belongs here: choosing, reading and embedding them. Each embedding is computed once and kept. What does not: their
best matches (`matches/null_distribution.py`), the null distribution (`transforms/matches/null_distribution.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import batched
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.named_encoders import NamedEncoder
from orchestration.compute.ray_tasks import Lost
from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, is_in
from orchestration.facts.recipes import older_recipe, recipe
from orchestration.facts.training_pictures import StoredPicture, TrainingPictures, UnreadPicture
from orchestration.fingerprints.picture_index import PictureIndex
from orchestration.progress import say, track
from orchestration.settings.sections import Compute
from transforms import pictures
from transforms.encoders import Encoder, Prepared, Vectors, full_call_of
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import vector_column
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.views import View
from transforms.hashing import hashes
from transforms.hashing.digest_tables import Lookup
from transforms.matches import edits
from transforms.matches.edits import Edit
from transforms.pictures import PICTURE_ENDINGS, Bounds, Pixels
from transforms.readable import count

CODE = 2  # raise when the same pictures would be edited or embedded otherwise
NOT_TRAINED = "not_trained"
_LEAST_SIDE = 32  # pixels that an edit needs
_TASK = 64  # pictures or a few more: a commit, and what a killed run loses
_AHEAD = 16  # held-out pictures, twice as many of which are read ahead
_AT_ONCE = 256  # pictures whose vectors are read at once
_DELETED = 200  # keys in a filter


@dataclass(frozen=True)
class CalibrationPicture:
    """A picture for calibration: a training picture, a held-out one, or an edited copy of a training picture.

    Attributes:
        digest: SHA-256 of its pixels, before any edit.
        index: Index of the training picture. None for a held-out one.
        path: File of a held-out picture.
        edit: The edit that is applied before searching.
        other: Index of the picture that fills the areas an edit leaves empty.
        filling: SHA-256 of the pixels of that picture.
    """

    digest: str
    index: int | None = None
    path: str | None = None
    edit: Edit | None = None
    other: int | None = None
    filling: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The digest, and the edit with what it fills in: all that the pixels depend on, and the key of embeddings."""
        return self.digest, f"{self.edit.name} {self.filling}" if self.edit else ""

    @property
    def population(self) -> str:
        """`not_trained`, or how much of a training picture it shows: `whole` or `part`."""
        return self.edit.kind if self.edit else NOT_TRAINED


@dataclass
class LeftOut:
    """Counts of pictures that are not embedded.

    Attributes:
        failed: Those that could not be reached, which the next run tries again.
        waiting: Those whose image dump is gone.
        unusable: Those that cannot be decoded, or not be edited.
    """

    failed: int = 0
    waiting: int = 0
    unusable: int = 0

    def add(self, name: str, why: UnreadPicture) -> None:
        """Count a picture, and say it unless its dump is gone: of those there may be as many as the sample has.

        Args:
            name: The picture.
            why: Why it is left out.
        """
        self.waiting += why.gone
        self.failed += why.away
        self.unusable += not (why.gone or why.away)
        if not why.gone:
            say(f"left out of the null distribution: {name}: {why.message}")

    def say_waiting(self) -> None:
        """Say how many wait for a dump, if any do."""
        if self.waiting:
            these = count(self.waiting, "picture")
            say(f"warning: {these} left out of the null distribution: their image dumps are gone; put them back")


@dataclass(frozen=True)
class ReadablePicture:
    """A picture for calibration with the places of what it is made of, for whoever reads it.

    Attributes:
        picture: The picture.
        member_bytes: Bytes that the file of a held-out picture may have.
        source: The training picture.
        other: The picture that fills the areas an edit leaves empty.
    """

    picture: CalibrationPicture
    member_bytes: int
    source: StoredPicture | None = None
    other: StoredPicture | None = None

    def pixels(self, bounds: Bounds) -> Pixels:
        """Return the picture after its edit. Raises OSError or ValueError if it cannot be read or edited."""
        if self.source is None:
            return held_out_pixels(str(self.picture.path), bounds, self.member_bytes)
        source = self.source.pixels(bounds)
        if self.picture.edit is None or self.other is None:
            return source
        source, other = edits.bounded(source), edits.bounded(self.other.pixels(bounds))
        if min(*source.shape[:2], *other.shape[:2]) < _LEAST_SIDE:
            raise ValueError(f"a side of fewer than {_LEAST_SIDE} pixels cannot be edited")
        seed = int(self.picture.digest[:16], 16)
        return self.picture.edit.apply(source, other, np.random.default_rng(seed))


def held_out_pixels(path: str, bounds: Bounds, member_bytes: int) -> Pixels:
    """Return a held-out picture. Raises OSError or ValueError.

    Args:
        path: Its file.
        bounds: What a picture may have and need.
        member_bytes: Bytes that the file may have.
    """
    if Path(path).stat().st_size > member_bytes:
        raise ValueError(f"more than limits.member_bytes = {member_bytes} bytes")
    return pictures.decode(Path(path).read_bytes(), bounds)


@dataclass(frozen=True)
class CalibrationReader:
    """Locates pictures for calibration, and says how they are read.

    Attributes:
        index: The training pictures.
        load: Locates a training row's picture.
        rules: Rules for held-out pictures.
        compute: Where pictures are read, embedded, searched and compared.
    """

    index: PictureIndex
    load: TrainingPictures
    rules: Rules
    compute: Compute

    def readable(self, some: Sequence[CalibrationPicture]) -> list[ReadablePicture]:
        """Return pictures with the places of what they are made of."""
        used = {i for each in some for i in (each.index, each.other) if i is not None}
        located = self.training(used)
        size = self.rules.member_bytes
        return [
            ReadablePicture(
                each,
                size,
                None if each.index is None else located[each.index],
                None if each.other is None else located[each.other],
            )
            for each in some
        ]

    def training(self, indices: Iterable[int]) -> dict[int, StoredPicture]:
        """Return where training pictures are, by index."""
        ids = {index: int(self.index.ids[index]) for index in indices}
        located = self.load.locate(ids.values())
        return {index: located[sample_id] for index, sample_id in ids.items()}


def held_out_paths(folder: str | None) -> list[str]:
    """Return the paths of the held-out pictures. Raises NotADirectoryError for a folder that does not exist."""
    if folder is None:
        return []
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"no folder of held-out pictures at {folder}; correct `calibration.held_out`")
    return [str(p) for p in sorted(Path(folder).rglob("*")) if p.suffix.lower() in PICTURE_ENDINGS and p.is_file()]


def sample(reader: CalibrationReader, held_out: Iterable[str], count: int, trials: int) -> list[CalibrationPicture]:
    """Choose the pictures with the smallest digests: training pictures, held-out ones, then edited copies.

    Args:
        reader: Reader of the pictures.
        held_out: Paths of held-out pictures.
        count: Count of training pictures, and of held-out ones.
        trials: Count of edited copies.
    """
    index = reader.index
    trained = index.sample(count).tolist()
    plain = [CalibrationPicture(index.hex_digest(i), i) for i in trained]
    fillings = [(i, each.digest) for each, i in zip(plain, trained, strict=True)]
    copies = [
        # which edit a picture gets depends on its digest, and stays when the sample grows
        CalibrationPicture(each.digest, i, None, edits.EDITS[int(each.digest[:8], 16) % len(edits.EDITS)], *filling)
        for each, i, filling in zip(plain, trained, fillings[1:] + fillings[:1], strict=True)
    ]
    return [*plain, *_held_out(reader, held_out)[:count], *copies[:trials]]


def _held_out(reader: CalibrationReader, paths: Iterable[str]) -> list[CalibrationPicture]:
    """Return held-out pictures by digest, without those that are in the training set or repeated."""
    index, held_out = reader.index, dict[str, CalibrationPicture]()
    trained = Lookup(index.digests[index.heads])
    read = work_ahead(partial(_digest, reader.rules), paths, WorkPace(_AHEAD, engines.CORES))
    for path, digest in read:
        if isinstance(digest, UnreadPicture):
            say(f"left out of the null distribution: {path}: {digest.message}")
            continue
        if digest in held_out or trained.find(hashes.from_hex([digest]))[1].all():
            say(f"left out of the null distribution: {path}: its pixels are those of another picture")
            continue
        held_out[digest] = CalibrationPicture(digest, path=path)
    return [held_out[digest] for digest in sorted(held_out)]


def _digest(rules: Rules, path: str) -> tuple[str, str | UnreadPicture]:
    """Return a path with the SHA-256 of the picture's pixels, or why there is none."""
    try:
        return path, hashes.pixel_sha256(held_out_pixels(path, rules.bounds, rules.member_bytes))
    except (OSError, ValueError) as error:
        return path, UnreadPicture.of(error)


def embed(
    sampled: Sequence[CalibrationPicture],
    reader: CalibrationReader,
    facts: Facts,
    encoder: NamedEncoder,
    views: Sequence[View],
    at_once: int,
    left_out: LeftOut,
) -> Iterator[tuple[list[CalibrationPicture], Vectors]]:
    """Embed the views of new pictures, and yield all pictures with their vectors in batches.

    A picture that cannot be read is counted and left out. Pictures that left the sample are deleted.

    Args:
        sampled: The pictures.
        reader: Reader of their pixels.
        facts: The fact tables.
        encoder: Encoder of the views.
        views: The views of generations.
        at_once: Count of views embedded at once.
        left_out: Counts the pictures that cannot be read.

    Yields:
        Pictures, and their vectors, float32 (n, views, d).
    """
    table = _table(facts, encoder.load(), views)
    done = set(zip(*table.read(["pixel_sha256", "edit"]).to_pydict().values(), strict=True))
    due = [picture for picture in sampled if picture.key not in done]
    size = max(1, max(at_once, full_call_of(encoder.load())) // len(views))
    batches = batched(track(due, "embedding pictures of the null distribution", len(due)), size * ceil(_TASK / size))
    tasks = ([reader.readable(batch)] for batch in batches)
    theirs = encoder.for_workers(reader.compute)
    shared = reader.rules.bounds, theirs, views, WorkPace(size, engines.cores(reader.compute))
    for some, made in engines.each(embed_views, tasks, reader.compute, shared):
        _keep(some, made, table, views, left_out)
    left_out.say_waiting()
    gone = done - {picture.key for picture in sampled}
    for keys in batched(sorted(gone), _DELETED):
        table.delete(
            " or ".join(f"({equals('pixel_sha256', digest)} and {equals('edit', edit)})" for digest, edit in keys)
        )
    for batch in batched(sampled, _AT_ONCE):
        yield _stored(table, batch, [view.name for view in views])


@dataclass(frozen=True)
class EmbeddedViews:
    """The result of embedding some pictures.

    Attributes:
        failures: Why pictures could not be read, by index.
        vectors: float32 (views of the other pictures, d), in the order of the pictures.
    """

    failures: Mapping[int, UnreadPicture]
    vectors: Vectors


def embed_views(
    some: Sequence[ReadablePicture], bounds: Bounds, encoder: NamedEncoder, views: Sequence[View], pace: WorkPace
) -> EmbeddedViews:
    """Embed the views of pictures, in whatever process. Others are read and prepared meanwhile.

    Args:
        some: The pictures.
        bounds: What a picture may have and need.
        encoder: Encoder of the views.
        views: The views of generations.
        pace: The pictures whose views are embedded together, and the threads that prepare others.
    """
    loaded = encoder.load()
    failures, vectors = dict[int, UnreadPicture](), [np.empty((0, loaded.id.dimension), np.float32)]
    ready = enumerate(work_ahead(partial(_prepared, loaded, bounds, views), some, pace))
    for batch, made in work_ahead(partial(_embedded, loaded), batched(ready, pace.batch), WorkPace(1, 1)):
        failures |= {index: found for index, found in batch if isinstance(found, UnreadPicture)}
        vectors.append(made)
    return EmbeddedViews(failures, np.concatenate(vectors))


type _Inputs = list[Prepared] | UnreadPicture


def _prepared(encoder: Encoder, bounds: Bounds, views: Sequence[View], each: ReadablePicture) -> _Inputs:
    """Return the encoder's input for each view of a picture, or why it cannot be read."""
    try:
        pixels = each.pixels(bounds)
    except (OSError, ValueError) as error:
        return UnreadPicture.of(error)
    return [encoder.prepare(view.cut(pixels)) for view in views]


def _embedded(encoder: Encoder, batch: Sequence[tuple[int, _Inputs]]) -> tuple[Sequence[tuple[int, _Inputs]], Vectors]:
    parts = [part for _, found in batch if not isinstance(found, UnreadPicture) for part in found]
    return batch, encoder.embed(parts) if parts else np.empty((0, encoder.id.dimension), np.float32)


def _keep(
    some: Sequence[ReadablePicture],
    made: EmbeddedViews | Lost,
    table: FactTable,
    views: Sequence[View],
    left_out: LeftOut,
) -> None:
    """Store the vectors of a task, and count the pictures that could not be read."""
    if isinstance(made, Lost):
        why = UnreadPicture(str(made), away=True)
        made = EmbeddedViews(dict.fromkeys(range(len(some)), why), np.empty((0, 0), np.float32))
    for index, failure in made.failures.items():
        left_out.add(some[index].picture.path or some[index].picture.digest, failure)
    keys = [each.picture.key for index, each in enumerate(some) if index not in made.failures]
    if keys:
        digest, edit = (np.repeat(column, len(views)).tolist() for column in zip(*keys, strict=True))
        names = [view.name for view in views] * len(keys)
        vector = vector_column(made.vectors)
        table.upsert(pa.table({"pixel_sha256": digest, "edit": edit, "view": names, "vector": vector}))


def _table(facts: Facts, encoder: Encoder, views: Sequence[View]) -> FactTable:
    """Return the table of embeddings, emptied if another encoder or other views made it."""
    table = facts["calibration_embeddings"]
    table.reset(str(encoder.id), encoder.id.dimension)
    parts = (CODE, views, [edit.name for edit in edits.EDITS])
    made_by = recipe("calibration embeddings", *parts)
    if table.recipe not in (made_by, older_recipe(*parts)):
        table.clear()
        table.note_recipe(made_by)
    return facts.embeddings(table.name, str(encoder.id), encoder.id.dimension)


def _stored(
    table: FactTable, batch: Sequence[CalibrationPicture], views: Sequence[str]
) -> tuple[list[CalibrationPicture], Vectors]:
    columns = ["pixel_sha256", "edit", "view"]
    rows = table.read([*columns, "vector"], is_in("pixel_sha256", sorted({picture.digest for picture in batch})))
    place = {key: i for i, key in enumerate(zip(*(rows[name].to_pylist() for name in columns), strict=True))}
    known = [picture for picture in batch if (*picture.key, views[0]) in place]
    if not known:
        return [], np.empty((0, len(views), 0), np.float32)
    flat = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    order = [place[(*picture.key, view)] for picture in known for view in views]
    return known, flat[order].reshape(len(known), len(views), flat.shape[1])

"""The pictures that p-values are calibrated with: choosing them, their pixels, and the embeddings of their views.

What belongs here: choosing, reading and embedding them. Each embedding is computed once and kept. What does not: their
best matches (`matches/null_scores.py`), the null distribution (`transforms/matches/null_distribution.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.facts import Facts, FactTable
from orchestration.facts.filters import equals, is_in
from orchestration.facts.recipes import older_recipe, recipe
from orchestration.facts.training_pictures import DumpGone, TrainingPictures
from orchestration.fingerprints.picture_index import PictureIndex
from orchestration.progress import say, track
from transforms import pictures
from transforms.encoders import Encoder, Vectors
from transforms.fingerprints import fingerprint
from transforms.fingerprints.fingerprint import Rules, vector_column
from transforms.fingerprints.views import View
from transforms.hashing import hashes
from transforms.hashing.digest_tables import Lookup
from transforms.matches import edits
from transforms.matches.edits import Edit
from transforms.pictures import PICTURE_ENDINGS, Pixels
from transforms.readable import count

CODE = 2  # raise when the same pictures would be edited or embedded otherwise
NOT_TRAINED = "not_trained"
_LEAST_SIDE = 32  # pixels that an edit needs
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

    def add(self, name: str, error: OSError | ValueError) -> None:
        """Count a picture, and say it unless its dump is gone: of those there may be as many as the sample has.

        Args:
            name: The picture.
            error: Why it is left out.
        """
        self.waiting += isinstance(error, DumpGone)
        self.failed += isinstance(error, OSError) and not isinstance(error, DumpGone)
        self.unusable += isinstance(error, ValueError)
        if not isinstance(error, DumpGone):
            say(f"left out of the null distribution: {name}: {error}")

    def say_waiting(self) -> None:
        """Say how many wait for a dump, if any do."""
        if self.waiting:
            these = count(self.waiting, "picture")
            say(f"warning: {these} left out of the null distribution: their image dumps are gone; put them back")


@dataclass(frozen=True)
class CalibrationReader:
    """Reads the pixels of pictures for calibration.

    Attributes:
        index: The training pictures.
        load: Reads the pixels of a training row.
        rules: Rules for held-out pictures.
    """

    index: PictureIndex
    load: TrainingPictures
    rules: Rules

    def pixels(self, picture: CalibrationPicture) -> Pixels:
        """Return a picture after its edit. Raises OSError or ValueError if it cannot be read or edited."""
        if picture.index is None:
            return self.held_out(str(picture.path))
        source = self.training(picture.index)
        if picture.edit is None or picture.other is None:
            return source
        source, other = edits.bounded(source), edits.bounded(self.training(picture.other))
        if min(*source.shape[:2], *other.shape[:2]) < _LEAST_SIDE:
            raise ValueError(f"a side of fewer than {_LEAST_SIDE} pixels cannot be edited")
        seed = int(picture.digest[:16], 16)
        return picture.edit.apply(source, other, np.random.default_rng(seed))

    def training(self, index: int) -> Pixels:
        """Return a training picture. Raises OSError or ValueError."""
        return self.load(int(self.index.ids[index]))

    def held_out(self, path: str) -> Pixels:
        """Return a held-out picture. Raises OSError or ValueError."""
        if Path(path).stat().st_size > self.rules.member_bytes:
            raise ValueError(f"more than limits.member_bytes = {self.rules.member_bytes} bytes")
        return pictures.decode(Path(path).read_bytes(), self.rules.bounds)


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
    for path in paths:
        try:
            digest = hashes.pixel_sha256(reader.held_out(path))
        except (OSError, ValueError) as error:
            say(f"left out of the null distribution: {path}: {error}")
            continue
        if digest in held_out or trained.find(hashes.from_hex([digest]))[1].all():
            say(f"left out of the null distribution: {path}: its pixels are those of another picture")
            continue
        held_out[digest] = CalibrationPicture(digest, path=path)
    return [held_out[digest] for digest in sorted(held_out)]


def embed(
    sampled: Sequence[CalibrationPicture],
    reader: CalibrationReader,
    facts: Facts,
    encoder: Encoder,
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
    table = _table(facts, encoder, views)
    done = set(zip(*table.read(["pixel_sha256", "edit"]).to_pydict().values(), strict=True))
    due = [picture for picture in sampled if picture.key not in done]
    size = max(1, at_once // len(views))
    for batch in batched(track(due, "embedding pictures of the null distribution", len(due)), size):
        _embed(batch, reader, table, encoder, views, left_out)
    left_out.say_waiting()
    gone = done - {picture.key for picture in sampled}
    for keys in batched(sorted(gone), _DELETED):
        table.delete(
            " or ".join(f"({equals('pixel_sha256', digest)} and {equals('edit', edit)})" for digest, edit in keys)
        )
    for batch in batched(sampled, _AT_ONCE):
        yield _stored(table, batch, [view.name for view in views])


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


def _embed(
    batch: Iterable[CalibrationPicture],
    reader: CalibrationReader,
    table: FactTable,
    encoder: Encoder,
    views: Sequence[View],
    left_out: LeftOut,
) -> None:
    keys, parts = [], []
    for picture in batch:
        try:
            pixels = reader.pixels(picture)
        except (OSError, ValueError) as error:
            left_out.add(picture.path or picture.digest, error)
            continue
        keys.append(picture.key)
        parts += [view.cut(pixels) for view in views]
    if keys:
        digest, edit = (np.repeat(column, len(views)).tolist() for column in zip(*keys, strict=True))
        names = [view.name for view in views] * len(keys)
        vector = vector_column(fingerprint.embed(encoder, parts))
        table.upsert(pa.table({"pixel_sha256": digest, "edit": edit, "view": names, "vector": vector}))


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

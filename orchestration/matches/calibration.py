"""The pictures that p-values rest on: which they are, their views' embeddings, and what pixels say of their matches.

What belongs here: choosing, reading, embedding and comparing, each done once a picture and kept. What does not: the
null distribution (`transforms/matches/null_distribution.py`), the assets (`defs/calibration.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import FactTable, literal
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import COPY
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.fingerprints.stored_vectors import StoredVectors
from orchestration.matches import candidates
from orchestration.matches.search import Pool
from orchestration.progress import say, track
from orchestration.runtime.resources import Warehouse
from transforms import pictures
from transforms.alignment.comparer import Comparer
from transforms.encoders import Vectors
from transforms.fingerprints.fingerprint import embed, vector_column
from transforms.hashing import hashes
from transforms.hashing.digest_arrays import Lookup
from transforms.hashing.hashes import from_hex
from transforms.matches import edits, null_distribution
from transforms.matches.edits import Edit
from transforms.pictures import PICTURE_ENDINGS, Pixels

CODE = 1  # raise when the same pictures would be edited or embedded otherwise
NOT_TRAINED = "not_trained"
_LEAST_SIDE = 32  # pixels that an edit needs


@dataclass(frozen=True)
class Heads:
    """The different training pictures that are searched, one a cluster, in the order in which their vectors lie.

    ids: uint64 (n,). digests: uint8 (n, 32), the SHA-256 of their pixels. rows: their vectors.
    """

    ids: npt.NDArray[np.uint64]
    digests: npt.NDArray[np.uint8]
    rows: StoredVectors


def heads(warehouse: Warehouse) -> Heads:
    """Read which pictures are searched; their vectors stay where they are."""
    pool = Pool.read(warehouse, usable_pictures(warehouse.facts))
    rows, numbers = pool.heads()
    return Heads(pool.training.ids[numbers], pool.training.digests[numbers], rows)


@dataclass(frozen=True)
class Picture:
    """A picture that calibrates. position: among the searched; None where it was held out, which then has a path.

    edit: what is done to it before it is searched with; other: the position of the picture that fills the rest.
    """

    digest: str
    position: int | None = None
    path: str | None = None
    edit: Edit | None = None
    other: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Its pixels and its edit, as facts are keyed."""
        return self.digest, self.edit.name if self.edit else ""

    @property
    def population(self) -> str:
        """What is known of it: `not_trained`, or how much of a training picture it shows."""
        return self.edit.kind if self.edit else NOT_TRAINED


def sampled(warehouse: Warehouse, training: Heads) -> list[Picture]:
    """Return the pictures whose digests are smallest: training pictures, held-out ones, then edited copies."""
    limits, chosen = warehouse.settings.limits, warehouse.settings.calibration
    positions = null_distribution.smallest(training.digests, limits.null_sample).tolist()
    digests = {p: training.digests[p].tobytes().hex() for p in positions}
    trained, known = Lookup(training.digests), set()
    held_out = []
    for path in held_out_paths(warehouse):
        try:
            digest = hashes.pixel_sha256(_read(warehouse, path))
        except (OSError, ValueError) as error:
            say(f"left out of the null distribution: {path}: {error}")
            continue
        if digest in known or trained.find(from_hex([digest]))[1].all():
            say(f"left out of the null distribution: {path}: its pixels are those of another picture")
            continue
        known.add(digest)
        held_out.append(Picture(digest, path=path))
    held_out = sorted(held_out, key=lambda picture: picture.digest)[: limits.null_sample]
    trials = [
        # which edit a picture gets hangs on its digest, and stays when the sample grows
        Picture(digests[p], p, edit=edits.EDITS[int(digests[p][:8], 16) % len(edits.EDITS)], other=other)
        for p, other in zip(positions, positions[1:] + positions[:1], strict=True)
    ]
    return [*(Picture(digests[p], p) for p in positions), *held_out, *trials[: chosen.trials]]


def held_out_paths(warehouse: Warehouse) -> list[str]:
    """Return the held-out pictures' paths. Raises NotADirectoryError for a folder that is not there."""
    folder = warehouse.settings.calibration.held_out
    if folder is None:
        return []
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"no folder of held-out pictures at {folder}; correct `calibration.held_out`")
    return [str(p) for p in sorted(Path(folder).rglob("*")) if p.suffix.lower() in PICTURE_ENDINGS and p.is_file()]


def _read(warehouse: Warehouse, path: str) -> Pixels:
    if Path(path).stat().st_size > warehouse.rules.member_bytes:
        raise ValueError(f"more than limits.member_bytes = {warehouse.rules.member_bytes} bytes")
    return pictures.decode(Path(path).read_bytes(), warehouse.rules.max_pixels)


def shown(warehouse: Warehouse, training: Heads, picture: Picture) -> Pixels:
    """Return a picture as it is searched with. Raises OSError or ValueError where it cannot be read or edited."""
    if picture.position is None:
        return _read(warehouse, str(picture.path))
    source = warehouse.training_picture(int(training.ids[picture.position]))
    if picture.edit is None or picture.other is None:
        return source
    other = warehouse.training_picture(int(training.ids[picture.other]))
    if min(*source.shape[:2], *other.shape[:2]) < _LEAST_SIDE:
        raise ValueError(f"a side of fewer than {_LEAST_SIDE} pixels cannot be edited")
    seed = int(picture.digest[:16], 16)
    return picture.edit.apply(source, other, np.random.default_rng(seed))


def embedded(
    warehouse: Warehouse, training: Heads, wanted: Sequence[Picture]
) -> Iterator[tuple[list[Picture], Vectors]]:
    """Yield pictures and their views' vectors, float32 (n, views, d), a batch at a time; only new ones are embedded.

    A picture that cannot be read is said and left out. What is no longer wanted is forgotten.
    """
    table = _bound(warehouse)
    done = set(zip(*table.read(["pixel_sha256", "edit"]).to_pydict().values(), strict=True))
    due = [picture for picture in wanted if picture.key not in done]
    size = max(1, warehouse.pace.batch // len(warehouse.views))
    for batch in batched(track(due, "embedding pictures of the null distribution", len(due)), size):
        _embed(warehouse, training, batch, table)
    gone = done - {picture.key for picture in wanted}
    for keys in batched(sorted(gone), 200):
        table.delete(" or ".join(_is(key) for key in keys))
    for part in batched(wanted, 256):
        yield _stored(table, part, [view.name for view in warehouse.views])


def _bound(warehouse: Warehouse) -> FactTable:
    encoder = warehouse.encoder(COPY).id
    table = warehouse.facts["calibration_embeddings"]
    table.reset(str(encoder), encoder.dimension)
    made_by = recipe("calibration embeddings", CODE, warehouse.views, [edit.name for edit in edits.EDITS])
    if table.recipe != made_by:
        table.clear()
        table.note_recipe(made_by)
    return warehouse.facts.embeddings(table.name, str(encoder), encoder.dimension)


def _embed(warehouse: Warehouse, training: Heads, batch: Iterable[Picture], table: FactTable) -> None:
    keys, views = [], []
    for picture in batch:
        try:
            pixels = shown(warehouse, training, picture)
        except (OSError, ValueError) as error:
            say(f"left out of the null distribution: {picture.path or picture.digest}: {error}")
            continue
        keys.append(picture.key)
        views += [view.cut(pixels) for view in warehouse.views]
    if keys:
        digest, edit = (np.repeat(column, len(warehouse.views)).tolist() for column in zip(*keys, strict=True))
        names = [view.name for view in warehouse.views] * len(keys)
        vector = vector_column(embed(warehouse.encoder(COPY), views))
        table.upsert(pa.table({"pixel_sha256": digest, "edit": edit, "view": names, "vector": vector}))


def _is(key: tuple[str, str]) -> str:
    return f"(pixel_sha256 = {literal(key[0])} and edit = {literal(key[1])})"


def _stored(table: FactTable, wanted: Sequence[Picture], views: Sequence[str]) -> tuple[list[Picture], Vectors]:
    digests = ", ".join(sorted({literal(picture.digest) for picture in wanted}))
    rows = table.read(["pixel_sha256", "edit", "view", "vector"], f"pixel_sha256 in ({digests})")
    names = (rows[name].to_pylist() for name in ("pixel_sha256", "edit", "view"))
    place = {key: number for number, key in enumerate(zip(*names, strict=True))}
    known = [picture for picture in wanted if (*picture.key, views[0]) in place]
    if not known:
        return [], np.empty((0, len(views), 0), np.float32)
    flat = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    order = [place[(*picture.key, view)] for picture in known for view in views]
    return known, flat[order].reshape(len(known), len(views), flat.shape[1])


@dataclass(frozen=True)
class Found:
    """What a calibrating picture was found to match. position: among the searched; its source for an edited copy."""

    picture: Picture
    position: int
    score: float
    background: float
    confirmed: bool | None = None
    failure: str | None = None


def compared(warehouse: Warehouse, training: Heads, found: Sequence[Found]) -> list[Found]:
    """Lay each picture over its match by pixels, where that was not done before."""
    table = warehouse.facts["calibration_comparisons"]
    made_by = recipe("calibration comparisons", CODE, candidates.CODE, warehouse.pixel_limits)
    table.delete(f"recipe <> {literal(made_by)}")
    known = {(r["pixel_sha256"], r["edit"], r["source_sha256"]): r for r in table.read().to_pylist()}

    def load(name: Picture | int) -> Pixels:
        if isinstance(name, int):
            return warehouse.training_picture(int(training.ids[name]))
        return shown(warehouse, training, name)

    compare = Comparer[Picture | int](load, warehouse.pixel_limits)
    made, told = [], []
    for each in track(found, "comparing pictures of the null distribution", len(found)):
        key = (*each.picture.key, training.digests[each.position].tobytes().hex())
        row = known.get(key)
        if row is None:
            row = dict(zip(("pixel_sha256", "edit", "source_sha256"), key, strict=True)) | {"recipe": made_by}
            row |= _verdict(compare, each, warehouse)
            made.append(row)
        told.append(replace(each, confirmed=row["confirmed"], failure=row["failure"]))
    table.upsert(pa.Table.from_pylist(made, table.schema))
    return told


def _verdict(compare: Comparer[Picture | int], found: Found, warehouse: Warehouse) -> dict[str, object]:
    try:
        alignment = compare(found.picture, found.position)
    except (OSError, ValueError) as error:
        return {"confirmed": None, "failure": str(error)}
    return {"confirmed": alignment is not None and alignment.confirmed(warehouse.pixel_limits), "failure": None}

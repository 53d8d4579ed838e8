"""Opt-outs by likeness: training rows whose picture looks like one that a list names, by its hash or by itself.

What belongs here: finding the listed pictures, and comparing equal bytes, equal pixels and hashes, a PDQ hash in any of
eight rotations and reflections. What does not: their fingerprints and what pixels confirm
(`matches/listed_pictures.py`, `matches/listed_copies.py`), entries that name a row by an equal value, and the tables
(`catalog/opt_outs.py`).
"""

import glob
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.facts import Facts
from orchestration.progress import track
from transforms.catalog.opt_outs import OptOutListError
from transforms.fingerprints.fingerprint import FAILED, OK
from transforms.hashing import digest_arrays
from transforms.hashing.hashes import from_hex
from transforms.joins.hamming import join
from transforms.pictures import PICTURE_ENDINGS
from transforms.storage.stores import plain

HIT = pa.schema({"entry": pa.int64(), "sample_id": pa.uint64(), "method": pa.string(), "distance": pa.int32()})
_COLUMNS = ("sample_id", "sha256", "pixel_sha256", "pdq", "pdq_quality")


@dataclass
class ListedHashes:
    """The hashes that opt-out lists name, each by the number of its entry.

    Attributes:
        digests: Entries by the SHA-256 of bytes or of pixels.
        hashes: PDQ hashes, uint8 of shape (32,).
        entries: The entry of each hash.
        radii: Bits in which a row's hash may differ from each.
    """

    digests: dict[bytes, list[int]] = field(default_factory=lambda: defaultdict(list))
    hashes: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    radii: list[int] = field(default_factory=list)

    def add_hash(self, entry: int, pdq: str, radius: int) -> None:
        """Ask for a PDQ hash.

        Args:
            entry: The number of the entry.
            pdq: In hexadecimal.
            radius: Bits.
        """
        self._add(entry, from_hex([pdq]), radius)

    def add_picture(self, entry: int, picture: Mapping[str, Any], radius: int) -> None:
        """Ask for a picture, by its bytes, its pixels and its hashes.

        Args:
            entry: The number of the entry.
            picture: Its row of `listed_pictures`.
            radius: Bits.
        """
        for digest in {picture["listed_sha256"], picture["pixel_sha256"]}:
            self.digests[bytes.fromhex(digest)].append(entry)
        if picture["status"] == OK:
            self._add(entry, from_hex(picture["dihedral_pdq"]), radius)

    def _add(self, entry: int, hashes: npt.NDArray[np.uint8], radius: int) -> None:
        self.hashes.extend(hashes)
        self.entries.extend([entry] * len(hashes))
        self.radii.extend([radius] * len(hashes))


def find_pictures(name: str, place: str) -> list[Path]:
    """Return the picture files of an opt-out list, in order.

    Args:
        name: The list.
        place: A folder, all of whose folders count, or a glob.

    Raises:
        OptOutListError: If there is none.
    """
    folder = Path(place)
    found = folder.rglob("*") if folder.is_dir() else (Path(each) for each in glob.glob(place, recursive=True))  # noqa: PTH207
    # a link to nothing is listed, and cannot be read: left out, its rows would count again
    listed = (path for path in found if path.suffix.lower() in PICTURE_ENDINGS)
    pictures = sorted(path for path in listed if path.is_file() or not path.exists())
    if not pictures:
        raise OptOutListError(
            f"the opt-out list {name} has no picture at {place}; put them there, correct `pictures`, or remove it from "
            "`recalls` if it is withdrawn"
        )
    return pictures


def name_of(path: Path, place: str) -> str:
    """Return a picture's name below the folder of an opt-out list.

    Args:
        path: The picture.
        place: The folder, or the glob that names it.
    """
    folder = Path(place)
    return plain(path.relative_to(folder).as_posix() if folder.is_dir() else path.name)


def hits(facts: Facts, asked: ListedHashes, quality: int, memory: int) -> Iterator[pa.Table]:
    """Yield the rows that show what is asked for, as tables of HIT; a row and an entry may come several times.

    Args:
        facts: The fact tables; fingerprints are read.
        asked: What is looked for.
        quality: From which a PDQ hash means something.
        memory: Bytes that may be held; it changes no result.
    """
    wanted, hashes = (
        pa.array(list(asked.digests), pa.binary(digest_arrays.BYTES)),
        np.array(asked.hashes, np.uint8).reshape(-1, 32),
    )
    at_once, held, rows = join.at_once(memory), list[pa.RecordBatch](), 0
    scanned = facts["image_fingerprints"].scan(_COLUMNS, f"status <> '{FAILED}'")
    for batch in track(scanned, "comparing with listed pictures", None, len):
        for method in ("sha256", "pixel_sha256") if len(wanted) else ():
            equal = batch.filter(pc.is_in(batch.column(method), value_set=wanted))
            yield from _equal(equal, method, asked)
        held.append(batch.filter(pc.fill_null(pc.greater_equal(batch.column("pdq_quality"), quality), False)))
        rows += len(held[-1])
        if rows >= at_once:
            yield from _near(held, hashes, asked)
            held, rows = [], 0
    yield from _near(held, hashes, asked)


def _equal(rows: pa.RecordBatch, column: str, asked: ListedHashes) -> Iterator[pa.Table]:
    pairs = [
        (entry, sample_id)
        for sample_id, digest in zip(rows.column("sample_id").to_pylist(), rows.column(column).to_pylist(), strict=True)
        for entry in asked.digests[digest]
    ]
    if pairs:
        entries, ids = zip(*pairs, strict=True)
        method = "sha256" if column == "sha256" else "pixels"
        yield pa.table([entries, ids, [method] * len(pairs), [0] * len(pairs)], schema=HIT)


def _near(held: Sequence[pa.RecordBatch], hashes: npt.NDArray[np.uint8], asked: ListedHashes) -> Iterator[pa.Table]:
    if not len(hashes) or not held:
        return
    rows = pa.Table.from_batches(held).combine_chunks()
    if not len(rows):
        return
    ids = rows["sample_id"].to_numpy()
    known = digest_arrays.rows(pa.chunked_array(rows["pdq"]).combine_chunks())
    entries, radii = np.array(asked.entries, np.int64), np.array(asked.radii, np.int64)
    for pairs in join.cross_join(hashes, known, int(radii.max())):
        within = pairs.distance <= radii[pairs.left]
        found = int(within.sum())
        yield pa.table(
            [
                entries[pairs.left[within]],
                ids[pairs.right[within]],
                pa.array(["pdq"] * found, pa.string()),
                pairs.distance[within].astype(np.int32),
            ],
            schema=HIT,
        )

"""The map of meanings as files: a page with its data, and the same points as Parquet.

    atlas.html        the page, which needs no server and no network
    pages/data/       what it loads
    atlas.parquet     the points, for embedding-atlas and anything else

What belongs here: which pictures are on the map, their places, and writing all of it. What does not: the layout
(`transforms/provenance/layout.py`), the look of the page (`transforms/reports/atlas_page.py`).

Vectors are read in blocks; what is held is those of the layout's sample, and 100 bytes a point besides its texts.
"""

import errno
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.facts import Facts
from orchestration.facts.schemas.tables import encoder_of
from orchestration.fingerprints.kinds import EMBEDDINGS, SEMANTIC
from orchestration.progress import track
from orchestration.provenance.meaning import generation_vectors
from orchestration.provenance.meaning.finder import NotSearchable
from orchestration.reports.page_data import CAPTION, LONG, DataFolder, publication, text
from orchestration.reports.pictures import PictureReader
from orchestration.warehouse.queries import query
from transforms.encoders import Vectors
from transforms.provenance import layout
from transforms.provenance.layout import Places
from transforms.reports import atlas_page
from transforms.reports.atlas_page import CHUNK, KINDS, PART, AtlasPage
from transforms.storage import staging

PAGE, PARQUET, FOLDER = "atlas.html", "atlas.parquet", "pages"
SEED = 17
_BLOCK = 16_384  # vectors read at once
_LICENCES = 60  # on the page; the others are one
_OTHERS, _WITHOUT = "other licences", "no concept"


@dataclass(frozen=True)
class AtlasExtent:
    """How much is on the map.

    Attributes:
        points: Training pictures at most, and generations at most.
        fitted: Of both together, those that the layout is made of; the others are placed beside them.
        pictured: Training pictures of which the page has a small copy.
    """

    points: int
    fitted: int
    pictured: int


def write(
    con: duckdb.DuckDBPyConnection, home: Path, folder: Path, extent: AtlasExtent, pictures: PictureReader
) -> list[Path]:
    """Write the map of a published version, all or nothing. It replaces an earlier one in the folder, and nothing else.

    Args:
        con: A connection to the version.
        home: The folder of the warehouse, for its vectors.
        folder: Where the map is written.
        extent: How much is on it.
        pictures: Reader of the training pictures.

    Returns:
        The files to open.

    Raises:
        NotSearchable: If the version has no embedding by meaning.
        LayoutUnavailable: If umap-learn is needed and not installed.
        OSError: If something else is in the place of the files, or the file system refuses.
    """
    _require_free(folder)
    version = publication(con)
    facts = Facts(home / "facts")
    tables = [facts.as_published(name, version.number) for name in (EMBEDDINGS[SEMANTIC], generation_vectors.TABLE)]
    training, generations = (
        _Embedded(table, key) for table, key in zip(tables, ("sample_id", "generation_id"), strict=True)
    )
    rows = training.among(_rows(con, "training", extent.points), "sample_id")
    if not rows:
        raise NotSearchable(
            f"version {version.number} has no embedding by meaning: set `encoders.semantic`, and run again"
        )
    drawn = generations.among(_rows(con, "generations", extent.points), "name")
    _place_concepts(facts, version.number, drawn)
    places = _places([(training, rows), (generations, drawn)], extent.fitted)
    names = [name for _, name in con.execute(query("atlas/concepts")).fetchall()]
    [(all_training, all_generations)] = con.execute(query("atlas/totals")).fetchall()
    with staging.staging_folder(folder) as partial:
        points = [*rows, *drawn]
        table = _table(points, places, names)
        pq.write_table(table, partial / PARQUET, compression="zstd")
        licences = _licences(rows)
        _write_data(DataFolder(partial / FOLDER / "data"), points, places, (names, licences), extent, pictures)
        page = AtlasPage(
            training=len(rows),
            all_training=all_training,
            generations=len(drawn),
            all_generations=all_generations,
            concepts=[*names, _WITHOUT],
            licences=licences,
            encoder=training.encoder,
            pictured=min(extent.pictured, len(rows)),
            version=version.number,
            published_at=version.published_at,
        )
        (partial / PAGE).write_text(atlas_page.render(page), encoding="utf-8")
        staging.replace_folder(partial / FOLDER, folder / FOLDER)
        for name in (PARQUET, PAGE):
            (partial / name).replace(folder / name)
    return [folder / PAGE, folder / PARQUET]


class _Embedded:
    """The vectors of a table, by what they are of."""

    def __init__(self, table: lance.LanceDataset | None, key: str) -> None:
        self._table, self._key = table, key
        self.encoder = encoder_of(table.schema) if table else ""

    def among(self, rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
        """Return the rows that have a vector, each with its place in the table.

        Args:
            rows: Any rows.
            name: Their column that has the key.
        """
        if self._table is None:
            return []
        kind, at, start = self._table.schema.field(self._key).type, dict[Any, int](), 0
        wanted = pa.array([row[name] for row in rows], kind)
        for batch in self._table.to_batches(columns=[self._key]):
            found = np.flatnonzero(pc.is_in(batch.column(0), wanted).to_numpy(zero_copy_only=False))
            at |= zip(batch.column(0).take(pa.array(found)).to_pylist(), (start + found).tolist(), strict=True)
            start += len(batch)
        return [row | {"at": at[row[name]]} for row in rows if row[name] in at]

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Vectors:
        """Return the vectors of some rows, float32 (n, d)."""
        if self._table is None:
            return np.empty((0, 0), np.float32)
        column = self._table.take([row["at"] for row in rows], columns=["vector"])["vector"].combine_chunks()
        return np.array(column.flatten(), np.float32).reshape(len(rows), -1)


def _rows(con: duckdb.DuckDBPyConnection, name: str, most: int) -> list[dict[str, Any]]:
    return con.execute(query(f"atlas/{name}"), {"most": most}).to_arrow_table().to_pylist()


def _place_concepts(facts: Facts, version: int, drawn: Sequence[dict[str, Any]]) -> None:
    """Give generations the concepts that they fall in."""
    table = facts.as_published("generation_concepts", version)
    rows = table.to_table(columns=["generation_id", "concept_id"]).to_pylist() if table else []
    of = {row["generation_id"]: row["concept_id"] for row in rows}
    for row in drawn:
        row["concept_id"] = of.get(row["name"])


def _places(parts: Sequence[tuple[_Embedded, Sequence[Mapping[str, Any]]]], fitted: int) -> Places:
    """Lay a sample out, place the others beside it, and return all places in the unit square."""
    whole = sum(len(rows) for _, rows in parts)
    shares = [len(rows) if whole <= fitted else round(fitted * len(rows) / whole) for _, rows in parts]
    sample = np.concatenate(
        [each.read(rows[:share]) for (each, rows), share in zip(parts, shares, strict=True) if share]
    )
    known = layout.laid_out(sample, SEED)
    placed, start = [], 0
    for (each, rows), share in zip(parts, shares, strict=True):
        placed.append(known[start : start + share])
        start += share
        blocks = range(share, len(rows), _BLOCK)
        for first in track(blocks, "placing points", len(blocks)):
            placed.append(layout.beside(each.read(rows[first : first + _BLOCK]), sample, known))
    return layout.within_unit(np.concatenate(placed))


def _table(points: Sequence[Mapping[str, Any]], places: Places, names: Sequence[str]) -> pa.Table:
    """Return the points as a table; embedding-atlas opens it by `--x x --y y --text caption`."""
    columns = {
        name: pa.array([row[name] for row in points], kind)
        for name, kind in (
            ("name", pa.string()),
            ("kind", pa.string()),
            ("sample_id", pa.uint64()),
            ("caption", pa.string()),
            ("url", pa.string()),
            ("license", pa.string()),
            ("origin", pa.string()),
            ("rows", pa.int64()),
            ("copied_by", pa.int64()),
            ("verdict", pa.string()),
        )
    }
    columns["concept"] = pa.array([_concept(row, names) for row in points], pa.string())
    for axis, values in zip("xy", places.T, strict=True):
        columns[axis] = pa.array(np.ascontiguousarray(values), pa.float32())
    return pa.table(columns)


def _concept(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return None if row["concept_id"] is None else names[row["concept_id"]]


def _licences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = Counter(row["license"] for row in rows)
    first = sorted(counts, key=lambda name: (-counts[name], name))
    return first if len(first) <= _LICENCES else [*first[:_LICENCES], _OTHERS]


def _write_data(
    data: DataFolder,
    points: Sequence[Mapping[str, Any]],
    places: Places,
    names: tuple[Sequence[str], Sequence[str]],
    extent: AtlasExtent,
    pictures: PictureReader,
) -> None:
    concepts, licences = names
    numbers = {name: number for number, name in enumerate(licences)}
    kinds = np.array([KINDS.index("copied" if row["copied_by"] else row["kind"]) for row in points], np.uint8)
    concept = np.array([len(concepts) if row["concept_id"] is None else row["concept_id"] for row in points], np.uint16)
    licence = np.array([numbers.get(row["license"], len(licences) - 1) for row in points], np.uint8)
    for part, start in enumerate(range(0, len(points), CHUNK)):
        chunk = slice(start, start + CHUNK)
        columns = places[chunk], kinds[chunk], concept[chunk], licence[chunk]
        data.write("places", part, atlas_page.places(*columns))
    for part, start in enumerate(range(0, len(points), PART)):
        some = points[start : start + PART]
        shown = min(max(0, extent.pictured - start), PART)
        data.write("points", part, list(_details(some, concepts, shown, pictures)))


def _details(
    points: Sequence[Mapping[str, Any]], concepts: Sequence[str], shown: int, pictures: PictureReader
) -> Iterator[dict[str, object]]:
    pictured = [row["sample_id"] is not None and number < shown for number, row in enumerate(points)]
    wanted = [row["sample_id"] for row, there in zip(points, pictured, strict=True) if there]
    small = iter(pictures.thumbnails_of(wanted))
    for row, there in zip(points, pictured, strict=True):
        thumbnail = next(small) if there else None
        yield {
            "name": text(row["name"]),
            "caption": text(row["caption"], CAPTION),
            "picture": thumbnail,
            "unsafe": row["unsafe"],
            "facts": [[name, text(value)] for name, value in _facts(row, concepts)],
        }


def _facts(row: Mapping[str, Any], concepts: Sequence[str]) -> Iterator[tuple[str, str]]:
    if row["sample_id"] is None:
        yield "verdict", row["verdict"].replace("_", " ")
        yield "source", row["origin"]
    else:
        yield "shown by", f"{row['rows']:,} training row{'' if row['rows'] == 1 else 's'} of {row['origin']}"
        if row["copied_by"]:
            yield "copied by", f"{row['copied_by']:,} generation{'' if row['copied_by'] == 1 else 's'}"
        yield "licence", row["license"]
        yield "URL", (row["url"] or "not stated")[:LONG]
    if row["concept_id"] is not None:
        yield "concept", concepts[row["concept_id"]]


def _require_free(folder: Path) -> None:
    """Refuse a folder that holds other files in the place of ours."""
    inner = folder / FOLDER
    if inner.exists() and not (folder / PARQUET).is_file():
        raise FileExistsError(errno.EEXIST, "not of an earlier map; choose another folder with --to", str(inner))

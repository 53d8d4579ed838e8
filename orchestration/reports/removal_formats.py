"""A removal list in the formats of the tools that remove or fetch rows.

What belongs here: writing files that img2dataset, DataComp's resharder and datatrove read. What does not: choosing the
rows, the folder as a whole (`reports/removal_lists.py`).

    img2dataset/DATASET.parquet         every row that stays: `--url_list`, with url, caption, uid and sample_id
    datacomp/DATASET.npy                their uids, where these are 32 hexadecimal digits: `resharder.py --subset-file`
    datatrove/DATASET/000000.remove     row numbers that go, one file for each metadata file, beside .clusters and
                                        .sizes: `MinhashDedupFilter(folder)` behind a reader with `paths_file=paths.txt`

The rows that go are in the temporary table `leaving`, by sample_id.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.warehouse.queries import query

FOLDERS = ("img2dataset", "datacomp", "datatrove")
TABLES = ("files", "numbered")
"""The temporary tables that `write` creates and does not drop."""
_BATCH = 50_000
_UID = np.dtype("u8,u8")  # the two halves of 128 bits, as DataComp's resharder reads them


def write(con: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Write the files of every dataset.

    Args:
        con: a connection to a published version, with the table `leaving`.
        folder: The folder to write into.

    Returns:
        Sentences for the reader of the files.
    """
    for table in TABLES:
        con.execute(f"create temp table {table} as {query(f'removal/{table}')}")
    notes = []
    datasets = [name for (name,) in con.execute("select distinct dataset from catalog.shards order by 1").fetchall()]
    for dataset in datasets:
        (folder / "img2dataset").mkdir(exist_ok=True)
        stream(con, query("removal/staying"), [dataset], folder / "img2dataset" / f"{dataset}.parquet")
        notes += _write_uids(con, folder / "datacomp" / f"{dataset}.npy", dataset)
        notes += _write_documents(con, folder / "datatrove" / dataset, dataset)
    return notes


def tasks(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the metadata files of each dataset in the order of datatrove's tasks. Call `write` first."""
    paths: dict[str, list[str]] = {}
    for dataset, path in con.execute("select dataset, metadata_path from files order by dataset, rank").fetchall():
        paths.setdefault(dataset, []).append(path)
    return paths


def stream(con: duckdb.DuckDBPyConnection, select: str, values: list[str], path: Path) -> None:
    """Write the rows of a query as Parquet.

    Args:
        con: a connection to a published version.
        select: The query.
        values: Its parameters.
        path: The file to write.
    """
    reader = con.execute(select, values).to_arrow_reader(_BATCH)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_uids(con: duckdb.DuckDBPyConnection, path: Path, dataset: str) -> list[str]:
    """Write the remaining uids in the order that DataComp's resharder searches. If it writes none, return why."""
    [(rows, digits)] = con.execute(
        "select count(*), count(*) filter (where regexp_full_match(uid, '[0-9a-fA-F]{32}')) "
        "from catalog.samples where dataset = ?",
        [dataset],
    ).fetchall()
    if not rows or digits < rows:
        return [f"{dataset}: no datacomp/{dataset}.npy, as {rows - digits:,} of {rows:,} rows have no uid of 32 digits"]
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        count, last = _write_header(file, 0), np.empty((0, 2), np.uint64)
        for batch in con.execute(query("removal/uids"), [dataset]).to_arrow_reader(_BATCH):
            uids = np.column_stack([batch.column("high").to_numpy(), batch.column("low").to_numpy()])
            uids = np.concatenate([last, uids])
            # Each uid once: the resharder writes a picture as often as it finds its uid.
            changes = np.flatnonzero((uids[1:] != uids[:-1]).any(axis=1)) + 1
            distinct = uids[changes] if len(last) else np.concatenate([uids[:1], uids[changes]])
            file.write(distinct.astype("<u8").tobytes())
            count, last = count + len(distinct), uids[-1:]
        _write_header(file, count)
    return []


def _write_header(file: BinaryIO, count: int) -> int:
    """Write the header of a .npy file, whose length does not depend on the count. Return the count."""
    file.seek(0)
    shape = {"descr": np.lib.format.dtype_to_descr(_UID), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, shape)
    return count


def _write_documents(con: duckdb.DuckDBPyConnection, folder: Path, dataset: str) -> list[str]:
    """Write what datatrove's MinhashDedupCluster writes: three files of little-endian uint32 for each metadata file.

    `.remove` holds row numbers. `.clusters` and `.sizes` hold pairs: a row number with its cluster, or with the rows in
    that cluster. Row numbers ascend.
    """
    files = con.execute("select rank, metadata_path from files where dataset = ? order by rank", [dataset]).fetchall()
    if not files:
        return [f"{dataset}: no datatrove/{dataset}, as its rows come from no metadata file of their own"]
    folder.mkdir(parents=True)
    paths = [path for _, path in files]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if "://" not in paths[0] else ""  # noqa: PTH120
    lines = [os.path.relpath(path, root) if root else path for path in paths]
    (folder / "paths.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for rank, _ in files:  # empty files too: without them datatrove gives a file's documents no cluster
        for kind in ("remove", "clusters", "sizes"):
            (folder / f"{rank:06d}.{kind}").touch()
    for batch in con.execute(query("removal/documents"), [dataset]).to_arrow_reader(_BATCH):
        _append(folder, batch)
    start = f"relative to {root}" if root else "absolute"
    return [f"{dataset}: the paths in datatrove/{dataset}/paths.txt are {start}"]


def _append(folder: Path, batch: pa.RecordBatch) -> None:
    rank = batch.column("rank").to_numpy()
    row = batch.column("row_number").to_numpy().astype("<u4")
    removed = batch.column("removed").to_numpy(zero_copy_only=False)
    clustered = batch.column("number").is_valid().to_numpy(zero_copy_only=False)
    number, size = (batch.column(name).fill_null(0).to_numpy().astype("<u4") for name in ("number", "size"))
    ends = [0, *(np.flatnonzero(np.diff(rank)) + 1).tolist(), len(rank)]
    for first, last in pairwise(ends):
        part = slice(first, last)
        inside = clustered[part]
        for kind, values in (
            ("remove", row[part][removed[part]]),
            ("clusters", np.column_stack([row[part], number[part]])[inside]),
            ("sizes", np.column_stack([row[part], size[part]])[inside]),
        ):
            with (folder / f"{rank[first]:06d}.{kind}").open("ab") as file:
                file.write(np.ascontiguousarray(values).tobytes())

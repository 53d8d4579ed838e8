"""What a data engineer takes away: the rows that a policy removes, in the formats of the tools that remove them.

What belongs here: from the published tables to files that img2dataset, DataComp's resharder and datatrove read. What
does not: what a policy removes of which cluster (`sql/duplicates/policies.sql`), the curators' report (`exports.py`).

    removal.parquet                     every row that goes, with the row that stays in its place, and why
    img2dataset/DATASET.parquet         every row that stays: `--url_list`, with url, caption, uid and sample_id
    datacomp/DATASET.npy                their uids, where these are 32 hexadecimal digits: `resharder.py --subset-file`
    datatrove/DATASET/000000.remove     row numbers that go, a file a metadata file, beside .clusters and .sizes:
                                        `MinhashDedupFilter(folder)` behind a reader with `paths_file=paths.txt`
    README.md, manifest.json            how to use them; policy, version, counts, and the SHA-256 of every file

All is streamed: a table of what goes lies in DuckDB, which spills it to disk, and nothing else is held.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.hashes import file_sha256

LIST, MANIFEST, README = "removal.parquet", "manifest.json", "README.md"
PARTS = (LIST, "img2dataset", "datacomp", "datatrove", README, MANIFEST)
_BATCH = 50_000
_UID = np.dtype("u8,u8")  # the two halves of 128 bits, as DataComp's resharder wants them

# A row goes by the same rule as duplicates.policies counts it by; recalled rows always go.
_LEAVING = """
create temp table leaving as
with policy as (select rule, level from duplicates.policies where policy = ?),
heads as (select cluster_id, sample_id as kept_sample_id from duplicates.clusters where rank = 1)
select
    clusters.sample_id, clusters.cluster_id,
    if(policy.rule = 'drop_from', null, heads.kept_sample_id) as kept_sample_id,
    counts.duplicate_count, clusters.distance_to_representative, clusters.method, 'duplicate' as reason
from duplicates.clusters
join duplicates.counts using (cluster_id)
join heads using (cluster_id)
cross join policy
where case policy.rule
    when 'keep' then clusters.rank > policy.level
    when 'drop_from' then counts.duplicate_count >= policy.level
    else clusters.rank > 1 and clusters.distance_to_representative <= policy.level
end
union all
select sample_id, cluster_id, null, live_rows, null, null, 'recalled' from provenance.recalled"""
_LISTED = """
select
    samples.sample_id, samples.dataset, samples.shard, samples.row_number, samples.key, samples.uid, samples.url,
    leaving.cluster_id, leaving.kept_sample_id, kept.url as kept_url, leaving.duplicate_count,
    leaving.distance_to_representative, leaving.method, leaving.reason
from leaving
join catalog.samples as samples using (sample_id)
left join catalog.samples as kept on kept.sample_id = leaving.kept_sample_id
order by samples.dataset, samples.shard, samples.row_number"""
_STAYING = """
select url, caption, uid, sample_id
from catalog.samples anti join leaving using (sample_id)
where dataset = ? and url is not null"""
# In the order of the digits. A uid that a recalled row bears goes, also where a row that stays bears it too.
_UIDS = """
select ('0x' || uid[1:16])::ubigint as high, ('0x' || uid[17:32])::ubigint as low
from catalog.samples anti join leaving using (sample_id)
anti join (select lower(uid) as recalled_uid from catalog.samples where recalled) as recalled
    on recalled_uid = lower(uid)
where dataset = ?
order by high, low"""
_FILES = """
create temp table files as
select
    dataset, shard, metadata_path, row_number() over (partition by dataset order by metadata_path) - 1 as rank
from catalog.shards
where metadata_path is not null"""
_NUMBERED = """
create temp table numbered as
select cluster_id, duplicate_count as size, row_number() over (order by cluster_id) - 1 as number
from duplicates.counts"""
_DOCUMENTS = """
select files.rank, samples.row_number, leaving.sample_id is not null as removed, numbered.number, numbered.size
from catalog.samples as samples
join files using (dataset, shard)
left join leaving using (sample_id)
left join duplicates.clusters as clusters using (sample_id)
left join numbered on numbered.cluster_id = clusters.cluster_id
where samples.dataset = ? and (leaving.sample_id is not null or numbered.number is not null)
order by files.rank, samples.row_number"""


class RemovalError(RuntimeError):
    """A removal list cannot be written; the message says why."""


@dataclass(frozen=True)
class Counts:
    """Rows of the warehouse, and what becomes of them. without_url: rows that stay, but cannot be downloaded."""

    rows: int
    removed_as_duplicates: int
    removed_as_recalled: int
    kept: int
    kept_without_url: int


def policies(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Name the policies of the published version."""
    return [name for (name,) in con.execute("select policy from duplicates.policies").fetchall()]


def write(con: duckdb.DuckDBPyConnection, folder: Path, policy: str, memory: str) -> list[Path]:
    """Write a policy's removal list into `folder`, all or none. Returns the files.

    policy: one of `policies`. memory: what DuckDB may hold, as it takes it. An earlier removal list in the folder is
    replaced; other files there are left alone. Raises RemovalError, or OSError if the file system refuses.
    """
    _require_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        con.execute("set memory_limit = ?", [memory])
        con.execute("set temp_directory = ?", [str(partial / ".spill")])
        counts, notes = _fill(con, partial, policy)
        _describe(con, partial, policy, counts, notes)
        shutil.rmtree(partial / ".spill", ignore_errors=True)
        names = sorted(str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())
        _move(partial, folder)
    finally:
        for table in ("leaving", "files", "numbered"):
            con.execute(f"drop table if exists temp.{table}")
        shutil.rmtree(partial, ignore_errors=True)
    return [folder / name for name in names]


def _require_free(folder: Path) -> None:
    taken = [name for name in PARTS if (folder / name).exists()]
    if taken and not (folder / MANIFEST).exists():
        raise RemovalError(f"{folder / taken[0]} is not of an earlier removal list; choose another folder with --to")


def _move(partial: Path, folder: Path) -> None:
    """Put what is written in the place of an earlier list. The manifest goes first and comes last: it vouches."""
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in PARTS:
        target, made = folder / name, partial / name
        if target.is_dir():
            shutil.rmtree(target)
        elif not made.exists():
            target.unlink(missing_ok=True)
        if made.exists():
            made.replace(target)


def _fill(con: duckdb.DuckDBPyConnection, folder: Path, policy: str) -> tuple[Counts, list[str]]:
    con.execute(_LEAVING, [policy])
    counts = _counts(con, policy)
    _stream(con, _LISTED, [], folder / LIST)
    con.execute(_FILES)
    con.execute(_NUMBERED)
    notes = []
    datasets = [name for (name,) in con.execute("select distinct dataset from catalog.shards order by 1").fetchall()]
    for dataset in datasets:
        (folder / "img2dataset").mkdir(exist_ok=True)
        _stream(con, _STAYING, [dataset], folder / "img2dataset" / f"{dataset}.parquet")
        notes += _write_uids(con, folder / "datacomp" / f"{dataset}.npy", dataset)
        notes += _write_documents(con, folder / "datatrove" / dataset, dataset)
    return counts, notes


def _counts(con: duckdb.DuckDBPyConnection, policy: str) -> Counts:
    [(rows, duplicates, recalled, without)] = con.execute(
        """
        select count(*), count(*) filter (where leaving.reason = 'duplicate'),
            count(*) filter (where leaving.reason = 'recalled'),
            count(*) filter (where leaving.reason is null and samples.url is null)
        from catalog.samples as samples left join leaving using (sample_id)"""
    ).fetchall()
    [(promised,)] = con.execute("select removed_rows from duplicates.policies where policy = ?", [policy]).fetchall()
    if duplicates != promised:
        raise RemovalError(f"{policy} would remove {duplicates:,} rows, but duplicates.policies counts {promised:,}")
    return Counts(rows, duplicates, recalled, rows - duplicates - recalled, without)


def _stream(con: duckdb.DuckDBPyConnection, query: str, values: list[str], path: Path) -> None:
    reader = con.execute(query, values).to_arrow_reader(_BATCH)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_uids(con: duckdb.DuckDBPyConnection, path: Path, dataset: str) -> list[str]:
    """Write the uids that stay, in order, as DataComp's resharder searches them. Says why where it writes none."""
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
        for batch in con.execute(_UIDS, [dataset]).to_arrow_reader(_BATCH):
            found = np.column_stack([batch.column("high").to_numpy(), batch.column("low").to_numpy()])
            found = np.concatenate([last, found])
            # each once: the resharder writes a picture as often as it finds its uid
            fresh = np.flatnonzero((found[1:] != found[:-1]).any(axis=1)) + 1
            made = found[fresh] if len(last) else np.concatenate([found[:1], found[fresh]])
            file.write(made.astype("<u8").tobytes())
            count, last = count + len(made), found[-1:]
        _write_header(file, count)
    return []


def _write_header(file: BinaryIO, count: int) -> int:
    """Write what a .npy begins with, which is as long for any count. Returns the count."""
    file.seek(0)
    shape = {"descr": np.lib.format.dtype_to_descr(_UID), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, shape)
    return count


def _write_documents(con: duckdb.DuckDBPyConnection, folder: Path, dataset: str) -> list[str]:
    """Write what datatrove's MinhashDedupCluster would: little-endian uint32, a file of each kind a metadata file.

    `.remove`: row numbers. `.clusters`, `.sizes`: pairs of row number and cluster, or rows in it. Ascending rows.
    """
    files = con.execute("select rank, metadata_path from files where dataset = ? order by rank", [dataset]).fetchall()
    if not files:
        return [f"{dataset}: no datatrove/{dataset}, as its rows lie in no metadata file of their own"]
    folder.mkdir(parents=True)
    paths = [path for _, path in files]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if "://" not in paths[0] else ""  # noqa: PTH120
    lines = [os.path.relpath(path, root) if root else path for path in paths]
    (folder / "paths.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for rank, _ in files:  # also empty ones: without them datatrove gives the documents of a file no cluster
        for kind in ("remove", "clusters", "sizes"):
            (folder / f"{rank:06d}.{kind}").touch()
    for batch in con.execute(_DOCUMENTS, [dataset]).to_arrow_reader(_BATCH):
        _append(folder, batch)
    return [f"{dataset}: the paths in datatrove/{dataset}/paths.txt lie below {root or 'nothing: they are whole'}"]


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


_ABOUT = """\
# Removal list

Version {version}, policy `{policy}`: {description}.
{counts[removed_as_duplicates]:,} rows go as duplicates and {counts[removed_as_recalled]:,} as recalled, \
{counts[kept]:,} of {counts[rows]:,} stay.

- `removal.parquet`: a row for each that goes. `kept_sample_id` and `kept_url` are the row that stays in its place; NULL
  for recalled rows and for pictures that go altogether. `duplicate_count`: rows that show the picture and are not
  recalled. `distance_to_representative`: PDQ bits of 256. `reason`: duplicate or recalled.
- `img2dataset/DATASET.parquet`: the rows that stay and have a URL. img2dataset has no filter of its own; give it this
  as `--url_list`, with `--input_format parquet --url_col url --caption_col caption
  --save_additional_columns '["uid", "sample_id"]'`.
- `datacomp/DATASET.npy`: the uids that stay, for `resharder.py --subset-file`. Written where every row of the dataset
  has a uid of 32 hexadecimal digits.
- `datatrove/DATASET/`: for `MinhashDedupFilter(folder, load_cluster_ids=True, load_cluster_sizes=True)` behind
  `ParquetReader(data_folder, paths_file="paths.txt", text_key=...)`, with as many tasks as `paths.txt` has lines: task
  n reads line n and `00000n.remove`. A document is a row number. datatrove's readers skip rows without text and would
  number the rest anew: choose a `text_key` that every row has, such as the URL, or an `adapter` that gives one.
{notes}
`manifest.json` has the SHA-256 of every file.
"""


def _describe(con: duckdb.DuckDBPyConnection, folder: Path, policy: str, counts: Counts, notes: list[str]) -> None:
    [(version,)] = con.execute("select max(version) from warehouse.versions").fetchall()
    [(description,)] = con.execute("select description from duplicates.policies where policy = ?", [policy]).fetchall()
    about = {"policy": policy, "description": description, "version": version, "counts": asdict(counts)}
    said = "".join(f"- {note}\n" for note in notes)
    (folder / README).write_text(_ABOUT.format(notes=said, **about), encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in _files(folder)
    }
    tasks: dict[str, list[str]] = {}
    for dataset, path in con.execute("select dataset, metadata_path from files order by dataset, rank").fetchall():
        tasks.setdefault(dataset, []).append(path)
    manifest = about | {"notes": notes, "datatrove_tasks": tasks, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and ".spill" not in path.parts)

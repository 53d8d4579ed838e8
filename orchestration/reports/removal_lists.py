"""What a data engineer takes away: the rows that a policy removes, in the formats of the tools that remove them.

What belongs here: which rows go, a folder that is written as a whole or not at all, and what vouches for it. What does
not: the formats of other tools (`reports/removal_formats.py`), what a policy removes of which cluster
(`sql/duplicates/policies.sql`), the curators' report (`reports/exports.py`).

    removal.parquet                     every row that goes, with the row that stays in its place, and why
    img2dataset, datacomp, datatrove    the same for tools that remove or fetch rows
    README.md, manifest.json            how to use them; policy, version, counts, and the SHA-256 of every file

All is streamed: a table of what goes lies in DuckDB, which spills it to disk, and nothing else is held.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from orchestration.reports import removal_formats
from orchestration.warehouse import staging
from transforms.hashing.hashes import file_sha256

LIST, MANIFEST, README = "removal.parquet", "manifest.json", "README.md"
PARTS = (LIST, *removal_formats.FOLDERS, README, MANIFEST)

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


class RemovalError(RuntimeError):
    """A removal list cannot be written; the message says why."""


@dataclass(frozen=True)
class Counts:
    """Rows of the warehouse, and what becomes of them.

    Of the rows that stay, kept_without_url cannot be downloaded, and kept_without_picture have no usable picture.
    """

    rows: int
    removed_as_duplicates: int
    removed_as_recalled: int
    kept: int
    kept_without_url: int
    kept_without_picture: int


def policies(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Name the policies of the published version."""
    return [name for (name,) in con.execute("select policy from duplicates.policies").fetchall()]


def write(con: duckdb.DuckDBPyConnection, folder: Path, policy: str, memory: str) -> list[Path]:
    """Write a policy's removal list into `folder`, all or none. Returns the files.

    policy: one of `policies`. memory: what DuckDB may hold, as it takes it. An earlier removal list in the folder is
    replaced; other files there are left alone. Raises RemovalError, or OSError if the file system refuses.
    """
    _require_free(folder)
    with staging.staged(folder) as partial:
        try:
            con.execute("set memory_limit = ?", [memory])
            con.execute("set temp_directory = ?", [str(partial / ".spill")])
            counts, notes = _fill(con, partial, policy)
            _describe(con, partial, policy, counts, notes)
            shutil.rmtree(partial / ".spill", ignore_errors=True)
            names = sorted(str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())
            _move(partial, folder)
        finally:
            for table in ("leaving", *removal_formats.TABLES):
                con.execute(f"drop table if exists temp.{table}")
    return [folder / name for name in names]


def _require_free(folder: Path) -> None:
    """Refuse a folder in which something lies where the list would: only what an earlier manifest names is ours."""
    try:
        earlier = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ours = {*earlier["files"], MANIFEST} if "policy" in earlier else set()
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        ours = set()
    for name in PARTS:
        there = folder / name
        files = [path for path in there.rglob("*") if not path.is_dir()] if there.is_dir() else [there]
        for path in files:
            if path.exists() and path.relative_to(folder).as_posix() not in ours:
                raise RemovalError(f"{path} is not of an earlier removal list; choose another folder with --to")


def _move(partial: Path, folder: Path) -> None:
    """Put what is written in the place of an earlier list. The manifest goes first and comes last: it vouches."""
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
    removal_formats.stream(con, _LISTED, [], folder / LIST)
    return counts, removal_formats.write(con, folder)


def _counts(con: duckdb.DuckDBPyConnection, policy: str) -> Counts:
    [(rows, duplicates, recalled, *without)] = con.execute(
        """
        select count(*), count(*) filter (where leaving.reason = 'duplicate'),
            count(*) filter (where leaving.reason = 'recalled'),
            count(*) filter (where leaving.reason is null and samples.url is null),
            count(*) filter (where leaving.reason is null and coalesce(images.status, 'failed') = 'failed')
        from catalog.samples as samples
        left join leaving using (sample_id)
        left join fingerprints.images as images using (sample_id)"""
    ).fetchall()
    [(promised,)] = con.execute("select removed_rows from duplicates.policies where policy = ?", [policy]).fetchall()
    if duplicates != promised:
        raise RemovalError(f"{policy} would remove {duplicates:,} rows, but duplicates.policies counts {promised:,}")
    return Counts(rows, duplicates, recalled, rows - duplicates - recalled, *without)


_ABOUT = """\
# Removal list

Version {version}, policy `{policy}`: {description}.
{counts[removed_as_duplicates]:,} rows go as duplicates and {counts[removed_as_recalled]:,} as recalled, \
{counts[kept]:,} of {counts[rows]:,} stay. \
{counts[kept_without_picture]:,} of those that stay have no usable picture: `kept_rows` in `duplicates.policies` leaves
them out.

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
    manifest = about | {"notes": notes, "datatrove_tasks": removal_formats.tasks(con), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and ".spill" not in path.parts)

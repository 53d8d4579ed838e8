"""Removal lists for data engineers: the rows that a policy removes, in the formats of the tools that remove them.

What belongs here: choosing the rows, and writing a folder with a manifest, completely or not at all. What does not: the
formats of other tools (`reports/removal_formats.py`), the rule of a policy (`sql/duplicates/policies.sql`), the
curators' report (`reports/exports.py`).

    removal.parquet, .csv, .xlsx        every row that goes, with the row that stays in its place, and why
    merged.parquet                      where asked for: what removed rows say, for each row that stays
    img2dataset, datacomp, datatrove    the same for tools that remove or fetch rows
    README.md, manifest.json            how to use them; policy, version, counts, and the SHA-256 of every file

Everything is streamed. Only the table of the rows that go is held, by DuckDB, which spills it to disk.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from orchestration.reports import removal_formats
from orchestration.reports.page_data import publication
from orchestration.reports.spreadsheets import removal as for_people
from orchestration.reports.spreadsheets.removal import RemovalOptions
from orchestration.warehouse.queries import query
from transforms.hashing.hashes import file_sha256
from transforms.storage import staging

LIST, MANIFEST, README = "removal.parquet", "manifest.json", "README.md"
_ALONE = (LIST, for_people.CSV, for_people.WORKBOOK, for_people.MERGED)
PARTS = (*_ALONE, *removal_formats.FOLDERS, README, MANIFEST)


class RemovalError(RuntimeError):
    """A removal list cannot be written; the message says why."""


@dataclass(frozen=True)
class RemovalCounts:
    """Rows of the warehouse, and what becomes of them.

    Attributes:
        kept_without_url: Rows that stay and cannot be downloaded.
        kept_without_picture: Rows that stay and have no usable picture.
    """

    rows: int
    removed_as_duplicates: int
    removed_as_recalled: int
    kept: int
    kept_without_url: int
    kept_without_picture: int


def policies(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the published version's policies."""
    return [name for (name,) in con.execute("select policy from duplicates.policies").fetchall()]


def write(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    policy: str,
    memory: str,
    options: RemovalOptions = RemovalOptions(),  # noqa: B008 -- it cannot be changed
) -> list[Path]:
    """Write a policy's removal list, all or none. It replaces an earlier list in the folder and no other files.

    Args:
        con: a connection to a published version.
        folder: The folder to write into.
        policy: One of `policies`.
        memory: The most that DuckDB may hold, such as `"4GB"`.
        options: What the files for people show.

    Returns:
        The files.

    Raises:
        RemovalError: If something else is in the place of a file, or the counts contradict duplicates.policies.
        OSError: If the file system refuses.
    """
    _require_free(folder)
    with staging.staging_folder(folder) as partial:
        try:
            con.execute("set memory_limit = ?", [memory])
            con.execute("set temp_directory = ?", [str(partial / ".spill")])
            counts, notes = _fill(con, partial, policy, options)
            _describe(con, partial, policy, counts, notes)
            shutil.rmtree(partial / ".spill", ignore_errors=True)
            names = sorted(str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())
            _move(partial, folder)
        finally:
            con.execute("drop view if exists temp.listed")
            for table in ("leaving", *removal_formats.TABLES):
                con.execute(f"drop table if exists temp.{table}")
    return [folder / name for name in names]


def _require_free(folder: Path) -> None:
    """Refuse a folder with other files in place of those of the list. Files in an earlier manifest may be replaced."""
    try:
        earlier = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        ours = {*earlier["files"], MANIFEST} if "policy" in earlier else set()
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        ours = set()
    for name in PARTS:
        part = folder / name
        files = [path for path in part.rglob("*") if not path.is_dir()] if part.is_dir() else [part]
        for path in files:
            if path.exists() and path.relative_to(folder).as_posix() not in ours:
                raise RemovalError(f"{path} is not of an earlier removal list; choose another folder with --to")


def _move(partial: Path, folder: Path) -> None:
    """Replace an earlier list. Removes the manifest first and adds it last, because it states the other files."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in PARTS:
        target, source = folder / name, partial / name
        if target.is_dir():
            shutil.rmtree(target)
        elif not source.exists():
            target.unlink(missing_ok=True)
        if source.exists():
            source.replace(target)


def _fill(
    con: duckdb.DuckDBPyConnection, folder: Path, policy: str, options: RemovalOptions
) -> tuple[RemovalCounts, list[str]]:
    con.execute(f"create temp table leaving as {query('removal/leaving')}", [policy])
    counts = _counts(con, policy)
    con.execute(f"create temp view listed as {query('removal/listed')}")
    removal_formats.stream(con, "from listed order by dataset, shard, row_number", [], folder / LIST)
    return counts, [*removal_formats.write(con, folder), *for_people.write(con, folder, options)]


def _counts(con: duckdb.DuckDBPyConnection, policy: str) -> RemovalCounts:
    [(rows, duplicates, recalled, *without)] = con.execute(query("removal/counts")).fetchall()
    [(promised,)] = con.execute("select removed_rows from duplicates.policies where policy = ?", [policy]).fetchall()
    if duplicates != promised:
        raise RemovalError(f"{policy} would remove {duplicates:,} rows, but duplicates.policies counts {promised:,}")
    return RemovalCounts(rows, duplicates, recalled, rows - duplicates - recalled, *without)


_ABOUT = """\
# Removal list

Version {version}, policy `{policy}`: {description}.
{counts[removed_as_duplicates]:,} rows go as duplicates and {counts[removed_as_recalled]:,} as recalled, \
{counts[kept]:,} of {counts[rows]:,} stay. \
{counts[kept_without_picture]:,} of those that stay have no usable picture: `kept_rows` in `duplicates.policies` leaves
them out.

- `removal.parquet`: a row for each that goes. `kept_sample_id` and `kept_url` are the row that stays in its place; NULL
  for recalled rows, for pictures that go altogether, and where a policy goes by meaning. `duplicate_count`: rows that
  show the picture and are not recalled. `distance_to_representative`: PDQ bits of 256. `reason`: duplicate, decided
  (every row of the picture goes, because a person decided so) or recalled. `decided_by`: whose decision the row goes
  or stays by.
- `removal.csv` and `removal.xlsx`: the same for people, the first rows of the workbook with small pictures.
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


def _describe(
    con: duckdb.DuckDBPyConnection, folder: Path, policy: str, counts: RemovalCounts, notes: list[str]
) -> None:
    [(description,)] = con.execute("select description from duplicates.policies where policy = ?", [policy]).fetchall()
    about = {"policy": policy, "description": description, "version": publication(con).number, "counts": asdict(counts)}
    listed = "".join(f"- {note}\n" for note in notes)
    (folder / README).write_text(_ABOUT.format(notes=listed, **about), encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in _files(folder)
    }
    manifest = about | {"notes": notes, "datatrove_tasks": removal_formats.tasks(con), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and ".spill" not in path.parts)

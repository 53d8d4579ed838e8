"""Decisions as files: CSV, Parquet and JSON lines, in and out, and the entries of the guard that they make.

What belongs here: reading a file of labels from elsewhere, naming pictures by their digests where it names rows, and
writing what is kept. What does not: what a decision is (`transforms/review/decisions.py`), keeping it
(`facts/decision_log.py`), what answers of the guard's service decide (`review/guard_answers.py`), the format of the
guard's entries (`transforms/guard/overrides.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from orchestration.facts import SCHEMAS
from orchestration.review import guard_answers
from orchestration.warehouse.queries import query
from transforms.catalog.record_files import records
from transforms.reports.spreadsheets.formulas import neutralise
from transforms.review.decisions import Decision, DecisionError, checked, in_force
from transforms.storage import staging
from transforms.storage.file_limits import ByteLimits

FORMATS = ("csv", "parquet", "jsonl")
OVERRIDES = "guard_overrides.jsonl"
_ROWS = ("sample_id", "sample_id_a", "sample_id_b", "cluster_id", "kept_sample_id")
_DIGITS = 20  # of the highest sample_id
_AHEAD = timedelta(days=1)  # by which the clock of another machine may be wrong
_KIND_BY = {"generation_id": "case", "sample_id_a": "pair", "cluster_id": "cluster"}


class ImportRefused(ValueError):
    """A file of decisions cannot be taken in; the message names the file, the line and the fix."""


def read(
    path: Path,
    caps: ByteLimits,
    con: duckdb.DuckDBPyConnection | None,
    by: str | None,
    leave_out: Callable[[str], object] | None = None,
) -> list[Decision]:
    """Return the decisions of a file, all or none.

    A record names pictures by `picture_a` and `picture_b`, or rows of the published version: `sample_id_a` and
    `sample_id_b` of a pair, `cluster_id` and `kept_sample_id` of a cluster, `generation_id` and `sample_id` of a case.
    `label` is another name of `answer`. A line of the guard's `answers.jsonl` decides about the image of its check.

    Args:
        path: CSV, Parquet, JSON lines or a JSON array.
        caps: Limits of such files.
        con: A connection to the published version, for records that name rows. None: none may.
        by: Who decided, where a record does not say so.
        leave_out: Called with the reason for each answer of the guard that decides about no image. None: one such
            refuses the file.

    Raises:
        ImportRefused: If a record is no decision, or names a row whose picture is not known.
        RecordFileError: If the file cannot be read.
        OSError: If it cannot be opened.
    """
    found = ((each.number, each.fields) for each in records(str(path), caps))
    return of_records(found, con, by, str(path), leave_out)


def of_records(
    given: Iterable[tuple[int, Mapping[str, Any]]],
    con: duckdb.DuckDBPyConnection | None,
    by: str | None,
    source: str = "the decisions",
    leave_out: Callable[[str], object] | None = None,
) -> list[Decision]:
    """Return the decisions of records, all or none; see `read`.

    Args:
        given: Each with its number, by which it is named if it is wrong.
        con: As for `read`.
        by: Likewise.
        source: Where they are from, for messages.
        leave_out: As for `read`.

    Raises:
        ImportRefused: If a record is no decision, or names a row whose picture is not known.
    """
    found = [(number, {str(name).strip().lower(): value for name, value in each.items()}) for number, each in given]
    pictures = _pictures(con, [fields for _, fields in found])
    decisions, latest = [], datetime.now(UTC) + _AHEAD
    for number, fields in found:
        try:
            said = guard_answers.as_decision(fields) if guard_answers.is_answer(fields) else _named(fields, pictures)
            made = checked({"queue": "imported", "decided_by": by} | said)
            if made.decided_at > latest:
                raise DecisionError(
                    f"`decided_at` is {made.decided_at:%Y-%m-%d}, in the future: no later answer could take its place"
                )
            decisions.append(made)
        except guard_answers.NoImageDecided as error:
            if leave_out is None:
                raise ImportRefused(f"{source}, line {number}: {error}; nothing was imported") from None
            leave_out(str(error))
        except DecisionError as error:
            raise ImportRefused(f"{source}, line {number}: {error}; nothing was imported") from None
    return decisions


def _named(fields: Mapping[str, Any], pictures: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Return the fields of a record as those of a decision: rows by their pictures, `label` as `answer`."""
    values = {name: value for name, value in fields.items() if value not in (None, "")}
    if "answer" not in values and "label" in values:
        values["answer"] = values["label"]
    if isinstance(values.get("answer"), str):
        values["answer"] = values["answer"].strip().lower().replace(" ", "_").replace("-", "_")
    if "kind" not in values:
        values["kind"] = next((kind for name, kind in _KIND_BY.items() if name in values), None)

    def of(name: str) -> dict[str, str]:
        if name not in values:
            return {}
        if (digest := pictures.get((_column(name), str(values[name])))) is None:
            raise DecisionError(
                f"`{name}` is {values[name]!r}, which the published version does not have with a picture; "
                "name pictures by `picture_a` and `picture_b`, the SHA-256 of their pixels"
            )
        return {"picture": digest}

    for column, names in (
        ("picture_a", ("generation_id", "sample_id_a", "cluster_id")),
        ("picture_b", ("sample_id", "sample_id_b", "kept_sample_id")),
    ):
        for name in names:
            if column not in values and (digest := of(name)):
                values[column] = digest["picture"]
    return values


def _column(name: str) -> str:
    return "generation_id" if name == "generation_id" else "sample_id"


def _pictures(con: duckdb.DuckDBPyConnection | None, found: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the pixels' SHA-256 of every row that records name, by the kind of its id and the id as text."""
    if con is None:
        return {}
    given = {str(fields[name]) for fields in found for name in _ROWS if fields.get(name) not in (None, "")}
    whole = (each for each in given if each.isascii() and each.isdigit() and len(each) <= _DIGITS)
    rows = sorted(number for each in whole if (number := int(each)) < 2**64)
    generations = sorted({str(fields["generation_id"]) for fields in found if fields.get("generation_id")})
    samples = con.execute(query("review/pictures_of_samples"), {"rows": rows}).fetchall() if rows else []
    named = con.execute(query("review/pictures_of_generations"), {"generations": generations}).fetchall()
    return {("sample_id", str(row)): pixels for row, pixels, _ in samples} | {
        ("generation_id", name): pixels for name, pixels in named
    }


def write(decisions: Sequence[Decision], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write decisions, and the entries of the guard that they make.

    Args:
        decisions: All that are kept.
        folder: The folder to write into.
        formats: Any of `FORMATS`.

    Returns:
        The files. Each is written completely or not at all, and replaces one of the same name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = pa.Table.from_pylist([each.as_dict() for each in decisions], SCHEMAS["decisions"])
    files = []
    for each in FORMATS:
        if each in formats:
            files.append(folder / f"decisions.{each}")
            with staging.whole(files[-1]) as partial:
                _write(rows, partial, each)
    files.append(folder / OVERRIDES)
    with staging.whole(files[-1]) as partial:
        partial.write_text("".join(f"{json.dumps(each)}\n" for each in overrides(decisions)), encoding="utf-8")
    return files


def _write(rows: pa.Table, file: Path, kind: str) -> None:
    if kind == "parquet":
        pq.write_table(rows, file, compression="zstd")
    elif kind == "csv":
        texts = {field.name: rows[field.name].to_pylist() for field in rows.schema if pa.types.is_string(field.type)}
        for name, values in texts.items():
            safe = pa.array([None if value is None else neutralise(value) for value in values], pa.string())
            rows = rows.set_column(rows.schema.get_field_index(name), name, safe)
        pyarrow.csv.write_csv(rows, file)
    else:
        lines = (json.dumps(row, default=lambda moment: moment.isoformat()) for row in rows.to_pylist())
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def overrides(decisions: Iterable[Decision]) -> list[dict[str, str]]:
    """Return the entries of the guard's list that decisions about blocked images make, as `transforms.guard` has them.

    Args:
        decisions: All that are kept; those in force count.
    """
    return [
        {
            "rule": each.answer,
            "pixel_sha256": each.picture_a,
            "by": each.decided_by,
            "reason": each.reason or f"decided on {each.decided_at:%Y-%m-%d} by looking at the image",
        }
        for each in in_force(decisions)
        if each.kind == "guard_block" and each.answer in ("block", "allow")
    ]

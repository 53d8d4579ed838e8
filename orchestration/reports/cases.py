"""One generation as a case: its verdict, its likely sources with their evidence, and the extent of the search.

What belongs here: reading a case from the published tables. What does not: the evidence (`sql/provenance/`), the page
(`reports/case_pages.py`), the terminal (`reports/case_text.py`).
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration.reports.page_data import rows
from transforms.readable import decimal, printable
from transforms.reports.case_page import MOST_SOURCES
from transforms.reports.duplicate_report import (
    NO_CHANGES,
    ChangedItem,
    Coverage,
    DecidedCount,
    NotTakenFiles,
    OtherFiles,
    ReviewedPrecision,
    VersionChanges,
)

_REASONS = 10  # for which files were not taken; the table has all


@dataclass(frozen=True)
class Case:
    """The published rows about one generation.

    Attributes:
        generation: Its row, by column.
        sources: Its likely sources with all that was measured, strongest first, at most MOST_SOURCES.
        coverage: What each fingerprint covers.
        reliability: Rows of matches.calibration.
        overruled: Rows of provenance.overruled.
        related: Rows of provenance.related, the nearest first.
        unrelated: Why there are none, in a sentence.
    """

    generation: Mapping[str, Any]
    sources: tuple[Mapping[str, Any], ...]
    coverage: tuple[Coverage, ...]
    reliability: tuple[Mapping[str, Any], ...] = ()
    overruled: tuple[Mapping[str, Any], ...] = ()
    related: tuple[Mapping[str, Any], ...] = ()
    unrelated: str = ""


def find(con: duckdb.DuckDBPyConnection, name: str) -> Case:
    """Read the case of the generation that a user names.

    Args:
        con: a connection to a published version.
        name: The generation's id, or its end after a slash, if no other id has the same end.

    Raises:
        LookupError: If the generation does not exist. The message gives the nearest names.
    """
    known = [row["generation_id"] for row in rows(con, "generation_names")]
    if name in known:
        return read(con, name)
    ending = [each for each in known if each.endswith(f"/{name}")]
    if len(ending) == 1:
        return read(con, ending[0])
    near = ending or difflib.get_close_matches(name, known, 3, 0.3) or known[:3]
    raise LookupError(f"unknown generation {name!r}; the nearest names are: {printable(', '.join(near)) or 'none'}")


def read(con: duckdb.DuckDBPyConnection, generation: str) -> Case:
    """Read the case of a generation.

    Args:
        con: a connection to a published version that holds the generation.
        generation: The generation's id.
    """
    sources = []
    for source in rows(con, "case_sources", generation=generation, most=MOST_SOURCES):
        evidence = rows(con, "case_evidence", generation=generation, sample=source["sample_id"])
        sources.append((evidence[0] if evidence else {}) | source)
    related, why_not = _related(con, generation)
    [about] = rows(con, "case", generation=generation)
    overruled = tuple(rows(con, "case_overruled", generation=generation)) if _has(con, "provenance.overruled") else ()
    return Case(about, tuple(sources), coverage(con), reliability(con), overruled, related, why_not)


def decided_counts(con: duckdb.DuckDBPyConnection) -> tuple[DecidedCount, ...]:
    """Return the counts that decisions change. Nothing without decisions, or for a version of an earlier release."""
    found = rows(con, "decided_counts") if _has(con, "reports.decided_counts") else ()
    return tuple(DecidedCount(**row) for row in found)


def reviewed_precision(con: duckdb.DuckDBPyConnection, *kinds: str) -> tuple[ReviewedPrecision, ...]:
    """Return how often people say what the warehouse says. Nothing for a version of an earlier release.

    Args:
        con: A connection to a published version.
        kinds: Of what: pair, cluster, case, guard_block.
    """
    if not _has(con, "catalog.review_precision"):
        return ()
    return tuple(ReviewedPrecision(**row) for row in rows(con, "review_precision", kinds=list(kinds)))


def changes(con: duckdb.DuckDBPyConnection, kind: str, most: int) -> VersionChanges:
    """Return what changed since the version before. Nothing for a version of an earlier release.

    Args:
        con: A connection to a published version.
        kind: cluster or case.
        most: How many are listed.
    """
    if not _has(con, "reports.changes"):
        return NO_CHANGES
    counts = tuple((row["change"], row["items"]) for row in rows(con, "change_counts", kind=kind))
    listed = rows(con, "changes", kind=kind, most=most)
    return VersionChanges(counts, tuple(ChangedItem(**row | {"changes": tuple(row["changes"])}) for row in listed))


def _has(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return table in {row["name"] for row in rows(con, "table_names")}


def _related(con: duckdb.DuckDBPyConnection, generation: str) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """Return what a generation resembles in meaning, or why nothing is known of it."""
    if not _has(con, "provenance.related"):
        return (), "This version is of an earlier release, which did not search by meaning."
    if related := tuple(rows(con, "case_related", generation=generation)):
        return related, ""
    if rows(con, "related_generations")[0]["generations"]:
        return (), "This generation could not be read to be searched by meaning."
    return (), "Nothing was searched by meaning: set `encoders.semantic`, and `search.related` above 0."


def coverage(con: duckdb.DuckDBPyConnection) -> tuple[Coverage, ...]:
    """Return what each fingerprint covers, over all datasets."""
    return tuple(Coverage(**row) for row in rows(con, "coverage"))


def not_taken(con: duckdb.DuckDBPyConnection) -> NotTakenFiles:
    """Return what was found and became no row, over all datasets. Nothing for a version of an earlier release."""
    if not _has(con, "catalog.not_taken"):
        return NotTakenFiles()
    [total] = rows(con, "not_taken_total")
    return NotTakenFiles(**total, listed=tuple(OtherFiles(**row) for row in rows(con, "not_taken", most=_REASONS)))


def reliability(con: duckdb.DuckDBPyConnection) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of matches.calibration that pages show."""
    return tuple(rows(con, "reliability"))


def value_text(value: object) -> str:
    """Return a value as people read it, without characters that a terminal acts on."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {value_text(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(value_text(part) for part in value) or "-"
    return printable(decimal(value) if isinstance(value, float) else str(value))

"""One generation as a case: its verdict, its likely sources with their evidence, what was searched.

What belongs here: reading a case from the published tables, and showing it on a terminal. What does not: the evidence
(`sql/provenance/`), the page (`reports/case_pages.py`).
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from transforms.readable import printable
from transforms.reports.case_page import MOST_SOURCES

_SOURCES = """
    select sources.* exclude (generation_id),
        concat_ws(' :: ', shards.images_path, images.member) as picture,
        (select count(distinct host) from provenance.appearances as a where a.cluster_id = sources.cluster_id) as hosts,
        (select list(distinct a.license order by a.license) from provenance.appearances as a
         where a.cluster_id = sources.cluster_id) as licenses,
        samples.unsafe or coalesce((select bool_or(member.unsafe) from duplicates.clusters as c
         join catalog.samples as member using (sample_id) where c.cluster_id = sources.cluster_id), false) as unsafe
    from provenance.sources
    left join catalog.samples using (sample_id)
    left join catalog.shards on shards.dataset = samples.dataset and shards.shard = samples.shard
    left join fingerprints.images using (sample_id)
    where sources.generation_id = ? order by sources.rank limit ?"""
_COVERAGE = """
    select fingerprint, sum(expected)::bigint, sum(ok)::bigint, sum(low_quality)::bigint, sum(failed)::bigint,
        sum(missing)::bigint
    from fingerprints.coverage group by fingerprint order by fingerprint"""
_RELIABILITY = """
    select population, rule, level, pictures, flagged, share, low, high, error, operating_point
    from matches.calibration order by population, rule, level"""
_GENERATION = """
    select summary.*, found.path, found.model, found.prompt, found.seed
    from provenance.generations as summary join catalog.generations as found using (generation_id)
    where summary.generation_id = ?"""
_FIRST = ("verdict", "picture", "sample_id", "dataset", "duplicate_count", "recalled_count", "recalled", "hosts")
_NOT_PRINTED = ("rank", "license", "url_host", "homography", "thresholds")


@dataclass(frozen=True)
class Facts:
    """What the published tables say of one generation.

    generation, sources: column → value; the sources strongest first, at most MOST_SOURCES, each with all that was
    measured. coverage: fingerprint, expected, ok, low quality, failed and missing training rows. reliability: rows of
    matches.calibration.
    """

    generation: Mapping[str, Any]
    sources: tuple[Mapping[str, Any], ...]
    coverage: tuple[tuple[str, int, int, int, int, int], ...]
    reliability: tuple[Mapping[str, Any], ...] = ()


def read(con: duckdb.DuckDBPyConnection, generation: str) -> Facts:
    """Read a case. Raises LookupError, with the nearest names, for a generation that is not in the warehouse."""
    return known(con, _find(con, generation))


def known(con: duckdb.DuckDBPyConnection, name: str) -> Facts:
    """Read the case of a generation that is in the warehouse under this very name."""
    sources = []
    for source in _rows(con, _SOURCES, [name, MOST_SOURCES]):
        key = [name, source["sample_id"]]
        measured = _rows(con, "select * from matches.evidence where generation_id = ? and sample_id = ?", key)
        extra = {k: v for k, v in measured[0].items() if k != "generation_id"} if measured else {}
        sources.append(extra | source)
    return Facts(_rows(con, _GENERATION, [name])[0], tuple(sources), coverage(con), reliability(con))


def coverage(con: duckdb.DuckDBPyConnection) -> tuple[tuple[str, int, int, int, int, int], ...]:
    """Return what each fingerprint covers, over all datasets, as `Facts.coverage`."""
    return tuple(con.execute(_COVERAGE).fetchall())


def reliability(con: duckdb.DuckDBPyConnection) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of matches.calibration that pages show."""
    return tuple(_rows(con, _RELIABILITY, []))


def show(case: Facts) -> None:
    """Print a case."""
    about = case.generation
    searched, searchable, coverage = about["searched"], about["searchable"], about["coverage"]
    print(f"{printable(about['generation_id'])}: {about['verdict']}{_doubt(about)}")
    print(f"searched: {searched:,} of {searchable:,} training rows ({coverage:.1%})")
    for fingerprint, expected, ok, *_ in case.coverage:
        print(f"  by {printable(fingerprint)}: {ok:,} of {expected:,}")
    print(f"picture: {printable(about['path'])}")
    for name in ("model", "prompt"):
        if about[name] is not None:
            print(f"{name}: {printable(about[name])}")
    if not case.sources:
        print("no likely source among them; nothing is said about the rest")
    for source in case.sources:
        print(f"\n{'rank':<24} {source['rank']}")
        for column in (*_FIRST, *(c for c in source if c not in _FIRST and c not in _NOT_PRINTED)):
            print(f"{column.replace('_', ' '):<24} {text(source[column])}")
    if about["sources"] > len(case.sources):
        print(f"\nand {about['sources'] - len(case.sources):,} more: see provenance.sources")


def _doubt(about: Mapping[str, Any]) -> str:
    if about["failure"]:
        return f" ({printable(about['failure'])})"
    if about["conclusive"]:
        return ""
    return f" (inconclusive: {about['coverage']:.1%} searched, {about['required_coverage']:.1%} required)"


def text(value: object) -> str:
    """Return a value as people read it, without anything that a terminal would act on."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{side} {text(part)}" for side, part in value.items())
    if isinstance(value, list):
        return ", ".join(text(part) for part in value) or "-"
    return printable(f"{value:.4f}" if isinstance(value, float) else str(value))


def _rows(con: duckdb.DuckDBPyConnection, query: str, values: list[object]) -> list[dict[str, Any]]:
    cursor = con.execute(query, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _find(con: duckdb.DuckDBPyConnection, generation: str) -> str:
    known = [name for (name,) in con.execute("select generation_id from catalog.generations order by 1").fetchall()]
    if generation in known:
        return generation
    ending = [name for name in known if name.endswith(f"/{generation}")]
    if len(ending) == 1:
        return ending[0]
    near = ending or difflib.get_close_matches(generation, known, 3, 0.3) or known[:3]
    raise LookupError(f"no generation is called {generation!r}; there is {printable(', '.join(near)) or 'none at all'}")

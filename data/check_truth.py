"""Holds the published sample against its planted truth: `python data/check_truth.py [DATABASE]`.

What belongs here: the three promises about the sample. What does not: making the sample (`build_sample.py`). The
pipeline never reads `data/sample/truth`; only this does.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

HERE = Path(__file__).parent
TRUTH = HERE / "sample" / "truth"
PUBLISHED = HERE / "warehouse" / "raisonne.duckdb"

_PLANTED = """
    create temp table training as
    select samples.sample_id, coalesce(clusters.cluster_id, samples.sample_id) as cluster_id, truth.picture
    from read_csv($training, all_varchar = true) as truth
    join catalog.samples on samples.shard = truth.shard and samples.row_number = truth.row_number::bigint
    left join duplicates.clusters using (sample_id);
    create temp table planted as
    select 'simulated/' || file_name as generation_id, kind, nullif(picture, '') as picture, copies::bigint as copies
    from read_csv($generations, all_varchar = true);
"""


@dataclass(frozen=True)
class Promise:
    """One promise, and how many of how many planted cases keep it."""

    sentence: str
    kept: int
    of: int

    @property
    def holds(self) -> bool:
        """Every case keeps it, and there are cases."""
        return self.kept == self.of > 0


def promises(database: Path) -> Iterator[Promise]:
    """Check a published sample. Yields each promise with its count."""
    with duckdb.connect(str(database), read_only=True) as con:
        for statement in filter(str.strip, _PLANTED.split(";")):
            names = {"training": TRUTH / "training.csv", "generations": TRUTH / "generations.csv"}
            wanted = {name: str(path) for name, path in names.items() if f"${name}" in statement}
            con.execute(statement, wanted)
        first = """
            select count(*) filter (where exists (
                from training where training.picture = planted.picture and training.cluster_id = sources.cluster_id
            )), count(*)
            from planted left join provenance.sources on sources.generation_id = planted.generation_id and rank = 1
            where kind in ({})"""
        yield Promise(
            "whole copies have their true cluster at rank 1", *_count(con, first.format("'exact', 'whole', 'flip'"))
        )
        yield Promise("regions have their true cluster at rank 1", *_count(con, first.format("'region', 'collage'")))
        yield Promise(
            "held-out pictures get no verdict of a copy",
            *_count(
                con,
                """
                select count(*) filter (where verdict in ('similar', 'no_match_found')), count(*)
                from planted left join provenance.generations using (generation_id) where kind = 'novel'""",
            ),
        )
        yield Promise(
            "pictures are counted as often as they were planted",
            *_count(
                con,
                """
                with planted_pictures as (
                    select picture, count(images.sample_id) as copies
                    from training left join fingerprints.images
                        on images.sample_id = training.sample_id and images.status <> 'failed'
                    group by picture having copies > 0
                ), counted as (
                    select distinct picture, cluster_id from training join fingerprints.images using (sample_id)
                )
                select count(*) filter (where coalesce(counts.duplicate_count, 1) = planted_pictures.copies), count(*)
                from planted_pictures join counted using (picture) left join duplicates.counts using (cluster_id)""",
            ),
        )
        largest = con.execute("select max(duplicate_count) from duplicates.counts").fetchall()[0][0]
        yield Promise(
            f"the most repeated picture, planted 120 times, is counted {largest} times", int(largest == 120), 1
        )


def _count(con: duckdb.DuckDBPyConnection, query: str) -> tuple[int, int]:
    kept, of = con.execute(query).fetchall()[0]
    return int(kept), int(of)


def main(database: Path) -> int:
    """Print every promise. Returns 1 if one is broken."""
    found = list(promises(database))
    print("against the planted truth:")
    for promise in found:
        print(f"  {'holds' if promise.holds else 'BROKEN'}: {promise.sentence} ({promise.kept} of {promise.of})")
    return 0 if all(promise.holds for promise in found) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED))

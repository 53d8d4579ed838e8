"""The published sample's verdicts against what its generations were made from.

What belongs here: the figures of the sample as it was published. What does not: those of edited photographs
(`evidence.py`).
"""

from tests.benchmarks.data import one, published
from tests.benchmarks.figures import Figure, Measured

_CONFIRMED = """
    select avg(confirmed::int), count(*) from (
        select planted.generation_id, coalesce(bool_or(
            sources.verdict in {verdicts} and exists (
                from training
                where training.picture = planted.picture and training.cluster_id = sources.cluster_id
            )
        ), false) as confirmed
        from planted left join provenance.sources using (generation_id)
        where kind in {kinds}
        group by planted.generation_id
    )"""


def _confirmed(kinds: str, verdicts: str) -> Measured:
    with published() as con:
        share, of = con.execute(_CONFIRMED.format(kinds=kinds, verdicts=verdicts)).fetchall()[0]
        return Measured(share, {"generations": of})


def _false() -> Measured:
    with published() as con:
        query = """
            select count(*) filter (where not exists (
                from training where training.picture = planted.picture and training.cluster_id = sources.cluster_id
            )) from planted join provenance.sources using (generation_id)
            where verdict in ('exact', 'copy', 'partial_copy', 'altered_copy')"""
        return Measured(one(con, query), {"generations": one(con, "select count(*) from planted")})


FIGURES = (
    Figure(
        "sample_whole_confirmed",
        "share",
        ">= 0.99",
        "the sample's truth: whole pictures found as exact or copy",
        lambda: _confirmed("('exact', 'whole', 'flip')", "('exact', 'copy')"),
    ),
    Figure(
        "sample_part_confirmed",
        "share",
        ">= 0.95",
        "the sample's truth: regions and collages found as a copy or partial copy",
        lambda: _confirmed("('region', 'collage')", "('exact', 'copy', 'partial_copy')"),
    ),
    Figure(
        "sample_false_confirmed", "sources", "<= 0", "the sample's truth: confirmed sources of another picture", _false
    ),
)

"""How long the curators' desk takes to open over many clusters, to show an item, and to keep an answer on disk.

What belongs here: the made-up warehouse, and the desk over it. What does not: the page in a browser
(`test_review_app.py`), opening reports (`report_open.py`).
"""

import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from orchestration.facts.decision_log import DecisionLog
from orchestration.review import items, queues
from orchestration.review.desk import Desk, DeskSession, Wish
from orchestration.settings.sections import Review
from tests.benchmarks import warehouse
from tests.benchmarks.figures import Figure, Measured, seconds

_CLUSTERS, _DECISIONS = 100_000, 400


def _open() -> Measured:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        warehouse.make(home / "made-up.duckdb", _CLUSTERS)
        with duckdb.connect(str(home / "made-up.duckdb"), read_only=True) as con:
            start = time.perf_counter()
            found = queues.load(con, Review())
            opened = time.perf_counter() - start
            desk, session = Desk(DecisionLog(home), found, 600), DeskSession("ana", "page")
            parts = {"first_item_s": seconds(lambda: desk.take(session, Wish("clusters")))}
            taken = [seconds(lambda n=n: desk.take(session, Wish("clusters", after=997 * n))) for n in range(50)]
            parts["next_item_ms"] = 1000 * statistics.median(taken)
            largest = found["clusters"][0]
            parts["largest_shown_ms"] = 1000 * seconds(lambda: items.described(con, largest, (), blind=False))
            parts["search_ms"] = 1000 * seconds(lambda: queues.matching(con, found["clusters"], "picture 77777"))
    return Measured(opened, parts)


def _decide() -> Measured:
    with tempfile.TemporaryDirectory() as name:
        home, taken = Path(name), []
        warehouse.make(home / "made-up.duckdb", 2 * _DECISIONS)
        with duckdb.connect(str(home / "made-up.duckdb"), read_only=True) as con:
            desk, session = Desk(DecisionLog(home), queues.load(con, Review()), 600), DeskSession("ana", "page")
            for _ in range(_DECISIONS):
                item = desk.take(session, Wish("clusters"))
                assert item is not None
                taken.append(seconds(lambda item=item: desk.decide(session, item, {"answer": "fine"})))
        assert len(DecisionLog(home).all()) == _DECISIONS
    slowest = 1000 * statistics.quantiles(taken, n=20)[-1]
    return Measured(1000 * statistics.median(taken), {"p95_ms": slowest, "slowest_ms": 1000 * max(taken)})


FIGURES = (
    Figure(
        "review_open_s",
        "s",
        "reported",
        "reported beside an item and a search: the queues of a version with 100,000 clusters, a sample drawn",
        _open,
    ),
    Figure(
        "review_decide_ms",
        "ms",
        "reported",
        "one after another: an answer that is on disk, synced; each 200th moves them into the fact table",
        _decide,
    ),
)

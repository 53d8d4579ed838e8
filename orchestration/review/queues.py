"""The queues of the desk: what is asked about, in which order, and what was drawn at random.

What belongs here: reading the queues of a published version. What does not: who gets which item (`review/desk.py`),
what an item shows (`review/items.py`).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import duckdb
import pyarrow as pa

from orchestration.reports.page_data import publication
from orchestration.settings.sections import Review
from orchestration.warehouse.queries import query

QUEUES: Mapping[str, str] = {
    "pairs": "pair",
    "clusters": "cluster",
    "cases": "case",
    "blocks": "guard_block",
}
"""The queues, and of which kind the items of each are."""
MATCHES = 20_000  # rows that a search finds at most
NEAR = 0.25  # a measure is near its threshold where it differs by no more than this share of it


@dataclass(frozen=True)
class Item:
    """Something to decide about.

    Attributes:
        position: Its place in the queue.
        kind: pair, cluster, case or guard_block.
        picture_a: As in a decision: the lower of a pair, the representative, the generation, the image blocked.
        picture_b: The other of a pair, the training picture.
        sample_a: A training row that shows the first picture; of a block, the likely source.
        sample_b: A training row that shows the second one.
        measure: What the method measured.
        copies: Rows of a cluster or of a source, checks of a block.
        version: The version that asks.
        stratum: The group that it may be drawn from.
        sampled: Whether it was drawn.
        probability: How likely that was.
    """

    position: int
    kind: str
    picture_a: str
    picture_b: str | None
    sample_a: int | None
    sample_b: int | None
    generation_id: str | None
    method: str | None
    verdict: str | None
    measure: float | None
    threshold: float | None
    stratum: str | None
    stratum_size: int | None
    sampled: bool
    probability: float | None
    copies: int
    version: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it, whatever its place."""
        return self.kind, self.picture_a, self.picture_b or ""

    @classmethod
    def named(cls, key: tuple[str, str, str], version: int) -> "Item":
        """Return an item of which its name alone is known: it was asked about in a version that is gone.

        Args:
            key: What names it.
            version: That version.
        """
        kind, a, b = key
        return cls(-1, kind, a, b or None, **dict.fromkeys(_UNKNOWN), sampled=False, copies=0, version=version)


_UNKNOWN = (
    *("sample_a", "sample_b", "generation_id", "method", "verdict", "measure", "threshold"),
    *("stratum", "stratum_size", "probability"),
)


@dataclass(frozen=True)
class Queue:
    """One queue. Items are made of their row when they are asked for: a hundred thousand take 30 MB so."""

    name: str
    rows: pa.Table
    version: int

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def __getitem__(self, position: int) -> Item:
        [row] = self.rows.slice(position, 1).to_pylist()
        return Item(position=position, kind=QUEUES[self.name], version=self.version, **row)

    @cached_property
    def keys(self) -> list[tuple[str, str, str]]:
        """What names each item, by position."""
        kind = QUEUES[self.name]
        pairs = zip(self.rows["picture_a"].to_pylist(), self.rows["picture_b"].to_pylist(), strict=True)
        return [(kind, a, b or "") for a, b in pairs]

    @cached_property
    def places(self) -> dict[tuple[str, str, str], int]:
        """The position of each item, by what names it."""
        return {key: i for i, key in enumerate(self.keys)}

    @cached_property
    def sampled(self) -> list[int]:
        """The positions of the items that were drawn, in an order that says nothing about them."""
        drawn = [i for i, each in enumerate(self.rows["sampled"].to_pylist()) if each]
        return sorted(drawn, key=lambda i: hashlib.sha256(" ".join(self.keys[i]).encode()).digest())

    def showing(self, rows: frozenset[int], names: str) -> Iterator[int]:
        """Yield the positions of items of these training rows, or of a generation whose id holds a text.

        Args:
            rows: Training rows.
            names: Part of an id of a generation, in lower case; empty for none.
        """
        columns = ("sample_a", "sample_b", "generation_id", "picture_a", "picture_b")
        for i, values in enumerate(zip(*(self.rows[name].to_pylist() for name in columns), strict=True)):
            a, b, generation, *digests = values
            named = names and (names in (generation or "").lower() or names in digests or names in (str(a), str(b)))
            if a in rows or b in rows or named:
                yield i


def load(con: duckdb.DuckDBPyConnection, options: Review) -> dict[str, Queue]:
    """Read the queues of a version.

    Args:
        con: A connection to it.
        options: How many items, and how many are drawn.
    """
    values = {"most": options.items, "each": options.sample, "seed": options.seed, "near": NEAR}
    version, found = publication(con).number, {}
    for name in QUEUES:
        rows = con.execute(query(f"review/queue_{name}"), values).to_arrow_table()
        found[name] = Queue(name, rows, version)
    return found


def matching(con: duckdb.DuckDBPyConnection, queue: Queue, text: str) -> list[int]:
    """Return the positions of items whose captions, URLs, licences or names hold a text.

    Args:
        con: A connection to the version.
        queue: The queue.
        text: What to look for, in any case.
    """
    rows = con.execute(query("review/matching_rows"), {"text": text, "most": MATCHES}).fetchall()
    return list(queue.showing(frozenset(row for (row,) in rows), text.strip().lower()))

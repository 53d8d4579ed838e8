"""The results of a run by shard.

What belongs here: adding accounts up, and showing them in Dagster. What does not: the account of one shard
(`transforms/fingerprints/shard.py`).
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.fingerprints import notes
from orchestration.fingerprints.kinds import HASHES
from orchestration.runtime import asset_metadata
from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY
from transforms.fingerprints.shard import Account
from transforms.readable import count

_SHOWN = 10
_ASSET = "image_fingerprints"
_TITLES = {
    "ok": "ok",
    "low_quality": "low quality",
    "failed": "failed",
    "unlisted": "not listed in the metadata",
    "contradictions": "contradictions",
    "broken": "broken",
    "seconds": "seconds",
}


class Accounts:
    """The accounts of a run that begins now.

    Attributes:
        left: Why shards were left for the next run, by partition.
    """

    def __init__(self) -> None:
        self._accounts: list[Account] = []
        self._began = time.monotonic()
        self.left: dict[str, str] = {}

    def add(self, partition: str, account: Account) -> None:
        """Add the account of a shard.

        Args:
            partition: Its partition.
            account: Its account.
        """
        self._accounts.append(account)
        if account.unreachable and account.broken:
            self.left[partition] = account.broken

    def metadata(self) -> dict[str, int | float]:
        """Return what Dagster shows of the run: totals, throughput and failures."""
        counts = sum((account.counts for account in self._accounts), Counter[str]())
        seconds = time.monotonic() - self._began
        return {
            "shards fingerprinted now": len(self._accounts),
            "pictures fingerprinted now": counts.total(),
            "known by their bytes": sum(account.reused for account in self._accounts),
            "pictures per second": round(counts.total() / seconds, 1) if seconds else 0.0,
            "low quality now": counts[LOW_QUALITY],
            "failed now": counts[FAILED],
            "unlisted now": sum(account.unlisted for account in self._accounts),
        }


def unusable(broken: Mapping[str, str]) -> str:
    """Return one sentence about broken shards: how many, and why the first ones are.

    Args:
        broken: The reasons by partition.
    """
    listed = "".join(f"\n{name}: {why}" for name, why in list(broken.items())[:_SHOWN])
    return f"{count(len(broken), 'shard')} cannot be used, or not as a whole; what was read of them is kept:{listed}"


def partition_events(facts: Facts, partitions: Collection[str]) -> Iterator[dg.AssetMaterialization]:
    """Yield what Dagster shows of partitions of `image_fingerprints`: the account of each, and its own version.

    Args:
        facts: The fact tables; notes are read.
        partitions: Their names. One without fingerprints is left out.
    """
    for name, noted in notes.of_partitions(facts, partitions).items():
        tags = asset_metadata.partition_tags(_version(noted), "landing_dumps")
        yield dg.AssetMaterialization(_ASSET, metadata=_shown(noted), partition=name, tags=tags)


def partition_results(
    facts: Facts, partitions: Sequence[str], told: Mapping[str, Any]
) -> Iterator[dg.MaterializeResult | dg.AssetMaterialization]:
    """Yield the result of a run of some partitions.

    Dagster takes the result of a run of several for that of each. So an event for each follows, which states its own.

    Args:
        facts: The fact tables.
        partitions: Those of the run.
        told: What to show of the run.
    """
    noted = notes.of_partitions(facts, partitions)
    if len(partitions) == 1 and noted:
        [only] = noted.values()
        preview = asset_metadata.preview(facts[_ASSET], equals("shard_id", only[0]["shard_id"]))
        yield dg.MaterializeResult(_ASSET, {**_shown(only), "preview": preview, **told}, data_version=_version(only))
        return
    yield dg.MaterializeResult(_ASSET, told)
    yield from partition_events(facts, partitions)


def _version(noted: Sequence[Mapping[str, Any]]) -> dg.DataVersion:
    return asset_metadata.recipes_version(row["recipe"] for row in noted)


def _shown(noted: Sequence[Mapping[str, Any]]) -> dict[str, int | float | str]:
    row = dict(next((each for each in noted if each["fingerprint"] == HASHES), noted[0]))
    row["seconds"] = round(row["seconds"] or 0, 2)
    counts = {title: row[column] for column, title in _TITLES.items() if row[column]}
    return {"dagster/partition_row_count": row["ok"] + row["low_quality"] + row["failed"], **counts}

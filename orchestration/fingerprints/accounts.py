"""The results of a run by shard.

What belongs here: adding accounts up, and showing them in Dagster. What does not: the account of one shard
(`transforms/fingerprints/shard.py`).
"""

import time
from collections import Counter

from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY
from transforms.fingerprints.shard import Account


class Accounts:
    """The accounts of a run that begins now."""

    def __init__(self) -> None:
        self._accounts: list[Account] = []
        self._began = time.monotonic()

    def add(self, account: Account) -> None:
        """Add the account of a shard."""
        self._accounts.append(account)

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


def shard_metadata(account: Account) -> dict[str, int | str]:
    """Return what Dagster shows of one shard, without what is empty."""
    return {name: value if isinstance(value, int) else str(value) for name, value in account.row().items() if value}

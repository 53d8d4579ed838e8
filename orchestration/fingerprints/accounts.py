"""The results of a run by shard.

What belongs here: adding accounts up, and showing them in Dagster. What does not: the account of one shard
(`transforms/fingerprints/shard.py`).
"""

import time
from collections import Counter
from collections.abc import Mapping

from transforms.fingerprints.fingerprint import FAILED, LOW_QUALITY
from transforms.fingerprints.shard import Account
from transforms.readable import count

_SHOWN = 10


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


def unusable(broken: Mapping[str, str]) -> str:
    """Return one sentence about broken shards: how many, and why the first ones are.

    Args:
        broken: The reasons by partition.
    """
    listed = "".join(f"\n{name}: {why}" for name, why in list(broken.items())[:_SHOWN])
    return f"{count(len(broken), 'shard')} cannot be used, or not as a whole; what was read of them is kept:{listed}"


def shard_metadata(account: Account) -> dict[str, int | str]:
    """Return what Dagster shows of one shard, without what is empty."""
    return {name: value if isinstance(value, int) else str(value) for name, value in account.row().items() if value}

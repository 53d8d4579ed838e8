"""Fingerprints are deleted with their notes, and a run that is killed in between leaves nothing behind."""

from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.facts import Facts, FactTable
from orchestration.fingerprints.kinds import COPY, HASHES
from orchestration.fingerprints.notes import forget_gone_shards

_WRITTEN = ("image_fingerprints", "copy_embeddings", "fingerprinted_shards")


class Killed(Exception):
    """The run ends here."""


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """Return the facts of one shard that is not landed any more."""
    made = Facts(tmp_path / "facts")
    rows = {
        "image_fingerprints": [{"sample_id": 1, "shard_id": 7, "status": "ok"}],
        "copy_embeddings": [{"sample_id": 1, "shard_id": 7, "vector": [0.0] * 512}],
        "fingerprinted_shards": [
            {"shard_id": 7, "fingerprint": kind, "recipe": "r", "maker": "m"} for kind in (HASHES, COPY)
        ],
    }
    for name, given in rows.items():
        made[name].upsert(pa.Table.from_pylist(given, made[name].schema))
    return made


@pytest.mark.parametrize("kill_at", range(3))
def test_a_run_killed_while_it_forgets_a_shard_leaves_the_rest_to_the_next(
    facts: Facts, kill_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, deletions = FactTable.delete, iter(range(100))

    def delete(table: FactTable, where: str) -> None:
        if next(deletions) == kill_at:
            raise Killed
        whole(table, where)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(FactTable, "delete", delete)
        forget_gone_shards(facts)
    notes = facts["fingerprinted_shards"].read(["recipe", "maker"]).to_pylist()
    assert notes == [{"recipe": "", "maker": ""}] * 2, "a shard that comes back now is due"
    forget_gone_shards(facts)
    assert {name: facts[name].read().num_rows for name in _WRITTEN} == dict.fromkeys(_WRITTEN, 0)

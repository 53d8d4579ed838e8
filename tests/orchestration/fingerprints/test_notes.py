"""Fingerprints are deleted with their notes, and a run that is killed in between leaves nothing behind."""

from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.facts import Facts, FactTable
from orchestration.fingerprints.kinds import COPY, HASHES
from orchestration.fingerprints.notes import forget_gone_shards, forget_outdated_shards, of_partitions, unusable_shards
from transforms.catalog.landing import LandedShard, LandingFile, Shard

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


def test_a_run_that_leaves_fingerprints_out_forgets_those_of_a_shard_that_is_gone_too(facts: Facts) -> None:
    """Otherwise rows whose representative went with the shard would be in no cluster."""
    forget_outdated_shards(facts)
    assert {name: facts[name].read().num_rows for name in _WRITTEN} == dict.fromkeys(_WRITTEN, 0)


def test_shards_that_cannot_be_used_are_named_with_their_reason(tmp_path: Path) -> None:
    facts = Facts(tmp_path / "facts")
    file = LandingFile("x", 1, 1)
    landed = [
        LandedShard(1, Shard("d", "done", file, file), "ok"),
        LandedShard(2, Shard("d", "cut", file, file), "ok"),
        LandedShard(3, Shard("d", "unreachable", file, file), "ok"),
        LandedShard(4, Shard("d", "refused", file, None), "failed", "no url column"),
        LandedShard(5, Shard("d", "text only", file, None), "ok"),
    ]
    table = facts["landing_shards"]
    table.upsert(pa.Table.from_pylist([each.row() for each in landed], table.schema))
    notes = facts["fingerprinted_shards"]
    rows = [
        {"shard_id": 1, "fingerprint": HASHES, "recipe": "r", "dataset": "d", "shard": "done"},
        {"shard_id": 2, "fingerprint": HASHES, "recipe": "r", "dataset": "d", "shard": "cut", "broken": "breaks off"},
        {"shard_id": 3, "fingerprint": HASHES, "recipe": "", "dataset": "d", "shard": "unreachable"},
    ]
    notes.upsert(pa.Table.from_pylist(rows, notes.schema))
    assert unusable_shards(facts) == {
        "d/cut": "breaks off",
        "d/unreachable": "its pictures are not fingerprinted yet; run again",
        "d/refused": "no url column",
    }


class Looked(list[str]):
    """A list that may not be searched once for each row of a table."""

    def __contains__(self, name: object) -> bool:
        pytest.fail(f"looked for {name} in a list")


def test_the_notes_of_many_partitions_are_found_by_one_look_each(tmp_path: Path) -> None:
    facts = Facts(tmp_path / "facts")
    notes = facts["fingerprinted_shards"]
    rows = [
        {"shard_id": n, "fingerprint": HASHES, "recipe": "r" if n else "", "dataset": "d", "shard": str(n)}
        for n in range(4)
    ]
    notes.upsert(pa.Table.from_pylist(rows, notes.schema))
    assert sorted(of_partitions(facts, Looked(["d/0", "d/1", "d/2"]))) == ["d/1", "d/2"]
    assert sorted(of_partitions(facts, Looked(["d/3"]))) == ["d/3"]

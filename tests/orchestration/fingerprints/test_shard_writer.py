"""Fingerprints are appended without a look at what is stored, and still no key comes twice and no row is lost."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.facts import SCHEMAS, Facts, FactTable, upkeep
from orchestration.fingerprints import shard_writer
from orchestration.fingerprints.due_shards import DueShard, due_shards
from orchestration.fingerprints.kinds import HASHES
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.notes import broken_shards, forget, forget_gone_shards
from orchestration.fingerprints.shard_writer import ShardGroup, ShardWriter, prepare
from transforms.catalog.landing import IMAGES_ONLY, OK, ROW_BITS, LandedShard, LandingFile, Shard
from transforms.catalog.not_taken import NotTaken
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.shard import Account, Batch

MAKERS = Makers(Rules(max_pixels=1, member_bytes=1, pdq_quality=50), {}, load=NotImplemented)
FILE = LandingFile("x", 1, 1)
WRITTEN = ("image_fingerprints", "fingerprinted_shards", "not_taken")
IMAGES = SCHEMAS["image_fingerprints"]


class Killed(Exception):
    """The run ends here."""


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(tmp_path / "facts")


def due_shard(shard_id: int, *, shared: bool = False) -> DueShard:
    return DueShard(LandedShard(shard_id, Shard("d", str(shard_id), FILE, FILE), OK), (), {HASHES: "r"}, shared)


def batch(ids: Sequence[int], member: str = "a.jpg") -> Batch:
    columns = {
        field.name: pa.nulls(len(ids), field.type) for field in IMAGES if field.name not in ("sample_id", "shard_id")
    }
    named = {"sample_id": pa.array(ids, pa.uint64()), "member": pa.array([member] * len(ids))}
    return Batch(pa.table(columns | named), {})


def write(facts: Facts, shards: Sequence[tuple[DueShard, Sequence[Batch]]]) -> None:
    """Write shards as a run does, their batches by turns, in one group."""
    prepare(facts, [due for due, _ in shards])
    group, writers = ShardGroup(facts, MAKERS, 100), [ShardWriter(facts, due, MAKERS, 100) for due, _ in shards]
    for turn in range(max(len(batches) for _, batches in shards)):
        for writer, (_, batches) in zip(writers, shards, strict=True):
            if turn < len(batches):
                writer.add(batches[turn])
    for writer in writers:
        group.add(writer, Account(pictures=writer.rows))
    group.commit()


def rows(facts: Facts) -> dict[int, tuple[int, str]]:
    """Return the shard and the member of each row. Fails where a key comes twice."""
    read = facts["image_fingerprints"].read(["sample_id", "shard_id", "member"]).to_pylist()
    found = {row["sample_id"]: (row["shard_id"], row["member"]) for row in read}
    assert len(found) == len(read)
    return found


def noted(facts: Facts) -> dict[int, str]:
    read = facts["fingerprinted_shards"].read(["shard_id", "recipe"]).to_pylist()
    return {row["shard_id"]: row["recipe"] for row in read}


def files(facts: Facts) -> set[str]:
    return {path.name for path in (facts.folder / "image_fingerprints.lance" / "data").glob("*")}


def test_shards_that_end_together_are_one_commit(facts: Facts) -> None:
    table = facts["image_fingerprints"]
    table.migrate()
    before = table.version
    write(facts, [(due_shard(n), [batch([10 * n, 10 * n + 1]), batch([10 * n + 2])]) for n in range(3)])
    assert rows(facts) == {10 * n + row: (n, "a.jpg") for n in range(3) for row in range(3)}
    assert table.version == before + 1
    assert noted(facts) == dict.fromkeys(range(3), "r")


def test_a_group_is_committed_once_it_has_rows_or_has_waited(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    group = ShardGroup(facts, MAKERS, 3)
    assert not group.due
    for number, due in ((1, False), (2, True)):
        writer = ShardWriter(facts, due_shard(number), MAKERS, 3)
        writer.add(batch([2 * number, 2 * number + 1]))
        group.add(writer, Account(pictures=2))
        assert group.due is due
    assert [due.shard.shard_id for due, _ in group.commit()] == [1, 2]
    assert not group.due and group.commit() == []
    group.add(ShardWriter(facts, due_shard(3), MAKERS, 3), Account())
    assert not group.due
    monkeypatch.setattr(shard_writer, "_HELD_S", 0.0)
    assert group.due


def test_many_commits_of_one_run_leave_few_fragments(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "_UPKEEP", 4)
    monkeypatch.setattr(upkeep, "SMALL_FRAGMENTS", 2)
    group, tables = ShardGroup(facts, MAKERS, 1), [facts[name] for name in WRITTEN]
    for number in range(16):
        writer = ShardWriter(facts, due_shard(number), MAKERS, 1)
        writer.add(batch([number]))
        group.add(writer, Account(pictures=1, not_taken=[NotTaken(f"{number}.tar", "no picture", 1, ("x",))]))
        group.commit()
        assert max(len(table.dataset().get_fragments()) for table in tables) <= 8
    assert rows(facts) == {number: (number, "a.jpg") for number in range(16)}
    assert noted(facts) == dict.fromkeys(range(16), "r")


def test_a_shard_that_was_delivered_again_takes_the_place_of_its_rows(facts: Facts) -> None:
    write(facts, [(due_shard(1), [batch([1, 2, 3])]), (due_shard(2), [batch([7])])])
    write(facts, [(due_shard(1), [batch([2, 4], "b.jpg")])])
    assert rows(facts) == {2: (1, "b.jpg"), 4: (1, "b.jpg"), 7: (2, "a.jpg")}


def test_a_shard_without_a_note_is_appended_without_a_look_at_what_is_stored(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(facts, [(due_shard(1), [batch([1])])])
    writer, group = ShardWriter(facts, due_shard(2), MAKERS, 100), ShardGroup(facts, MAKERS, 100)
    writer.add(batch([2]))
    looked = []
    dataset = FactTable.dataset
    monkeypatch.setattr(FactTable, "dataset", lambda table, *_: looked.append(table.name) or dataset(table))
    group.add(writer, Account(pictures=1))
    group.commit()
    assert "image_fingerprints" not in looked
    monkeypatch.undo()
    assert rows(facts) == {1: (1, "a.jpg"), 2: (2, "a.jpg")}


def test_rows_of_a_shard_whose_note_was_lost_do_not_come_twice(facts: Facts) -> None:
    write(facts, [(due_shard(1), [batch([1, 2])]), (due_shard(2), [batch([7])])])
    facts["fingerprinted_shards"].delete("shard_id = 1")
    write(facts, [(due_shard(1), [batch([2, 3], "b.jpg")])])
    assert rows(facts) == {2: (1, "b.jpg"), 3: (1, "b.jpg"), 7: (2, "a.jpg")}


def test_a_shard_that_cannot_be_reached_stays_as_it_was(facts: Facts) -> None:
    write(facts, [(due_shard(1), [batch([1, 2])])])
    before = files(facts)
    writer, group = ShardWriter(facts, due_shard(1), MAKERS, 100), ShardGroup(facts, MAKERS, 100)
    writer.add(batch([5]))
    group.add(writer, Account(broken="gone", unreachable=True))
    [(_, account)] = group.commit()
    assert account.unreachable
    assert rows(facts) == {1: (1, "a.jpg"), 2: (1, "a.jpg")}
    assert noted(facts) == {1: "r"}
    assert files(facts) == before


def test_a_dump_that_shows_a_row_twice_is_left_for_the_next_run(facts: Facts) -> None:
    """A worker of Ray died, and its dump was written anew before the next one read the rest."""
    writer, group = ShardWriter(facts, due_shard(1), MAKERS, 100), ShardGroup(facts, MAKERS, 100)
    for ids in ([1, 2], [2, 3], [4]):
        writer.add(batch(ids))
    group.add(writer, Account(pictures=5))
    [(_, account)] = group.commit()
    assert account.unreachable and "changed while it was read" in account.broken
    assert rows(facts) == {} and noted(facts) == {}


def test_of_two_dumps_that_show_one_row_the_last_written_counts(facts: Facts) -> None:
    first, second = due_shard(1, shared=True), due_shard(2, shared=True)
    write(facts, [(first, [batch([1, 2])]), (second, [batch([2, 3])])])
    assert rows(facts) == {1: (1, "a.jpg"), 2: (2, "a.jpg"), 3: (2, "a.jpg")}
    write(facts, [(first, [batch([1, 2], "b.jpg")])])
    assert rows(facts) == {1: (1, "b.jpg"), 2: (1, "b.jpg"), 3: (2, "a.jpg")}


def test_rows_that_are_merged_are_committed_on_the_way_and_go_with_their_shard(facts: Facts) -> None:
    """The run is killed after a commit of rows and before the note; then somebody takes the shard away."""
    writer = ShardWriter(facts, due_shard(7, shared=True), MAKERS, commit_rows=2)
    writer.add(batch([1]))
    assert rows(facts) == {}
    writer.add(batch([2]))
    assert rows(facts).keys() == {1, 2} and noted(facts) == {7: ""}
    forget_gone_shards(facts)
    assert rows(facts) == {} and noted(facts) == {}


def test_a_shard_is_done_once_its_account_is_noted_with_what_was_not_taken(facts: Facts) -> None:
    account = Account(pictures=1, broken="1.tar breaks off", not_taken=[NotTaken("1.tar", "no picture", 2, ("x",))])
    writer, group = ShardWriter(facts, due_shard(7), MAKERS, 1), ShardGroup(facts, MAKERS, 1)
    writer.add(batch([1]))
    group.add(writer, account)
    group.commit()
    assert noted(facts) == {7: "r"}
    assert facts["not_taken"].read(["dataset", "files"]).to_pylist() == [{"dataset": "d", "files": 2}]
    assert broken_shards(facts) == {"d/7": "1.tar breaks off"}
    forget(facts, [7], [HASHES])
    assert facts["not_taken"].read().num_rows == 0


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_run_killed_between_any_two_steps_leaves_no_key_twice_and_no_row_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """A shard that was delivered again, a new one and one that shares its metadata, killed at one commit each time."""
    again = partial(write, shards=[(due_shard(1), [batch([1, 2], "b.jpg")]), (due_shard(2), [batch([7])])])
    shared = partial(write, shards=[(due_shard(3, shared=True), [batch([11, 12])])])
    steps = 0
    for kill_at in range(0, 100, every):
        facts, count = Facts(tmp_path / str(kill_at)), iter(range(100))
        write(facts, [(due_shard(1), [batch([1, 5])]), (due_shard(3), [batch([11])])])
        with monkeypatch.context() as patch:
            for name in ("upsert", "commit", "delete"):
                patch.setattr(FactTable, name, killing(getattr(FactTable, name), count, kill_at))
            try:
                again(facts)
                shared(facts)
            except Killed:
                steps += 1
            else:
                break
        read = facts["image_fingerprints"].read(["sample_id"])["sample_id"].to_pylist()
        assert len(read) == len(set(read)), f"killed at step {kill_at}"
        stored = {shard_id for shard_id, _ in rows(facts).values()}
        assert stored <= noted(facts).keys(), "rows that no note tells of"
        for write_again in (again, shared):
            write_again(facts)
        wanted = {1: (1, "b.jpg"), 2: (1, "b.jpg"), 7: (2, "a.jpg"), 11: (3, "a.jpg"), 12: (3, "a.jpg")}
        assert rows(facts) == wanted, f"killed at step {kill_at}"
        assert noted(facts) == dict.fromkeys((1, 2, 3), "r")
    assert steps > 10 // every


def killing(whole: Callable[..., object], count: object, kill_at: int) -> Callable[..., object]:
    def step(*given: object) -> object:
        if next(count) == kill_at:
            raise Killed
        return whole(*given)

    return step


def landed(shard_id: int, name: str, status: str, dataset: str = "d") -> LandedShard:
    metadata = FILE if status == OK else None
    return LandedShard(shard_id, Shard(dataset, name, metadata, LandingFile(f"{name}.tar", 1, 1)), status)


def sharing(facts: Facts, *shards: LandedShard) -> set[int]:
    table = facts["landing_shards"]
    table.clear()
    table.upsert(pa.Table.from_pylist([each.row() for each in shards], table.schema))
    return {each.shard.shard_id for each in due_shards(facts, MAKERS) if each.shared}


def test_only_shards_that_may_show_rows_of_others_are_merged_by_key(facts: Facts) -> None:
    one, two = landed(1, "a", OK), landed(2, "b", OK)
    bare, other = landed(3, "c", IMAGES_ONLY), landed(4, "c", IMAGES_ONLY, "e")
    assert sharing(facts, one, two, other) == set()
    assert sharing(facts, one, two, bare) == {1, 2, 3}, "the pictures of a bare dump may be rows of any"
    below = landed(5, "a/00000", IMAGES_ONLY)
    assert sharing(facts, one, two, below) == {1, 5}, "or of the file that its name is below"
    assert sharing(facts, LandedShard(1, Shard("d", "a", FILE, None), OK), below) == set(), "it has them for its own"


def test_a_shard_that_went_by_the_metadata_of_another_is_told_by_its_rows(facts: Facts) -> None:
    """It has metadata of its own now. Until it is written anew, its rows have the keys of the other."""
    one, two, third = landed(1, "a", OK), landed(2, "b", OK), landed(3, "c", OK)
    write(
        facts, [(due_shard(2), [batch([1 << ROW_BITS, (1 << ROW_BITS) + 1])]), (due_shard(3), [batch([3 << ROW_BITS])])]
    )
    assert sharing(facts, one, two, third) == {1}
    write(facts, [(due_shard(2), [batch([2 << ROW_BITS])])])
    assert sharing(facts, one, two, third) == set()

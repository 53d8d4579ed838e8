"""Rows that are written before their commit: into a table once, with any number of others, or nowhere."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.facts import Facts, FactTable, row_stream
from orchestration.facts import table as table_module
from orchestration.facts.table import OlderTable


@pytest.fixture(autouse=True, params=[1, 3, 1_024])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stream hand over so many rows at once."""
    monkeypatch.setattr(row_stream, "_ROWS", request.param)


@pytest.fixture
def table(tmp_path: Path) -> FactTable:
    made = Facts(tmp_path / "facts")["null_scores"]
    made.migrate()
    return made


def scores(*ids: int) -> pa.Table:
    return pa.table({"sample_id": ids, "nearest_id": ids, "score": [0.5] * len(ids)})


def files(table: FactTable) -> list[Path]:
    return sorted(Path(table.uri, "data").glob("*"))


def stored(table: FactTable) -> list[int]:
    return sorted(table.read(["sample_id"])["sample_id"].to_pylist())


def test_rows_of_several_streams_are_one_version(table: FactTable) -> None:
    before, (one, two) = table.version, (table.stream(), table.stream())
    for number in range(10):  # more than wait for a thread
        one.add(scores(number).select(["score", "nearest_id", "sample_id"]))
        two.add(scores(100 + number))
    found = [*one.close(), *two.close()]
    assert stored(table) == [] and table.version == before
    table.delete("sample_id = 7")
    table.upsert(scores(55))  # another commit comes between
    table.commit(found)
    assert stored(table) == [*range(10), 55, *range(100, 110)]
    assert table.version == before + 2
    assert table.dataset().schema.equals(table.schema, check_metadata=True)


def test_a_stream_that_is_discarded_leaves_no_file(table: FactTable) -> None:
    table.upsert(scores(1))
    before, stream = files(table), table.stream()
    for number in range(10):
        stream.add(scores(number))
    stream.discard()
    stream.discard()
    assert files(table) == before and stored(table) == [1]


def test_files_that_were_never_committed_go_with_old_versions_and_nothing_else_does(table: FactTable) -> None:
    facts = Facts(table.folder)
    table.upsert(scores(1, 2))
    for each in facts:
        each.migrate()
    facts.tag(1, facts.versions())
    table.delete("sample_id = 1")
    stream = table.stream()
    stream.add(scores(5))
    left = {Path(table.uri, "data", file.path) for fragment in stream.close() for file in fragment.files}
    assert left <= set(files(table))
    table.forget_old_versions()
    assert left.isdisjoint(files(table)), "young as it is: nobody else writes"
    assert stored(table) == [2]
    table.upsert(scores(3))
    table.forget_old_versions(timedelta(0))
    kept = facts.as_published("null_scores", 1)
    assert kept is not None and kept.count_rows() == 2
    assert stored(table) == [2, 3]


def test_whoever_adds_rows_hears_that_they_cannot_be_written(table: FactTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(rows: pa.RecordBatchReader, *_: object, **__: object) -> None:
        rows.read_next_batch()
        raise OSError("No space left on device")

    monkeypatch.setattr(table_module, "write_fragments", full)
    stream = table.stream()
    with pytest.raises(OSError, match="No space left"):
        for number in range(10_000):  # it does not wait for ever
            stream.add(scores(number))
    with pytest.raises(OSError, match="No space left"):
        stream.close()
    stream.discard()


def test_rows_may_not_go_to_a_table_of_an_older_release(table: FactTable) -> None:
    table.dataset().drop_columns(["score"])
    with pytest.raises(OlderTable):
        table.stream()

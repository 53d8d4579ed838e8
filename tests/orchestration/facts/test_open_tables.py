"""Tables stay open between readings, and nobody reads another version than the latest for it."""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from orchestration.facts import Facts, FactTable, open_tables, upkeep
from orchestration.facts.open_tables import OPEN_TABLES, OpenTables


@pytest.fixture
def table(tmp_path: Path) -> FactTable:
    """Return a table of one row."""
    made = Facts(tmp_path)["prompts"]
    add(made, "a")
    return made


def add(table: FactTable, name: str) -> None:
    table.upsert(pa.Table.from_pylist([dict.fromkeys(table.schema.names) | {"prompt_key": name}], table.schema))


def names(dataset: lance.LanceDataset) -> list[str]:
    return sorted(dataset.to_table(["prompt_key"])["prompt_key"].to_pylist())


def test_a_table_that_did_not_change_is_opened_once_and_one_that_did_again(table: FactTable) -> None:
    first = table.dataset()
    assert table.dataset() is first
    add(table, "b")
    second = table.dataset()
    assert (names(first), names(second)) == (["a"], ["a", "b"]), "whoever reads keeps the version"
    assert table.dataset() is second
    lance.dataset(table.uri).delete("prompt_key = 'a'")  # as another process does
    assert names(table.dataset()) == ["b"]
    table.dataset().tags.create("kept", 1)
    assert names(table.dataset()) == ["b"]


def test_a_folder_that_is_gone_or_made_anew_is_another_table(table: FactTable, tmp_path: Path) -> None:
    shutil.copytree(table.uri, tmp_path / "copy")
    add(table, "b")
    assert names(table.dataset()) == ["a", "b"]
    shutil.rmtree(table.uri)
    assert names(table.dataset()) == [], "a table that is not there reads as empty"
    shutil.copytree(tmp_path / "copy", table.uri)
    assert names(table.dataset()) == ["a"]
    shutil.rmtree(table.uri)
    shutil.copytree(tmp_path / "copy", table.uri)
    add(table, "c")
    assert names(table.dataset()) == ["a", "c"], "and its versions have the numbers of the other"


def test_a_backup_that_is_copied_over_a_table_is_read(table: FactTable, tmp_path: Path) -> None:
    other = Facts(tmp_path / "other")["prompts"]
    add(other, "b")
    versions = Path(table.uri) / "_versions"
    before = versions.stat()
    assert names(table.dataset()) == ["a"]
    subprocess.run(["cp", "-r", f"{other.uri}/.", table.uri], check=True)
    assert versions.stat().st_ctime_ns == before.st_ctime_ns, "the folder tells nothing of it"
    assert names(table.dataset()) == ["b"]


def test_only_small_tables_stay_open(table: FactTable, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(open_tables, "_LARGEST", 10)
        assert table.dataset() is not table.dataset(), "Lance would hold much of its files"
    indexed = lance.dataset(table.uri)
    indexed.create_scalar_index("prompt_key", "BTREE")
    assert table.dataset() is not table.dataset(), "and of its index"


def test_the_longest_unread_is_closed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = OpenTables()
    monkeypatch.setattr(open_tables, "_KEPT", 2)
    tables = [str(tmp_path / f"{number}.lance") for number in range(3)]
    for uri in tables:
        lance.write_dataset(pa.table({"a": [1]}), uri)
    first, second = (opened.latest(uri, upkeep.load) for uri in tables[:2])
    assert opened.latest(tables[0], upkeep.load) is first
    opened.latest(tables[2], upkeep.load)
    assert opened.latest(tables[0], upkeep.load) is first
    assert opened.latest(tables[1], upkeep.load) is not second


def test_a_forked_process_begins_without_tables_and_waits_for_nobody(table: FactTable) -> None:
    first = table.dataset()
    with OPEN_TABLES._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads run, and the child needs none of them
        if (child := os.fork()) == 0:
            os._exit(0 if not OPEN_TABLES._open and OPEN_TABLES._lock.acquire(timeout=0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert table.dataset() is first

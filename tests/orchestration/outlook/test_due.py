"""What the next run has to do, and what is not said where it could not be looked at."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundles import Blurred
from conftest import encoded, picture

from orchestration.catalog import opt_outs, shards
from orchestration.facts import Facts
from orchestration.fingerprints.due_shards import due_shards
from orchestration.fingerprints.makers import Makers
from orchestration.outlook.due import due_work
from orchestration.runtime.resources import rules_of
from orchestration.settings import Settings
from orchestration.settings.inputs import Recall
from transforms import encoders


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of three shards: two of pictures, one of metadata alone."""
    monkeypatch.setattr(encoders, "load", lambda _, device: Blurred())
    for name in ("cats", "dogs"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "0.jpg").write_bytes(encoded(picture(1, 64, 48)))
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.table({"url": ["https://e.org/1"], "caption": ["a"]}), tmp_path / "rows" / "0.parquet")
    datasets = [
        {"name": "p", "images": str(tmp_path / "pictures" / "*")},
        {"name": "rows", "metadata": str(tmp_path / "rows" / "*.parquet")},
    ]
    return Settings.model_validate({"home": str(tmp_path / "home"), "datasets": datasets})


def inspected(chosen: Settings) -> None:
    """Leave the warehouse as a run that was stopped after it had inspected the shards."""
    facts = Facts(chosen.home / "facts")
    landed = list(shards.inspect_shards(shards.discover(chosen), [], chosen, chosen.home / "fetched"))
    shards.commit_shards(facts, [], landed)


def test_shards_without_pictures_are_due_but_their_pictures_are_not(chosen: Settings) -> None:
    work = due_work(chosen)
    assert "shards: 3 new (p/cats, p/dogs, rows/0)" in work.lines
    assert "fingerprints: pictures of 2 shards for the first time" in work.lines
    assert work.stops == ()


def test_what_is_gone_has_no_pictures_to_be_read(chosen: Settings, tmp_path: Path) -> None:
    inspected(chosen)
    (tmp_path / "pictures" / "dogs" / "0.jpg").unlink()
    (tmp_path / "pictures" / "dogs").rmdir()
    work = due_work(chosen)
    assert "shards: 1 gone (p/dogs)" in work.lines
    [told] = [line for line in work.lines if line.startswith("fingerprints: ")]
    assert told.startswith("fingerprints: pictures of 1 shard again (p/cats: ")


def test_shards_of_an_older_release_are_read_for_rights_and_nothing_is_computed_again(chosen: Settings) -> None:
    inspected(chosen)
    facts = Facts(chosen.home / "facts")
    makers = Makers(rules_of(chosen), chosen.encoders.by_purpose, lambda _: Blurred())
    notes = [
        {
            "shard_id": each.shard.shard_id,
            "dataset": "p",
            "shard": each.shard.files.name,
            "fingerprint": kind,
            "recipe": made,
        }
        for each in due_shards(facts, makers)
        for kind, made in each.recipes.items()
        if kind != "rights"
    ]
    table = facts["fingerprinted_shards"]
    table.upsert(pa.Table.from_pylist([dict.fromkeys(table.schema.names) | each for each in notes], table.schema))
    work = due_work(chosen)
    assert "fingerprints: what the files of 2 shards say of their use, which computes nothing again" in work.lines
    assert work.inputs.pictured == []
    assert not any(line.startswith("joins") for line in work.lines)
    assert any(line.startswith("publishing: ") for line in work.lines)


@pytest.mark.parametrize("fault", ["unmounted", "bad glob"])
def test_where_shards_cannot_be_found_nothing_is_said_to_be_done(
    chosen: Settings, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected(chosen)
    if fault == "unmounted":
        (tmp_path / "pictures").rename(tmp_path / "away")
    else:
        monkeypatch.setattr(shards, "discover", _closed)
    work = due_work(chosen)
    assert len(work.stops) == 1 and (work.lines, work.idle) == ((), ())


def _closed(*_: object) -> None:
    raise PermissionError(13, "Permission denied", "/pictures")


def test_opt_out_lists_are_due_until_they_are_looked_up(chosen: Settings, tmp_path: Path) -> None:
    rows = chosen.model_copy(update={"datasets": chosen.datasets[1:]})
    named = rows.model_copy(update={"recalls": (Recall(name="list", path=str(tmp_path / "*.txt")),)})
    facts, due = Facts(chosen.home / "facts"), "opt-out lists: to be looked up in the training rows"
    inspected(rows)
    for url in ("https://e.org/1", "https://e.org/2", "https://e.org/1"):
        (tmp_path / "list.txt").write_text(url)
        assert due in due_work(named).lines
        opt_outs.update_recalled_rows(facts, named, opt_outs.find_lists(named.recalls))
        assert "opt-out lists: 1, as they were" in due_work(named).idle
    assert due in due_work(rows).lines
    (tmp_path / "list.txt").unlink()
    work = due_work(named)
    assert any("has no file at" in stop for stop in work.stops)
    assert not any("opt-out" in line for line in (*work.lines, *work.idle))

"""A published file that is cut, overwritten, gone or replaced: what commands say, what repairs it, what a run does."""

from collections.abc import Callable, Collection
from pathlib import Path

import duckdb
import pytest
from conftest import command

from orchestration.facts import Facts
from orchestration.settings import Settings
from orchestration.warehouse import previous, publishing, sql_folder, version
from orchestration.warehouse.models import load
from orchestration.warehouse.publishing import Version
from orchestration.warehouse.soundness import faults, repair
from tests import published_home

MEMORY = "1GB"
MODELS = load(sql_folder.SQL)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    """Overwrite what lies between the header and the last blocks: the file opens, and its tables cannot be read."""
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def overwritten(path: Path) -> None:
    path.write_text("band,rows\n1,2\n" * 500)


AT_LENGTH = [pytest.param(each, marks=pytest.mark.thorough) for each in (cut, emptied, overwritten)]
DAMAGES = pytest.mark.parametrize("damage", [zeroed, gone, *AT_LENGTH])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of two published versions, made once."""
    home = tmp_path_factory.mktemp("pristine") / "home"
    published_home.publish(home, 2)
    return {version.path.name: version.path.read_bytes() for version in publishing.versions(home)}


@pytest.fixture
def home(tmp_path: Path, pristine: dict[str, bytes]) -> Path:
    made = tmp_path / "home"
    (made / "versions").mkdir(parents=True)
    for name, data in pristine.items():
        (made / "versions" / name).write_bytes(data)
    publishing.turn(made, publishing.history(made)[-1], made)
    published_home.configure(made)
    return made


def newest(home: Path) -> Version:
    version = publishing.current(home)
    assert version is not None
    return version


def sound(home: Path) -> None:
    assert faults.fault(newest(home), MEMORY) is None


@DAMAGES
def test_reading_what_is_damaged_ends_with_a_sentence_and_the_repair(
    home: Path, damage: Callable[[Path], None]
) -> None:
    damage(newest(home).path)
    config = home.with_suffix(".toml")
    query = "select count(distinct caption), max(url) from catalog.samples"
    for arguments in (["sql", query], ["show", "x"], ["export"], ["export", "removal-list"], ["export", "guard"]):
        done = command(config, *arguments, check=False)
        if damage is zeroed and arguments[0] == "show" and done.returncode == 2:
            continue  # the tables that it reads are whole
        assert done.returncode == 1, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("raisonne: ") and done.stderr.count("\n") == 1
        assert "`raisonne doctor --repair`" in done.stderr
    found = command(config, "doctor", check=False)
    assert found.returncode == 1
    assert "FAULT  published version: version 2: " in found.stdout

    repaired = command(config, "doctor", "--repair")
    assert "version 1 is sound and published again; `raisonne run` publishes the next" in repaired.stdout
    assert newest(home).number == 1
    sound(home)
    assert command(
        config, "sql", "--format", "csv", "select max(version) as newest from warehouse.versions"
    ).stdout == ("newest\n1\n")
    assert command(config, "doctor").returncode == 0
    assert publishing.next_number(home) == (2 if damage is gone else 3)
    kept = {path.name for path in (home / "versions").iterdir()}
    assert ("damaged-raisonne-000002.duckdb" in kept) == (damage is not gone), "nothing is deleted"


def test_a_file_in_the_place_of_the_link_is_moved_and_the_version_published_again(home: Path) -> None:
    link = home / publishing.LINK
    link.unlink()
    link.write_text("a,b\n")
    config = home.with_suffix(".toml")
    for arguments in (["sql", "select 1"], ["show", "x"], ["export"]):
        done = command(config, *arguments, check=False)
        assert done.returncode == 1
        assert done.stderr == (
            f"raisonne: {link} is not a link to a version; `raisonne doctor --repair` moves it away, or move it away "
            "yourself\n"
        )
    assert "version 2 is sound and published again" in command(config, "doctor", "--repair").stdout
    assert (home / "damaged-raisonne.duckdb").read_text() == "a,b\n"
    assert newest(home).number == 2
    assert command(config, "doctor", "--repair").stdout == "version 2 is published and sound: nothing to repair\n"


def test_a_missing_link_is_made_again(home: Path) -> None:
    (home / publishing.LINK).unlink()
    assert repair.repair(home, MEMORY) == ["version 2 is sound and published again; `raisonne run` publishes the next"]
    sound(home)


def test_without_a_sound_version_a_run_is_named(home: Path) -> None:
    for each in publishing.versions(home):
        cut(each.path)
    config = home.with_suffix(".toml")
    done = command(config, "doctor", "--repair", check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("no sound version is kept: `raisonne run` builds one from the facts")
    assert publishing.current(home) is None
    assert publishing.next_number(home) == 3, "numbers are not used again"
    assert "run `raisonne run`" in command(config, "sql", "select 1", check=False).stderr


def test_a_repair_does_not_take_what_cannot_be_opened_for_damaged(home: Path) -> None:
    with publishing.lock(home), pytest.raises(publishing.Busy, match=r"; wait for that run, or end it$"):
        repair.repair(home, MEMORY)
    with pytest.raises(duckdb.Error, match="memory"):
        repair.repair(home, "1MB")
    assert newest(home).number == 2


def test_a_disk_that_fails_is_damage() -> None:
    with pytest.raises(duckdb.IOException) as found:
        duckdb.connect("/proc/self/mem", read_only=True)  # whose first bytes nobody can read
    told = publishing.damage(found.value)
    assert told is not None and told.endswith('/mem": Input/output error')


@pytest.mark.parametrize("kind", [duckdb.InternalException, duckdb.FatalException, duckdb.SerializationException])
def test_a_defect_of_duckdb_is_not_taken_for_damage(
    home: Path, kind: type[duckdb.Error], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect = kind("INTERNAL Error: Attempted to dereference unique_ptr that is NULL!\nStack Trace:\n0x7f")
    assert publishing.damage(defect) is None
    assert publishing.explained(defect) == (
        "DuckDB failed (INTERNAL Error: Attempted to dereference unique_ptr that is NULL!); "
        "the published version may be damaged: `raisonne doctor` tells"
    )
    with pytest.raises(kind), faults.reading(home):
        raise defect

    def broken(version: Version) -> duckdb.DuckDBPyConnection:
        raise defect

    monkeypatch.setattr(publishing, "open_version", broken)
    with pytest.raises(kind):
        repair.repair(home, MEMORY)
    assert [version.number for version in publishing.versions(home)] == [1, 2], "nothing is set aside"


def test_a_home_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    home = tmp_path / "home"
    published_home.configure(home)
    found = command(home.with_suffix(".toml"), "doctor").stdout
    assert "note   home: " in found and "FAULT" not in found
    assert not home.exists()


# Runs


class Runs:
    """Publishes versions of the models over no facts, as the step of a run does."""

    def __init__(self, folder: Path) -> None:
        self.settings, self.home = Settings(home=folder), folder
        self.facts = Facts(folder / "facts")

    def plan(self, selected: int | None = None) -> version.VersionPlan:
        return version.plan(self.facts, self.settings, self.home, MODELS, MODELS[:selected])

    def publish(self, selected: int | None = None) -> version.VersionPlan:
        with publishing.writer(self.home, run="the test", wait_s=0):
            plan = self.plan(selected)
            with version.build_version(plan, self.facts, self.settings, self.home, "a run") as file:
                pass
            version.publish(plan, file, self.facts, self.home, keep=3)
        return plan


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs") / "home")


def test_a_run_publishes_although_the_version_before_is_damaged(published: Runs) -> None:
    assert published.publish().damaged == ()
    assert published.plan().holder == 1, "nothing is to do"
    cut(newest(published.home).path)
    plan = published.publish()
    assert plan.holder is None, "what cannot be read holds nothing"
    [told] = plan.damaged
    assert told.startswith("version 1 is damaged (IO Error: ")
    sound(published.home)
    assert (plan.previous, plan.history.num_rows) == (None, 0)

    newest(published.home).path.unlink()
    assert published.plan().damaged == ("version 2 is gone", plan.damaged[0])
    with pytest.raises(publishing.NotPublished, match="run `raisonne run` on everything first"):
        published.plan(3)
    published.publish()
    assert newest(published.home).number == 3
    assert published.publish(3).previous == Version(3, published.home / "versions" / "raisonne-000003.duckdb")

    emptied(newest(published.home).path)
    plan = published.publish(3)
    assert plan.previous is not None and plan.previous.number == 3, "tables stay as the newest sound version has them"
    sound(published.home)
    assert newest(published.home).number == 5
    with publishing.connect(published.home) as con:
        assert con.execute("select version from warehouse.versions order by 1").fetchall() == [(3,), (5,)]


def test_a_run_reads_what_it_uses_of_the_version_before(published: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    published.publish()
    read: list[object] = []
    real = faults.fault

    def noted(version: Version, memory: str, tables: Collection[str] | None = None) -> str | None:
        read.append(tables)
        return real(version, memory, tables)

    monkeypatch.setattr(faults, "fault", noted)
    assert published.plan().holder is not None
    assert read == [previous.READ], "whatever else it holds"
    published.plan(3)
    assert read == [previous.READ, None], "tables that stay are published again, so all are read"

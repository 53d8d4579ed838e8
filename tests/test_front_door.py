"""From a folder of one's own to an answer: init, what is due, the run, what is there, more data.

One landing is taken through all of it, because each step needs what the one before left.
"""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ROOT, Landing, command, encoded, picture

from orchestration.warehouse import publishing
from tests import processes

_SMALL = "\n[calibration]\ntrials = 1\n[limits]\nnull_sample = 3\n[publishing]\ncoverage_drop = 1\nrun_logs = 2\n"


def raisonne(land: Landing, *arguments: str, code: int = 0) -> str:
    """Run the command with the settings of a landing, and return all that it says."""
    done = command(land.config, *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def init(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run `raisonne init` in a folder as its users do, and return all that it says."""
    done = processes.call(["init", *arguments], processes.environment(), folder, PATIENCE_S)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file below a folder with what a write would change."""
    found = ((path, path.lstat()) for path in sorted(folder.rglob("*")))
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found if path.suffix != ".db-shm"}


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """Return a folder with photographs of a user, one of them twice."""
    folder = tmp_path_factory.mktemp("land")
    (folder / "photos").mkdir()
    for number in (0, 1, 2, 3, 4, 0):
        name = f"{len(list((folder / 'photos').iterdir()))}.jpg"
        (folder / "photos" / name).write_bytes(encoded(picture(number)))
    (folder / "photos" / "notes.docx").write_bytes(b"PK")
    return Landing(folder)


def test_init_writes_settings_that_run(land: Landing) -> None:
    said = init(land.folder, "photos", "--encoder", "sscd_distilled", "--home", "home")
    assert "photos: 6 pictures" in said and "because its folder is called photos" in said
    assert "not used: photos: 1 file of no known kind, such as notes.docx" in said
    assert "time: about" in said and "measured on 4 of these pictures with sscd_distilled" in said
    assert "disk: about" in said and "wrote raisonne.toml; next: raisonne run" in said
    assert "raisonne.toml is there; pass --force" in init(land.folder, "photos", code=2)
    with land.config.open("a") as file:
        file.write(_SMALL)
    before = state(land.folder)
    due = raisonne(land, "run", "--dry-run")
    assert "due   shards: 1 new (photos/photos)" in due and "due   publishing: the first version" in due
    shown = raisonne(land, "status")
    assert "has no published version; run `raisonne run`" in shown
    assert "last failure: none" in shown and "being written by: nobody" in shown
    assert state(land.folder) == before, "reading writes nothing"


def test_an_interrupt_before_the_first_version_says_that_there_is_none(land: Landing) -> None:
    code, said = processes.signal_at(land.config, ("run",), "fingerprinted", signal.SIGINT, PATIENCE_S)
    told = "raisonne: the run stopped, nothing is published yet: interrupted; the next run goes on from here"
    assert (code, said.splitlines()[-1]) == (130, told)
    shown = raisonne(land, "status", "--quick")
    assert "and no run has succeeded since\n  interrupted; the next run goes on from there" in shown


def test_the_first_run_needs_no_null_distribution_without_generations(land: Landing) -> None:
    said = raisonne(land, "run")
    assert "no generations yet, so no null distribution is drawn" in said
    assert "null distribution:" not in said
    assert "clusters of copies: 1, the largest of 2 rows" in said
    assert land.query("select count(*) from matches.calibration") == [(0,)]
    exported = raisonne(land, "export", "guard", "--to", str(land.folder / "bundle"))
    assert "error rates are not known: nothing is calibrated without generations" in exported
    assert "5 pictures" in exported
    refused = raisonne(land, "export", "guard", "--p-value", "0.05", "--to", str(land.folder / "other"), code=1)
    assert "calibration.without_generations = true" in refused


def test_afterwards_nothing_is_due_and_status_tells_what_is_there(land: Landing) -> None:
    before = state(land.folder)
    assert "nothing is due" in raisonne(land, "run", "--dry-run")
    shown = raisonne(land, "status")
    assert "published: #1, " in shown and "kept versions: 1 (" in shown
    assert "due: nothing" in shown
    assert "a later run succeeded" in shown
    for part in ("facts", "versions", "dagster", "exports"):
        assert f"  {part}: " in shown
    assert "publishing.keep = 5 bounds them" in shown and "publishing.run_logs = 2 bounds them" in shown
    assert state(land.folder) == before, "reading writes nothing"
    with publishing.writer(land.home, run="a test", wait_s=0):
        assert f"being written by: run a test (pid {os.getpid()}" in raisonne(land, "status", "--quick")


def test_no_path_is_cut_on_a_narrow_terminal(land: Landing) -> None:
    deep = Path("/", *(["a-folder-with-a-name-that-is-longer-than-others"] * 4), "raisonne.duckdb")
    script = (
        "import sys\nfrom pathlib import Path\nfrom orchestration.cli import summary\n"
        "from orchestration.warehouse import publishing\n"
        "summary.show(publishing.connect(Path(sys.argv[1])), Path(sys.argv[2]), None)\n"
    )
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(land.home), str(deep)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=writing,
    )
    os.close(writing)
    said = "".join(lines(reading))
    assert process.wait(PATIENCE_S) == 0
    assert f"database            {deep}\r\n" in said


def lines(descriptor: int) -> Iterator[str]:
    while True:
        try:
            data = os.read(descriptor, 65_536)
        except OSError:  # how a terminal says that nobody writes to it any more
            return
        if not data:
            return
        yield data.decode(errors="replace")


def test_generations_that_come_later_are_found_due_and_calibrated(land: Landing) -> None:
    (land.folder / "generated").mkdir()
    (land.folder / "generated" / "0.png").write_bytes(encoded(picture(3), "PNG"))
    land.config.write_text(
        land.config.read_text().replace("[encoders]", '[[generations]]\nname = "g"\npath = "generated"\n[encoders]')
    )
    due = raisonne(land, "run", "--dry-run")
    assert "due   generations: 1 to be fingerprinted and searched for" in due
    said = raisonne(land, "run", "generations_only")
    assert "embedding pictures of the null distribution" in said
    assert land.query("select count(*) > 0 from matches.calibration") == [(True,)]
    assert land.query("select verdict from provenance.generations") == [("copy",)]
    shown = raisonne(land, "show", "0.png")
    assert "0.png: copy" in shown


def test_tables_of_all_schemas_are_shown(land: Landing) -> None:
    shown = command(land.config, "sql", "--format", "csv", "SHOW tables ;").stdout
    assert shown.splitlines()[0] == "schema,table,one row per"
    assert "duplicates,counts," in shown and "catalog,samples," in shown


def test_a_changed_setting_a_gone_disk_and_a_wrong_encoder_are_told_before_a_run(land: Landing) -> None:
    text = land.config.read_text()
    try:
        land.config.write_text(text + "[thresholds]\npdq = 30\n")
        assert "a new version, as settings differ from those of version" in raisonne(land, "run", "--dry-run")
        land.config.write_text(text)
        (land.folder / "photos").rename(land.folder / "unmounted")
        told = raisonne(land, "run", "--dry-run")
        assert "STOP  nothing found at" in told and "mount its disk" in told
        assert "  done  " not in told and "  due   " not in told, "nobody knows"
        (land.folder / "unmounted").rename(land.folder / "photos")
        land.config.write_text(text.replace("sscd_distilled", "sscd_distiled"))
        said = raisonne(land, "run", code=2)
        assert "`encoders`: no encoder is called 'sscd_distiled'" in said
        assert "inspecting" not in said and "captions" not in said, "it is refused before anything is read"
    finally:
        land.config.write_text(text)


@pytest.mark.thorough
def test_gone_generations_another_picture_and_a_wrong_encoder_are_told_as_due(land: Landing) -> None:
    text = land.config.read_text()
    try:
        (land.folder / "generated").rename(land.folder / "away")
        told = raisonne(land, "run", "--dry-run")
        assert "STOP  " in told and "holds all of this" not in told
        (land.folder / "away").rename(land.folder / "generated")
        (land.folder / "photos" / "new.jpg").write_bytes(encoded(picture(9)))
        land.config.write_text(text.replace("sscd_distilled", "sscd_distiled"))
        assert "no encoder is called" in raisonne(land, "run", "--dry-run")
    finally:
        land.config.write_text(text)
    assert "delivered again (photos/photos)" in raisonne(land, "run", "--dry-run")

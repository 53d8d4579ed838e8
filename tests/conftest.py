"""What tests share: the sample run once, and small warehouses made of pictures drawn on the spot."""

import atexit
import gc
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from unittest.mock import patch

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from PIL import Image, ImageFilter

from tests import processes, records, threads

if TYPE_CHECKING:
    from transforms.pictures.confined.pool import DecoderPool

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 900
"""How long to wait for what must happen: only a defect makes a test wait so long, never a busy machine."""
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # workers share cores: threads that wait leave them to others
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background so, and what tests start would inherit it and not end by Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


# Longest first, so that no worker is left with one of them at the end; before all, the file that has the sample run.
_LONG = (
    "test_dictionary.py",
    "test_kills.py",
    "test_ui.py",
    "test_ray_tasks.py",
    "test_ray_runs.py",
    "test_runs.py",
    "test_pages.py",
    "test_recalls.py",
    "test_front_door.py",
    "test_matching_runs.py",
    "test_duplicates.py",
    "test_downloads.py",
    "test_calibration_runs.py",
    "test_bad_input.py",
    "test_public_api.py",
    "test_hashes_first.py",
    "test_byte_limits.py",
    "test_data_versions.py",
    "test_lab.py",
    "test_odd_dumps.py",
    "test_packaging.py",
    "test_guard.py",
    "test_prompts.py",
    "test_confined.py",
    "test_account.py",
    "test_hamming_join.py",
    "test_report_pages.py",
    "test_fingerprinting.py",
    "test_damage.py",
    "test_case_page.py",
    "test_deploy.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Compile kernels for all workers, while these import and collect; let short tests take few threads, records."""
    if config.option.markexpr:
        threads.take_one()
        records.outline_in_forks()
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        from tests import kernels

        if compiling := kernels.start():
            config.add_cleanup(partial(kernels.end, compiling))


def pytest_collection() -> None:
    """Look for no garbage while modules are imported: there is none, and looking takes a tenth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over all that was imported."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring files in the order in which workers take them; within a file nothing moves."""
    place = {name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(_LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that fails say what the runs before it left out."""
    report = yield
    if report.failed and records.BEGUN.is_set():
        report.sections.append(("Outlined runs", records.LEFT_OUT))
    return report


def picture(seed: int, width: int = 256, height: int = 192) -> Image.Image:
    """Draw a picture that no other seed resembles: patterns laid over each other through masks that are patterns too.

    About one pair of seeds in 250 has embeddings with a cosine above 0.5, from which on pictures are compared by
    pixels. Pictures of blurred noise look as different, and yet have a cosine of about 0.7 with each other.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(0, 255, 3) + 60 * _pattern(rng, width, height)[..., None]
    for _ in range(3):
        mask = _pattern(rng, width, height)
        mask = mask > rng.uniform(-0.5, 0.5) if rng.random() < 0.5 else (mask + 1) / 2
        colour = rng.uniform(0, 255, 3) + 60 * _pattern(rng, width, height)[..., None]
        drawn += mask[..., None] * (colour - drawn)
    stretched = (drawn - drawn.min()) / np.ptp(drawn) * 255
    return Image.fromarray(stretched.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))


def _pattern(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return waves, a chequerboard, rings, a fan, an edge or noise, -1 to 1, as for a picture 256 wide."""
    y, x = np.mgrid[:height, :width] * (256 / width)
    angle, period, phase = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(6), np.log(90))), rng.uniform(0, 2 * np.pi)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    dx, dy, turn = x - rng.uniform(0, 256), y - rng.uniform(0, 192), 2 * np.pi / period
    match rng.integers(6):
        case 0:
            return np.sin(across * turn + phase)
        case 1:
            return np.sign(np.sin(across * turn + phase) * np.sin(along * turn))
        case 2:
            return np.sin(np.hypot(dx, dy * rng.uniform(0.5, 2)) * turn + phase)
        case 3:
            return np.sin(np.arctan2(dy, dx) * rng.integers(2, 9) + phase)
        case 4:
            return np.tanh((across - across.mean()) / period)
    coarse = Image.fromarray(rng.integers(0, 256, (int(200 / period) + 2,) * 2, np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 127.5 - 1


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """Return the picture's bytes in a format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Row:
    """A training row to land. data: the picture's bytes, None for one that is missing from the tar."""

    url: str
    caption: str | None
    data: bytes | None
    member: str | None = None  # another member name than KEY.jpg
    license: str | None = None


@dataclass
class Landing:
    """A warehouse of its own: landing folders, settings, and the command to run it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def config(self) -> Path:
        return self.folder / "raisonne.toml"

    def write_config(self, extra: str = "") -> None:
        (self.folder / "laion").mkdir(parents=True, exist_ok=True)
        (self.folder / "generations").mkdir(exist_ok=True)
        self.config.write_text(
            'home = "home"\n[[datasets]]\nname = "tiny"\nmetadata = "laion/*.parquet"\nimages = "laion/*.tar"\n'
            '[[generations]]\nname = "gen"\npath = "generations"\n[encoders]\ncopy = "sscd_distilled"\n'
            + ("" if "[calibration]" in extra else "[calibration]\ntrials = 1\n")
            + ("" if "[limits]" in extra else "[limits]\nnull_sample = 3\n")
            + ("" if "[search]" in extra else '[search]\nscales = []\nflips = "none"\n')  # as a whole alone
            + ("" if "[publishing]" in extra else "[publishing]\ncoverage_drop = 1\n")  # shards come and go
            + extra
        )

    def shard(self, name: str, rows: Sequence[Row], extra_members: Mapping[str, bytes] | None = None) -> None:
        """Land a metadata parquet in LAION's columns and an img2dataset-style tar of the same name."""
        laion = self.folder / "laion"
        table = pa.table(
            {
                "URL": pa.array([r.url for r in rows], pa.string()),
                "TEXT": pa.array([r.caption for r in rows], pa.string()),
                "WIDTH": pa.array([256] * len(rows), pa.int32()),
                "HEIGHT": pa.array([192] * len(rows), pa.int32()),
            }
        )
        if any(r.license for r in rows):
            table = table.append_column("LICENSE", pa.array([r.license for r in rows], pa.string()))
        pq.write_table(table, laion / f"{name}.parquet.new")
        with tarfile.open(laion / f"{name}.tar.new", "w") as archive:
            for number, row in enumerate(rows):
                if row.data is None:
                    continue
                key = f"{number:09d}"
                add(archive, row.member or f"{key}.jpg", row.data)
                stem = (row.member or key).rpartition(".")[0] if row.member else key
                add(archive, f"{stem}.json", json.dumps({"url": row.url, "caption": row.caption, "key": key}).encode())
            for member, data in (extra_members or {}).items():
                add(archive, member, data)
        for kind in ("parquet", "tar"):
            (laion / f"{name}.{kind}.new").rename(laion / f"{name}.{kind}")

    def raisonne(
        self, *arguments: str, check: bool = True, timeout: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command in a process of its own."""
        if arguments[:1] == ("run",):
            self.keep_records_open()
        return command(self.config, *arguments, check=check, timeout=timeout)

    def killed_at(self, line: str) -> None:
        """Run everything in a process of its own, and send it SIGKILL as soon as it says a line that begins so."""
        self.keep_records_open()
        processes.kill_at(self.config, ("run",), line, PATIENCE_S)

    def keep_records_open(self) -> None:
        """Choose the faster storage of Dagster's records, and begin with empty ones: runs take half the time."""
        if not (self.home / "dagster").exists():
            shutil.copytree(_records(), self.home / "dagster")

    def run_here(self, job: str = "everything", *, exports: bool = False, tables: bool | Sequence[str] = True) -> None:
        """Run a job in this process: for the tables and facts that it leaves, not for what it says or Dagster shows.

        Args:
            job: The job.
            exports: Whether the exports are written too, a tenth of the work of a small run.
            tables: Whether a version is published, half of the work, and nothing of it is in the facts; or of which
                tables one is published, with those that they read, as if the release had no others.
        """
        from orchestration.cli import execution

        self.keep_records_open()
        settings = patch.dict(os.environ, processes.environment(RAISONNE_CONFIG=str(self.config)), clear=True)
        with settings, records.outline(), nullcontext() if exports else without_exports(tables=tables):
            result = execution.execute(job, self.home)
        assert result.success, execution.reason(result.all_events)

    def query(self, sql: str) -> list[tuple]:
        """Query the published version with a connection of its own."""
        with duckdb.connect(str(self.home / "raisonne.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()


@cache
def _records() -> Path:
    """Return a folder of Dagster's records without a run. Making its tables takes a second each time."""
    import dagster as dg

    from orchestration.runtime import instance

    folder = Path(tempfile.mkdtemp(prefix="records-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with patch.dict(os.environ, DAGSTER_HOME=str(folder)):
        instance.choose_fast_storage(folder)
        with dg.DagsterInstance.from_config(str(folder)) as made:
            assert made.get_runs() == [] and made.all_asset_keys() == [] and made.all_instigator_state() == []
    return folder


@contextmanager
def without_exports(*, tables: bool | Sequence[str] = True) -> Iterator[None]:
    """Let a job leave out the asset that writes exports, as one does who selects the others in the UI.

    Args:
        tables: Whether the tables of a version stay, or which of them, with those that they read, there are at all.
    """
    import dagster as dg

    from orchestration.defs import warehouse
    from tests.planted import read_by

    left_out = {dg.AssetKey("curator_exports")} | (set() if tables else warehouse.published_tables.keys)
    models = warehouse.MODELS if isinstance(tables, bool) else read_by(tables, warehouse.MODELS)
    whole = dg.JobDefinition.execute_in_process

    def chosen(job: dg.JobDefinition, **options: object) -> dg.ExecuteInProcessResult:
        keys = job.asset_layer.selected_asset_keys - left_out
        return whole(job, asset_selection=sorted(keys), **options)

    with patch.object(dg.JobDefinition, "execute_in_process", chosen), patch.object(warehouse, "MODELS", models):
        yield


class _InFolder(Protocol):
    @property
    def folder(self) -> Path: ...


@dataclass(frozen=True)
class Kept[Warehouse: _InFolder]:
    """A warehouse that tests change, made once, and a copy of its folder to begin each of them with."""

    made: Warehouse
    copy: Path

    @classmethod
    def of(cls, made: Warehouse) -> Self:
        """Copy the folder of a warehouse beside it."""
        copy = made.folder.with_name("kept")
        shutil.copytree(made.folder, copy, symlinks=True)
        return cls(made, copy)

    def restored(self) -> Warehouse:
        """Return the warehouse as it was made, whatever tests have done to it."""
        shutil.rmtree(self.made.folder)
        shutil.copytree(self.copy, self.made.folder, symlinks=True)
        return self.made


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member with these bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def command(
    config: Path, *arguments: str, check: bool = True, timeout: float = PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    """Run `raisonne` with these settings. With `check`, a failure shows what it printed."""
    done = processes.run(config, arguments, timeout)
    if check:
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator["DecoderPool"]:
    """Give a test processes of its own that decode pictures."""
    from transforms.pictures.confined import requests
    from transforms.pictures.confined.pool import DecoderPool

    own = DecoderPool()
    monkeypatch.setattr(requests, "POOL", own)
    yield own
    own.close()
    assert not own.all, "a process is left"


@pytest.fixture
def whole_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs that a test forks record all that Dagster records of them."""
    monkeypatch.delenv(records.OUTLINE, raising=False)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """Return an empty warehouse of one dataset and one folder of generations, with the small encoder."""
    made = Landing(tmp_path)
    made.write_config()
    return made


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """Return the committed sample, run once into a home of its own, in a process as users start it.

    Test workers share it: the first one to need it runs it, the others wait.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, done = root / "sample", root / "sample.done"
    with FileLock(root / "sample.lock"):
        if not done.exists():
            folder.mkdir()
            config = (ROOT / "raisonne.toml").read_text()
            config = config.replace('"data/warehouse"', f'"{folder / "home"}"')
            config = config.replace('"data/sample', f'"{ROOT}/data/sample')
            (folder / "raisonne.toml").write_text(config)
            made = Landing(folder)
            made.keep_records_open()
            processes.run_afresh(made.config, "run")
            done.touch()
    return Landing(folder)


@pytest.fixture(scope="session")
def rows_of() -> Callable[[int, int], list[Row]]:
    """Return a maker of rows: `rows_of(first_seed, count)`, each with a picture, a URL and a caption of its own."""

    def make(first: int, count: int) -> list[Row]:
        return [
            Row(f"https://images.example.org/{s}.jpg", f"picture {s}", encoded(picture(s)))
            for s in range(first, first + count)
        ]

    return make

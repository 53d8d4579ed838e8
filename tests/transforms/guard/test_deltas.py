"""A delta makes the next bundle byte for byte, or none."""

import shutil
import zipfile
from pathlib import Path

import bundles
import numpy as np
import pytest
from bundles import Blurred
from click.testing import CliRunner
from conftest import encoded, picture

from orchestration.cli.guard.bundle import bundle
from transforms.guard import Guard
from transforms.guard.deltas import chunks, delta
from transforms.guard.deltas.delta import DeltaError


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a bundle, and one with more pictures and an index."""
    folder = tmp_path_factory.mktemp("deltas")
    files = [encoded(picture(seed, 128, 96)) for seed in range(70)]
    old = bundles.write(folder / "old", files[:66], Blurred(), indexed=True)
    return old, bundles.write(folder / "new", files, Blurred(), indexed=True, renditions=2)


def test_what_comes_of_a_delta_is_the_new_bundle_byte_for_byte(two: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = two
    made = tmp_path / "made" / "new"
    file = tmp_path / "update.delta"
    done = CliRunner().invoke(bundle, ["diff", str(old), str(new), "--to", str(file)])
    assert (done.exit_code, "of the bundle" in done.output) == (0, True), done.output
    assert file.stat().st_size < sum(path.stat().st_size for path in new.iterdir())
    done = CliRunner().invoke(bundle, ["patch", str(old), str(file), "--to", str(made)])
    assert done.exit_code == 0, done.output
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {p.name: p.read_bytes() for p in new.iterdir()}
    assert Guard.load(made, Blurred()).check(encoded(picture(69, 128, 96))).decision == "block"
    for arguments, reason in (
        (["patch", str(old), str(file), "--to", str(made)], "never overwritten"),
        (["patch", str(new), str(file), "--to", str(tmp_path / "x")], "is for the bundle"),
        (["diff", str(old), str(new), "--to", str(file)], "exists"),
        (["patch", str(tmp_path), str(file), "--to", str(tmp_path / "x")], "no bundle at"),
    ):
        refused = CliRunner().invoke(bundle, arguments)
        assert (refused.exit_code, reason in refused.output) == (1, True), refused.output


def test_a_delta_that_was_changed_makes_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = two
    file = tmp_path / "update.delta"
    delta.write(old, new, file)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    steps = next(name for name in entries if name.endswith(".steps"))
    longer = np.array([[0, 2**62]], "<i8").tobytes()
    backwards = np.array([[5, -3], [0, 3]], "<i8").tobytes()
    changes = [
        {steps: longer},
        {steps: backwards},
        {steps: entries[steps][:-3]},
        {steps: entries[steps][:-16]},
        {"manifest.json": b"{}"},
        {"base": b"0" * 64},
        {name: b"" for name in entries if name.endswith(".bytes")},
    ]
    for number, change in enumerate(changes):
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in (entries | change).items():
                archive.writestr(name, data)
        with pytest.raises(DeltaError):
            delta.apply(old, file, tmp_path / f"made-{number}")
    for broken in (b"", whole[:-40], whole[:100], b"x" * 500):
        file.write_bytes(broken)
        with pytest.raises(DeltaError):
            delta.apply(old, file, tmp_path / "made")
    assert list(tmp_path.iterdir()) == [file]
    spoilt = shutil.copytree(old, tmp_path / "spoilt")
    file.write_bytes(whole)
    (spoilt / "vectors.npy").chmod(0o644)
    (spoilt / "vectors.npy").write_bytes(b"\0" * 100)
    with pytest.raises(DeltaError):
        delta.apply(spoilt, file, tmp_path / "made")


def test_rows_put_in_anywhere_cost_little_more_than_themselves() -> None:
    rng = np.random.default_rng(1)
    old = rng.integers(0, 256, (50_000, 32), np.uint8)
    places = np.sort(rng.choice(50_000, 20, replace=False))
    new = np.insert(old, places, rng.integers(0, 256, (20, 32), np.uint8), axis=0)
    steps = chunks.shared(old.ravel(), new.ravel())
    assert steps[:, 1].sum() == new.size
    literal = steps[steps[:, 0] < 0, 1].sum()
    assert 20 * 32 <= literal < 20 * 4_000
    made = [
        new.ravel()[start : start + size] if place < 0 else old.ravel()[place : place + size]
        for (place, size), start in zip(steps.tolist(), [0, *np.cumsum(steps[:, 1])[:-1].tolist()], strict=True)
    ]
    assert np.array_equal(np.concatenate(made), new.ravel())
    assert chunks.shared(old.ravel()[:0], old.ravel()[:0]).shape == (0, 2)

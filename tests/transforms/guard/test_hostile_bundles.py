"""Bundles whose maker wants the guard to fail: each ends in a bundle that answers, or in the one declared error."""

import copy
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import bundles
import numpy as np
import pyarrow as pa
import pytest
from bundles import Blurred
from conftest import encoded, picture

from transforms.guard import Bundle, BundleError, Guard, KeyUnusable
from transforms.guard.bundle import manifest_digest
from transforms.guard.bundle_writer import CLUSTER_SCHEMA
from transforms.hashing.hashes import file_sha256

_ODD = (None, True, -1, 0, 2**63, 1e308, 0.001, "", "x" * 70_000, "\ud800", [], {}, [[]], {"": None}, [0.5] * 99)
_FLIPS = 60


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = [encoded(picture(seed)) for seed in range(6)]
    return bundles.write(tmp_path_factory.mktemp("guard") / "bundle", files, Blurred())


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "bundle")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def seal(folder: Path, said: dict[str, Any]) -> None:
    """Make the manifest and the files agree, as anyone can who made the bundle."""
    for name, entry in said["files"].items() if isinstance(said.get("files"), dict) else ():
        if isinstance(entry, dict) and (folder / name).is_file():
            entry |= {"bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)}
    said.pop("digest", None)
    said["digest"] = manifest_digest(said)
    (folder / "manifest.json").write_text(json.dumps(said))


def array(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = folder / f"{name}.npy"
    np.save(path, change(np.load(path)))


def places(value: object, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield way
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*way, name))


def test_any_value_anywhere_in_a_manifest_is_refused_by_name_or_harmless(folder: Path) -> None:
    whole, refused = manifest(folder), 0
    for way in [way for way in places(whole) if way and way[0] not in ("coverage", "methods", "digest")]:
        for odd in _ODD:
            said = copy.deepcopy(whole)
            part: Any = said
            for name in way[:-1]:
                part = part[name]
            part[way[-1]] = odd
            said["digest"] = ""
            with suppress(UnicodeEncodeError):
                said["digest"] = manifest_digest(said)
            (folder / "manifest.json").write_text(json.dumps(said))
            try:
                Bundle.open(folder).source(0, exact=True, pdq_distance=None, copy_score=None, region=None)
            except BundleError as error:
                assert str(folder) in str(error)
                refused += 1
    assert refused > 300


@pytest.mark.parametrize("name", ["clusters.arrow", "vectors.npy", "pdq_words.npy", "bytes_keys.npy", "background.npy"])
def test_any_byte_of_a_file_may_be_another(folder: Path, name: str) -> None:
    said, whole, draw = manifest(folder), (folder / name).read_bytes(), random.Random(name)  # noqa: S311
    shown, answered = encoded(picture(3)), 0
    for _ in range(_FLIPS):
        changed = bytearray(whole)
        for _ in range(draw.randrange(1, 9)):
            changed[draw.randrange(min(len(changed), 2_000))] = draw.choice((0, 1, 127, 255, draw.randrange(256)))
        (folder / name).write_bytes(changed)
        seal(folder, said)
        try:
            bundle = Bundle.open(folder)
        except BundleError as error:
            assert str(folder) in str(error)
        else:
            Guard(bundle, Blurred()).check(shown)
            answered += 1
    assert answered < _FLIPS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("views.scales", [0.001]),
        ("views.scales", [0.5] * 5),
        ("limits.pixels", 10**12),
        ("limits.member_bytes", 10**15),
        ("policy.pdq", 256),
        ("encoder.dimension", 2**31),
        ("calibration.null_pictures", "99"),
        ("calibration.tail", {"threshold": 0.1}),
        ("calibration.tail", {"threshold": 0.1, "shape": 0.0, "scale": 0.0, "exceedances": 9}),
        ("counts.clusters", 2**32),
        ("counts.pictures", 7),
        ("counts.rows", 10),
    ],
)
def test_a_field_out_of_bounds_is_named(folder: Path, field: str, value: object) -> None:
    said, (part, name) = manifest(folder), field.split(".")
    said[part][name] = value
    seal(folder, said)
    with pytest.raises(BundleError, match=rf"{field}|sketch_words\.npy|counts\.rows"):
        Bundle.open(folder)


def test_arrays_that_do_not_fit_are_named(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    folder.rename(whole)
    for name, change in (
        ("pdq_cluster", lambda each: each + 6),
        ("vector_cluster", lambda each: each + 2**31),
        ("background_cluster", lambda each: each + 9),
        ("bytes_keys", lambda each: each[::-1]),
        ("pixels_keys", lambda each: each + 1),
        ("background", lambda each: each * np.float32("nan")),
        ("background", lambda each: each * 10_000),
        ("null_scores", lambda each: each[::-1]),
        ("null_scores", lambda each: each * 1e6),
        ("vectors", lambda each: np.asfortranarray(each)),
        ("vectors", lambda each: each.astype(np.int16)),
        ("pdq_words", lambda each: each[:, :0]),
        ("bytes_digests", lambda each: each[:, :16]),
    ):
        shutil.copytree(whole, folder)
        array(folder, name, change)
        seal(folder, manifest(folder))
        with pytest.raises(BundleError, match=name.partition("_")[0]):
            Bundle.open(folder)
        shutil.rmtree(folder)


def test_an_array_that_says_to_be_greater_than_its_file_is_not_mapped(folder: Path) -> None:
    path = folder / "vectors.npy"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 700)
    seal(folder, manifest(folder))
    with pytest.raises(BundleError, match=r"vectors\.npy says that it holds \(6, 768\), which does not fit its size"):
        Bundle.open(folder)


def clusters(folder: Path, change: Callable[[list[dict[str, Any]]], object], **options: object) -> None:
    path = folder / "clusters.arrow"
    rows = pa.ipc.open_file(path.read_bytes()).read_all().to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, CLUSTER_SCHEMA)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, CLUSTER_SCHEMA, options=options.get("write")) as out:
        out.write_table(table)
    seal(folder, manifest(folder))


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("cluster_id", lambda rows: rows[1].update(cluster_id=1)),
        ("cluster_id has rows without", lambda rows: rows[1].update(cluster_id=None)),
        ("licenses", lambda rows: rows[2].update(licenses=None)),
        ("licenses", lambda rows: rows[2].update(licenses=["cc0", None])),
        ("licenses holds a list", lambda rows: rows[2].update(licenses=["x" * 999_999] * 17)),
        ("url holds", lambda rows: rows[2].update(url="x" * 17_000_000)),
        ("duplicate_count", lambda rows: rows[0].update(duplicate_count=-1)),
        ("duplicate_count", lambda rows: rows[0].update(duplicate_count=2**63 - 1)),
        ("counts.rows", lambda rows: rows[0].update(duplicate_count=2)),
        ("counts.clusters", lambda rows: rows.pop()),
    ],
)
def test_clusters_that_cannot_be_are_named(folder: Path, reason: str, change: Callable[[list[dict]], object]) -> None:
    clusters(folder, change)
    with pytest.raises(BundleError, match=rf"clusters\.arrow.*{reason}"):
        Bundle.open(folder)


def test_compressed_clusters_are_refused_before_they_are_unpacked(folder: Path) -> None:
    """A gigabyte of zeros is a few kilobytes on disk."""
    before = pa.total_allocated_bytes()
    clusters(folder, lambda rows: None, write=pa.ipc.IpcWriteOptions(compression="zstd"))
    with pytest.raises(BundleError, match=r"clusters\.arrow: part 1 is compressed"):
        Bundle.open(folder)
    assert pa.total_allocated_bytes() <= before + 4096


def test_links_pipes_and_folders_are_no_files_of_a_bundle(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes((folder / "vectors.npy").read_bytes())
    for name, reason in (("vectors.npy", "is a link"), ("manifest.json", "is a link")):
        data = (folder / name).read_bytes()
        (tmp_path / "elsewhere").write_bytes(data)
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(BundleError, match=reason):
            Bundle.open(folder)
        (folder / name).unlink()
        (folder / name).write_bytes(data)
    (folder / "vectors.npy").unlink()
    os.mkfifo(folder / "vectors.npy")
    with pytest.raises(BundleError, match=r"vectors\.npy: is no regular file"):
        Bundle.open(folder)
    (folder / "vectors.npy").unlink()
    (folder / "vectors.npy").mkdir()
    with pytest.raises(BundleError, match=r"vectors\.npy"):
        Bundle.open(folder)


def test_a_manifest_is_read_up_to_a_bound(folder: Path) -> None:
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read: has more than"):
        Bundle.open(folder)


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two pairs of keys, made as the page of the guard says."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", folder / f"{name}.key")
        openssl("pkey", "-in", folder / f"{name}.key", "-pubout", "-out", folder / f"{name}.pub")
    return folder


def test_who_names_a_key_takes_only_what_it_signed(keys: Path, tmp_path: Path) -> None:
    files = [encoded(picture(seed)) for seed in range(3)]
    folder = bundles.write(tmp_path / "bundle", files, key=keys / "ours.key")
    ours, theirs = keys / "ours.pub", keys / "theirs.pub"
    assert Guard.load(folder, trusted=[ours]).check(files[0]).decision == "block"
    Bundle.open(folder, [theirs, ours])
    Bundle.open(folder)
    openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", ours, "-rawin"),
        *("-in", folder / "manifest.json", "-sigfile", folder / "manifest.sig"),
    )
    with pytest.raises(BundleError, match=r"manifest\.sig is no signature .*theirs\.pub"):
        Bundle.open(folder, [theirs])

    whole = (folder / "manifest.json").read_text()
    (folder / "pdq_words.npy").write_bytes((folder / "pdq_words.npy").read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"pdq_words\.npy was changed"):
        Bundle.open(folder, [ours])
    said = manifest(folder)
    said["policy"]["copy_score"] = 1.0
    seal(folder, said)
    with pytest.raises(BundleError, match=r"manifest\.sig is no signature"):
        Bundle.open(folder, [ours])

    (folder / "manifest.json").write_text(whole)
    for broken in (b"", b"x" * 64, b"x" * 65):
        (folder / "manifest.sig").write_bytes(broken)
        with pytest.raises(BundleError, match=r"manifest\.sig"):
            Bundle.open(folder, [ours])
    (folder / "manifest.sig").unlink()
    with pytest.raises(BundleError, match=r"manifest\.sig.*must be signed by a key of .*ours\.pub.*--sign"):
        Bundle.open(folder, [ours])


def test_what_is_no_key_is_named(keys: Path, tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", [encoded(picture(0))], key=keys / "ours.key")
    openssl("genpkey", "-algorithm", "x25519", "-out", tmp_path / "other.key")
    openssl("pkey", "-in", tmp_path / "other.key", "-pubout", "-out", tmp_path / "other.pub")
    for path, reason in (
        (keys / "ours.key", "no public key in PEM"),
        (tmp_path / "other.pub", "no Ed25519 key"),
        (tmp_path / "absent.pub", "No such file"),
    ):
        with pytest.raises(KeyUnusable, match=rf"{path.name}.*{reason}"):
            Bundle.open(folder, [path])
    with pytest.raises(KeyUnusable, match="no Ed25519 key; make one with `openssl genpkey"):
        bundles.write(tmp_path / "unsigned", [], key=tmp_path / "other.key")
    assert not (tmp_path / "unsigned").exists()


def test_bundles_signed_by_minisign_are_taken_beside_those_by_openssl(keys: Path, tmp_path: Path) -> None:
    minisign = pytest.importorskip("minisign")
    pair, other = minisign.KeyPair.generate(), minisign.KeyPair.generate()
    for name, each in (("mini", pair), ("alien", other)):
        (tmp_path / f"{name}.key").write_bytes(bytes(each.secret_key))
        (tmp_path / f"{name}.pub").write_bytes(bytes(each.public_key))
    files = [encoded(picture(seed)) for seed in range(2)]
    folder = bundles.write(tmp_path / "bundle", files, key=tmp_path / "mini.key")
    Bundle.open(folder, [tmp_path / "mini.pub"])
    Bundle.open(folder, [keys / "ours.pub", tmp_path / "alien.pub", tmp_path / "mini.pub"])
    pair.public_key.verify_file(folder / "manifest.json")
    for untrusted in ([tmp_path / "alien.pub"], [tmp_path / "alien.pub", keys / "ours.pub"]):
        with pytest.raises(BundleError, match=r"minisig is no signature|minisig or .*manifest\.sig"):
            Bundle.open(folder, untrusted)
    with pytest.raises(BundleError, match=r"manifest\.sig.*must be signed"):
        Bundle.open(folder, [keys / "ours.pub"])
    said = manifest(folder)
    said["policy"]["copy_score"] = 1.0
    seal(folder, said)
    for broken in (None, b"", b"untrusted comment: x\nAAAA\ntrusted comment: y\nBBBB"):
        if broken is not None:
            (folder / "manifest.json.minisig").write_bytes(broken)
        with pytest.raises(BundleError, match="is no signature"):
            Bundle.open(folder, [tmp_path / "mini.pub"])
    pair.secret_key.encrypt("password")
    (tmp_path / "locked.key").write_bytes(bytes(pair.secret_key))
    for name, reason in (("locked.key", "protected by a password"), ("mini.pub", "no secret key of minisign")):
        with pytest.raises(KeyUnusable, match=reason):
            bundles.write(tmp_path / "unsigned", [], key=tmp_path / name)
    with pytest.raises(KeyUnusable, match="no public key of minisign"):
        Bundle.open(folder, [tmp_path / "mini.key"])

"""Deltas: writing one of two bundles, and making the newer bundle of the older one and a delta.

What belongs here: the form of a delta, a ZIP archive. What does not: what two files share (`guard/deltas/chunks.py`).

    base            the digest of the bundle that it is applied to
    manifest.json   that of the new bundle, and manifest.sig or manifest.json.minisig if it is signed
    NAME.steps      of each file that changed: of what it is made, int64 (k, 2), see `chunks.Steps`
    NAME.bytes      and its new stretches, one after the other

What comes of it is byte for byte the new bundle, whose manifest has the SHA-256 of every file: a delta that was
changed, or that belongs to another bundle, makes none. So a delta needs no signature of its own.
"""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from transforms.guard import signature
from transforms.guard.bundle import MANIFEST, Bundle, BundleError
from transforms.guard.deltas import chunks
from transforms.guard.held_files import open_file, read_file
from transforms.hashing.hashes import file_sha256
from transforms.storage import staging

_BASE, _STEPS, _BYTES = "base", ".steps", ".bytes"
_SIGNATURES = (signature.SIGNATURE, signature.MINISIGNATURE)
_SMALL, _MOST_STEPS = 1 << 22, 1 << 32  # bytes of a manifest or a signature, and of steps
_PIECE = 1 << 22


class DeltaError(ValueError):
    """A delta cannot be made or applied; the message names it and the fix."""


def write(old: Path, new: Path, target: Path) -> int:
    """Write what turns one bundle into another. Returns its bytes.

    Args:
        old: The bundle that it is applied to.
        new: The bundle that comes of it.
        target: The file.

    Raises:
        BundleError: If one of them is none.
        DeltaError: If the file exists.
    """
    if target.exists():
        raise DeltaError(f"{target} exists; remove it, or name another file")
    before, after = Bundle.read_manifest(old), Bundle.read_manifest(new)
    target.parent.mkdir(parents=True, exist_ok=True)
    with staging.whole(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_BASE, before["digest"])
        archive.writestr(MANIFEST, read_file(new / MANIFEST, _SMALL))
        for name in _SIGNATURES:
            if (new / name).exists():
                archive.writestr(name, read_file(new / name, _SMALL))
        for name, entry in sorted(after["files"].items()):
            if before["files"].get(name, {}).get("sha256") == entry["sha256"]:
                continue
            data = _mapped(new / name)
            known = _mapped(old / name) if name in before["files"] else np.empty(0, np.uint8)
            steps = chunks.shared(known, data)
            archive.writestr(name + _STEPS, steps.astype("<i8").tobytes())
            with archive.open(name + _BYTES, "w", force_zip64=True) as file:
                start = 0
                for place, size in steps.tolist():
                    if place < 0:
                        file.write(data[start : start + size].tobytes())
                    start += size
    return target.stat().st_size


def _mapped(path: Path) -> chunks.Bytes:
    if not path.stat().st_size:
        return np.empty(0, np.uint8)
    return np.memmap(path, np.uint8, "r")


def apply(old: Path, delta: Path, target: Path) -> Path:
    """Make a bundle of an older one and a delta. Returns its folder, which appears when all is verified.

    Args:
        old: The bundle that the delta was made for.
        delta: The file.
        target: The new folder.

    Raises:
        BundleError: If `old` is no bundle.
        DeltaError: If the delta is none, is for another bundle, or makes other files than its manifest says.
        FileExistsError: If `target` exists.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists; a bundle is never overwritten: remove it or name another folder")
    base = Bundle.read_manifest(old)
    try:
        with zipfile.ZipFile(delta) as archive, staging.new_folder(target) as folder:
            for_base = _read(archive, _BASE, _SMALL).decode()
            if for_base != base["digest"]:
                raise DeltaError(
                    f"{delta} is for the bundle {for_base[:12]}, and {old} is {base['digest'][:12]}; copy the bundle"
                )
            (folder / MANIFEST).write_bytes(_read(archive, MANIFEST, _SMALL))
            for name in _SIGNATURES:
                if name in archive.namelist():
                    (folder / name).write_bytes(_read(archive, name, _SMALL))
            manifest = Bundle.read_manifest(folder)
            for name, entry in manifest["files"].items():
                _make(archive, old, base["files"], folder / name, entry)
    except BundleError as error:
        raise DeltaError(f"{delta} holds no bundle: {error}") from None
    except DeltaError:  # says what to do already
        raise
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise DeltaError(f"{delta} cannot be applied: {error}; copy the bundle, or the delta again") from None
    return target


def _make(archive: zipfile.ZipFile, old: Path, known: Mapping[str, Any], path: Path, entry: Mapping[str, Any]) -> None:
    """Make a file. Raises DeltaError if it is not the one that the manifest says."""
    name = path.name
    with path.open("wb") as file:
        if name + _STEPS in archive.namelist():
            steps = np.frombuffer(_read(archive, name + _STEPS, _MOST_STEPS), "<i8").reshape(-1, 2)
            if (steps[:, 1] < 0).any() or steps[:, 1].sum() != entry["bytes"]:
                raise DeltaError(f"{name} would not have {entry['bytes']:,} bytes; copy the delta again")
            with archive.open(name + _BYTES) as new:
                for piece in _pieces(old / name if name in known else None, new, steps.tolist()):  # type: ignore[arg-type]
                    file.write(piece)
        elif name in known:
            for piece in _pieces(old / name, None, [[0, known[name]["bytes"]]]):
                file.write(piece)
    if path.stat().st_size != entry["bytes"] or file_sha256(path) != entry["sha256"]:
        raise DeltaError(f"{name} did not come out as it should; copy the bundle, or the delta again")


def _pieces(old: Path | None, new: BinaryIO | None, steps: list[list[int]]) -> Iterator[bytes]:
    """Yield the stretches of a file. Raises EOFError where one is missing."""
    before = None if old is None else open(open_file(old), "rb")  # noqa: PTH123, SIM115 -- a descriptor
    try:
        for place, size in steps:
            source = new if place < 0 else before
            if source is None:
                raise EOFError("a stretch of a file that is not there")
            if place >= 0:
                source.seek(place)
            left = size
            while left:
                piece = source.read(min(left, _PIECE))
                if not piece:
                    raise EOFError("a stretch ends too early")
                left -= len(piece)
                yield piece
    finally:
        if before is not None:
            before.close()


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DeltaError(f"{name} of the delta has more than {most:,} bytes")
    return data

"""What runs in a process that decodes pictures of strangers. Only `confined/interpreter.py` starts it.

What belongs here: the confinement that the process puts on itself, and answering requests. What does not: what is made
of a picture (`pictures/renderings.py`), what becomes of a process that does not answer (`confined/process.py`).

The process holds no secret: its environment is made for it, it opens no file but those of libraries, and it is handed
bytes, not paths. It may have as much data beyond its own as a picture may need, counted by the kernel (RLIMIT_DATA),
and a little more of a processor (RLIMIT_CPU), in case nobody is left to end it.
"""

import json
import os
import resource
import time
from collections.abc import Buffer, Callable, Iterable
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import AvifImagePlugin, Image

from transforms.pictures.bounds import Bounds, DecodeError
from transforms.pictures.renderings import Look, Renderings, decode, look, renderings
from transforms.pictures.rights import manifests, statements
from transforms.pictures.rights.statements import RightsStatement

_FILES = 64  # open at once: those of the confinement, and libraries while they are loaded
_GRACE = 5  # seconds of a processor in which the other side ends what takes too long


def main(control: int, shared: int) -> None:
    """Answer requests until the other side closes the connection.

    Args:
        control: The connection, a file descriptor.
        shared: A file in memory, likewise: the file to decode lies in it, and then the pixels.
    """
    Image.init()
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a process for each picture in work
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    own, confined_by, until = _data_bytes(), None, 0.0
    with Connection(control) as connection:
        connection.send_bytes(json.dumps({"processor_s": time.process_time()}).encode())
        while True:
            try:
                asked = json.loads(connection.recv_bytes())
            except EOFError:
                return
            bounds = Bounds(**asked["bounds"])
            if bounds != confined_by or time.process_time() > until:
                confined_by, until = bounds, _confine(own, bounds)
            answer = _answer(asked, bounds, shared)
            connection.send_bytes(json.dumps(answer | {"processor_s": time.process_time()}).encode())


def write(shared: int, data: Buffer, place: int) -> int:
    """Write to the shared file.

    Args:
        shared: The file.
        data: What to write.
        place: Where.

    Returns:
        The place after it.
    """
    left = memoryview(data).cast("B")
    while left:
        count = os.pwrite(shared, left, place)
        left, place = left[count:], place + count
    return place


def read(shared: int, into: Buffer, place: int) -> int:
    """Read from the shared file. Raises EOFError if it ends too early.

    Args:
        shared: The file.
        into: What to fill.
        place: Where it begins in the file.

    Returns:
        The place after it.
    """
    left = memoryview(into).cast("B")
    while left:
        count = os.preadv(shared, [left], place)
        if not count:
            raise EOFError("the shared file ends before the data does")
        left, place = left[count:], place + count
    return place


def _data_bytes() -> int:
    """Return the bytes of data that this process has, as the kernel counts them for RLIMIT_DATA."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))


def _confine(own: int, bounds: Bounds) -> float:
    """Set the limits of the next pictures, and return the seconds of a processor until which they hold for another.

    Only the soft ones: other pictures may have others.
    """
    until = time.process_time() + _GRACE
    for limit, most in (
        (resource.RLIMIT_DATA, own + bounds.memory),
        (resource.RLIMIT_CPU, ceil(until + min(bounds.seconds, 1e9)) + _GRACE),
    ):
        resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    return until


def _answer(asked: dict[str, Any], bounds: Bounds, shared: int) -> dict[str, Any]:
    """Decode the file, overwrite it with the pixels, and return the other results, or the reason for having none."""
    try:
        data = bytearray(asked["bytes"])
        read(shared, data, 0)
        if asked["work"] == "rights":
            return {"shapes": [], "rest": {"rights": _rights(bytes(data), asked["anchors"])}}
        return _MADE[asked["work"]](bytes(data), bounds, shared)
    except (MemoryError, DecodeError) as error:
        return {"failure": str(error), "kind": type(error).__name__}
    except Exception as error:
        where = _where(error)
        return {"failure": f"the decoder failed: {type(error).__name__}: {str(error)[:200]} ({where})", "kind": ""}


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"


def _write(pictures: Iterable[np.ndarray], shared: int) -> list[tuple[int, ...]]:
    """Write pixels into the shared file, one picture after the other, and return their shapes."""
    shapes, place = [], 0
    for picture in pictures:
        place = write(shared, np.ascontiguousarray(picture), place)
        shapes.append(picture.shape)
    return shapes


def _decoded(data: bytes, bounds: Bounds, shared: int) -> dict[str, Any]:
    return {"shapes": _write([decode(data, bounds)], shared)}


def _looked(data: bytes, bounds: Bounds, shared: int) -> dict[str, Any]:
    seen: Look = look(data, bounds)
    rest = {"identity": seen.identity, "note": seen.note, "hidden": seen.hidden, "covered": seen.covered}
    return {"shapes": _write([seen.picture], shared), "rest": rest | {"rights": _rights(data)}}


def _rights(data: bytes, anchors: str | None = None) -> dict[str, Any] | None:
    """Return what a file says of its use. What fails here keeps no picture from being used, and is said."""
    try:
        said = statements.read(data)
        if said is not None and anchors is not None:
            said = manifests.verified(data, said, anchors)
    except Exception as error:
        said = RightsStatement(
            unread=f"its reader failed: {type(error).__name__}: {str(error)[:200]} ({_where(error)})"
        )
    return None if said is None else said.row()


def _rendered(data: bytes, bounds: Bounds, shared: int) -> dict[str, Any]:
    seen: Renderings = renderings(data, bounds)
    return {"shapes": _write(seen.pictures, shared), "rest": {"identity": seen.identity, "hidden": seen.hidden}}


_MADE: dict[str, Callable[[bytes, Bounds, int], dict[str, Any]]] = {
    "decode": _decoded,
    "look": _looked,
    "renderings": _rendered,
}

"""What runs in a process that decodes pictures of strangers. Only `confined/interpreter.py` starts it.

What belongs here: the confinement that the process puts on itself, and answering requests. What does not: what is made
of a picture (`confined/works.py`), what becomes of a process that does not answer (`confined/process.py`).

The process holds no secret: its environment is made for it, it opens no file but those of libraries, and it is handed
bytes, not paths. It may have as much data beyond its own as a picture may need, counted by the kernel (RLIMIT_DATA),
and a little more of a processor (RLIMIT_CPU), in case nobody is left to end it.
"""

import importlib
import json
import os
import resource
import time
from collections.abc import Buffer, Callable, Iterable, Mapping
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import AvifImagePlugin, Image

from transforms.pictures.bounds import Bounds, DecodeError
from transforms.pictures.confined import works

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
    modules = {works.__name__: works}
    with Connection(control) as connection:
        connection.send_bytes(json.dumps({"processor_s": time.process_time()}).encode())
        while True:
            try:
                asked = json.loads(connection.recv_bytes())
            except EOFError:
                return
            module = asked["module"]
            if module not in modules:
                _release()
                modules[module] = importlib.import_module(module)
                own, confined_by = _data_bytes(), None
                connection.send_bytes(json.dumps({"processor_s": time.process_time()}).encode())
                continue
            bounds = Bounds(**asked["bounds"])
            if bounds != confined_by or time.process_time() > until:
                confined_by, until = bounds, _confine(own, bounds)
            answer = _answer(getattr(modules[module], asked["function"]), asked, bounds, shared)
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


def _release() -> None:
    """Lift the limits of pictures, to load a module: of these processes, none has gone over them."""
    for limit in (resource.RLIMIT_DATA, resource.RLIMIT_CPU):
        most = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most, most))


def _answer(made: Callable[..., works.Made], asked: Mapping[str, Any], bounds: Bounds, shared: int) -> dict[str, Any]:
    """Decode the file, overwrite it with what is made of it, and return the rest, or the reason for having none."""
    try:
        data = bytearray(asked["bytes"])
        read(shared, data, 0)
        arrays, rest = made(bytes(data), bounds, *([asked["details"]] if asked["details"] else []))
        return {"shapes": _write(arrays, shared), "rest": dict(rest)}
    except (MemoryError, DecodeError) as error:
        return {"failure": str(error), "kind": type(error).__name__}
    except Exception as error:
        what = f"{type(error).__name__}: {str(error)[:200]} ({works.place_of(error)})"
        return {"failure": f"the decoder failed: {what}", "kind": ""}


def _write(arrays: Iterable[np.ndarray], shared: int) -> list[tuple[int, ...]]:
    """Write arrays into the shared file, one after the other, and return their shapes."""
    shapes, place = [], 0
    for array in arrays:
        place = write(shared, np.ascontiguousarray(array), place)
        shapes.append(array.shape)
    return shapes

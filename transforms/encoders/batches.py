"""Running many rows on a device of limited memory: in batches, one prefetched, smaller if memory runs out.

What belongs here: cutting, halving and retrying. What does not: what a device is (`encoders/torch_device.py`,
`encoders/sscd.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from transforms.encoders.identity import Vectors
from transforms.readable import first_line

type Row = npt.NDArray[Any]


class DeviceFull(RuntimeError):
    """The device cannot hold even one row. The message quotes the device's error."""


class Device(Protocol):
    """Turns rows into vectors, in three steps so that a GPU computes one batch while the next is copied.

    Attributes:
        rows_at_once: The size of the first batch.
        full_call: Rows of a call from which on more gain nothing: of several batches where one is copied while another
            is computed, 1 where pictures may as well come one by one.
        errors: Exceptions of the device if memory runs out.
    """

    rows_at_once: int
    full_call: int
    errors: tuple[type[Exception], ...]

    def stage(self, rows: Sequence[Row]) -> Any:  # noqa: ANN401 (each device's own kind of batch)
        """Stack rows and begin to copy them onto the device."""
        ...

    def launch(self, staged: Any) -> Any:  # noqa: ANN401
        """Start to compute a staged batch. Need not wait for it."""
        ...

    def collect(self, launched: Any) -> Vectors:  # noqa: ANN401
        """Wait for a launched batch, and return float32 of shape (rows, dimension)."""
        ...

    def full(self, error: Exception) -> bool:
        """Return whether one of `errors` means that memory ran out."""
        ...

    def release(self) -> None:
        """Release cached memory to the device."""
        ...


class Batches:
    """Runs any number of rows on a device, at most `size` at once.

    A batch for which the device has no memory is halved and tried again, and the smaller size is kept.
    """

    def __init__(self, device: Device, dimension: int) -> None:
        self.size = device.rows_at_once
        self.device, self._dimension = device, dimension

    def run(self, rows: Sequence[Row]) -> Vectors:
        """Return the vectors of any number of rows, float32 of shape (n, dimension). Raises DeviceFull."""
        done = [np.empty((0, self._dimension), np.float32)]
        staged = running = None
        start = 0
        while start < len(rows):
            batch = rows[start : start + self.size]
            if staged is None:
                staged = self._attempt(self.device.stage, batch, len(batch))
            launched = None if staged is None else self._attempt(self.device.launch, staged, len(batch))
            staged = None
            if launched is None:
                continue
            start += len(batch)
            following = rows[start : start + self.size]
            if len(following):  # while the device computes
                staged = self._attempt(self.device.stage, following, len(following))
            if running is not None:
                done.append(self.device.collect(running))
            running = launched
        if running is not None:
            done.append(self.device.collect(running))
        return np.concatenate(done)

    def _attempt[T, R](self, step: Callable[[T], R], batch: T, count: int) -> R | None:
        """Return the result of a step, or None after halving the size because the device is full."""
        try:
            return step(batch)
        except self.device.errors as error:
            if not self.device.full(error):
                raise
            said = first_line(error)
        # Out here the error is gone, and with it the failed step's variables, so that their memory can be released.
        self.device.release()
        if count == 1:
            raise DeviceFull(f"the device cannot hold one picture: {said}; free its memory or use a smaller encoder")
        self.size = count // 2
        return None

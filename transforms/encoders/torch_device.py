"""Torch models as a device for batches: CUDA in bfloat16 when there is a GPU, else the CPU in float32.

What belongs here: copies, precision, streams. What does not: loading a model (`encoders/sscd.py`, `encoders/clip.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transforms.encoders.batches import Row
from transforms.encoders.identity import Vectors

_ROWS = {"cuda": 256, "cpu": 64}
_FULL_CALL = {"cuda": 512, "cpu": 1}


def choose(device: str | None) -> str:
    """Return the device that is asked for, or the best available: `cuda` or `cpu`."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: str) -> str:
    """Return the precision in which models run on a device."""
    return "bf16" if device == "cuda" else "fp32"


class Normalised:
    """A model of pictures that takes bytes: uint8 (n, height, width, 3) becomes float32 (n, 3, height, width).

    mean, std: of the three channels, on a scale from 0 to 1, as the model was trained with.
    """

    def __init__(self, model: Callable[[Any], Any], mean: Sequence[float], std: Sequence[float], device: str) -> None:
        import torch

        self._model = model
        # (x / 255 - mean) / std as one multiplication and one addition
        self._scale = 1 / (255 * torch.tensor(std, device=device)[:, None, None])
        self._shift = (
            -torch.tensor(mean, device=device)[:, None, None] / torch.tensor(std, device=device)[:, None, None]
        )

    def __call__(self, pixels: Any) -> Any:  # noqa: ANN401 (torch is imported late, so its types have no name here)
        """Return the output of the model for bytes."""
        return self._model(pixels.permute(0, 3, 1, 2).float().mul_(self._scale).add_(self._shift))


class TorchDevice:
    """See Device. `model`: turns a staged batch into vectors of any norm."""

    def __init__(self, model: Callable[[Any], Any], device: str) -> None:
        import torch

        self._torch: Any = torch
        self._model, self._device, self._cuda = model, device, device == "cuda"
        # Copies have a stream of their own, so that they run beside the kernels of the batch before.
        self._copies = torch.cuda.Stream() if self._cuda else None
        self.rows_at_once, self.full_call = _ROWS[device], _FULL_CALL[device]
        self.errors: tuple[type[Exception], ...] = (torch.OutOfMemoryError,)

    def stage(self, rows: Sequence[Row]) -> Any:  # noqa: ANN401
        """See Device. Copies from page-locked memory, because only that can be copied while Python continues."""
        torch = self._torch
        kind = torch.from_numpy(np.empty(0, rows[0].dtype)).dtype
        batch = torch.empty((len(rows), *rows[0].shape), dtype=kind, pin_memory=self._cuda)
        np.stack(rows, out=batch.numpy())
        if not self._cuda:
            return batch
        with torch.cuda.stream(self._copies):
            copied = batch.to(self._device, non_blocking=True)
        # Allocated on the copying stream, used on this one: its memory must not be reused before both are done.
        copied.record_stream(torch.cuda.current_stream())
        return copied

    def launch(self, staged: Any) -> Any:  # noqa: ANN401
        """See Device."""
        torch = self._torch
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=self._cuda):
            if self._cuda:
                torch.cuda.current_stream().wait_stream(self._copies)
            vectors = torch.nn.functional.normalize(self._model(staged).float(), dim=1)
            if not self._cuda:
                return vectors, None
            vectors = vectors.to("cpu", non_blocking=True)  # into page-locked memory
            event = torch.cuda.Event()
            event.record()
            return vectors, event

    def collect(self, launched: Any) -> Vectors:  # noqa: ANN401
        """See Device."""
        vectors, event = launched
        if event is not None:
            event.synchronize()
        found: Vectors = vectors.numpy()
        return found

    def full(self, error: Exception) -> bool:
        """See Device."""
        return True  # of OutOfMemoryError alone

    def release(self) -> None:
        """See Device."""
        if self._cuda:
            self._torch.cuda.empty_cache()

"""Torch models as a device for batches: CUDA in bfloat16 when there is a GPU, else the CPU in float32.

What belongs here: copies, precision, streams. What does not: loading a model (`encoders/sscd.py`, `encoders/clip.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from transforms.encoders.batches import Row
from transforms.encoders.identity import EncoderUnavailable, Vectors

AUTO, CPU, CUDA = "auto", "cpu", "cuda"
"""What may be asked for, besides `cuda:1` and so on: which of the machine's GPUs."""

_ROWS = {CUDA: 256, CPU: 64}
_FULL_CALL = {CUDA: 512, CPU: 1}


def choose(device: str = AUTO) -> str:
    """Return the device that is asked for, for `auto` the best there is. Raises EncoderUnavailable if it is missing."""
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == AUTO:
        return CUDA if found else CPU
    if device != CPU and gpu(device) >= found:
        raise unavailable(device, f"PyTorch {torch.__version__} finds {found} GPUs that it can use")
    return device


def gpu(device: str) -> int:
    """Return which GPU `cuda` or `cuda:1` is."""
    return int(device.partition(":")[2] or 0)


def unavailable(device: str, why: str) -> EncoderUnavailable:
    """Return the error for a device that is not there.

    Args:
        device: As the settings name it.
        why: What was found instead.
    """
    fix = "set encoders.device = 'auto', or install what it needs"
    return EncoderUnavailable(f"no {device} for encoders: {why}; {fix}")


def precision(device: str) -> str:
    """Return the precision in which models run on a device."""
    return "fp32" if device == CPU else "bf16"


def device_of(identity: str) -> str:
    """Return the device on which an encoder has an identity, as text, where another would give it another precision."""
    return CPU if identity.endswith(f" {precision(CPU)})") else AUTO


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
        self._model, self._device, self._cuda = model, device, device != CPU
        # Copies have a stream of their own, so that they run beside the kernels of the batch before.
        self._copies = torch.cuda.Stream(device) if self._cuda else None
        kind = device.partition(":")[0]
        self.rows_at_once, self.full_call = _ROWS[kind], _FULL_CALL[kind]
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
        copied.record_stream(torch.cuda.current_stream(self._device))
        return copied

    def launch(self, staged: Any) -> Any:  # noqa: ANN401
        """See Device."""
        torch = self._torch
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=self._cuda):
            if self._cuda:
                torch.cuda.current_stream(self._device).wait_stream(self._copies)
            vectors = torch.nn.functional.normalize(self._model(staged).float(), dim=1)
            if not self._cuda:
                return vectors, None
            vectors = vectors.to("cpu", non_blocking=True)  # into page-locked memory
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._device))
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

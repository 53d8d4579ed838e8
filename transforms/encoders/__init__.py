"""Neural encoders with one small protocol: pictures in, unit vectors and the identity of the encoder out.

What belongs here: loading weights (ONNX, TorchScript and safetensors, never pickles), preprocessing, running on GPU or
CPU. What does not: batching over shards (`fingerprints/fingerprint.py`), comparing vectors (`joins/cosine/join.py`).
Torch, ONNX Runtime and open_clip take seconds to import: each is imported by the encoder that runs on it.
"""

from pathlib import Path

from transforms import plug_ins
from transforms.encoders import installed
from transforms.encoders.batches import DeviceFull
from transforms.encoders.clip import OpenClip
from transforms.encoders.identity import (
    Encoder,
    EncoderId,
    EncoderMismatch,
    EncoderUnavailable,
    Prepared,
    Vectors,
    full_call_of,
    preview_of,
    scaling_of,
)
from transforms.encoders.sscd import OnnxSscd, TorchScriptSscd
from transforms.encoders.torch_device import AUTO, device_of

__all__ = (
    "AUTO",
    "DeviceFull",
    "Encoder",
    "EncoderId",
    "EncoderMismatch",
    "EncoderUnavailable",
    "OnnxSscd",
    "OpenClip",
    "Prepared",
    "TorchScriptSscd",
    "Vectors",
    "built_in",
    "device_of",
    "full_call_of",
    "load",
    "preview_of",
    "scaling_of",
)
_FROM_PYPI = ("sscd", "sscd_distilled")


def built_in(name: str) -> bool:
    """Return whether anybody may choose an encoder by its name: it is ours, and so are its weights.

    Another one is a program (a TorchScript file, code of another distribution) or reads a file that its name chooses.
    """
    kind, _, rest = name.partition(":")
    model, _, pretrained = rest.partition("/")
    tagged = kind == "open_clip" and bool(model and pretrained) and Path(pretrained).suffix != ".safetensors"
    return name in _FROM_PYPI or tagged


def load(name: str, device: str = AUTO) -> Encoder:
    """Load the encoder that a setting names.

    `sscd`, `sscd_distilled`: from PyPI. `sscd:PATH`: a TorchScript file. `open_clip:MODEL/PRETRAINED`: one of
    open_clip's models with the weights of a tag, or of a safetensors file whose path follows the first slash.
    `NAME` or `NAME:REST`: what an installed distribution offers by the entry point NAME of the group
    `raisonne.encoders`, a function that takes REST (empty if there is none) and returns an `Encoder`.

    Args:
        name: The name.
        device: `auto` is a GPU if its library finds one, else the CPU; or `cpu`, `cuda`, `cuda:1` and so on. A plug-in
            chooses by itself.

    Raises:
        EncoderUnavailable: If there is no such encoder, its weights cannot be loaded, or the device is not there.
    """
    kind, _, rest = name.partition(":")
    if rest and kind == "sscd":
        return TorchScriptSscd(Path(rest), device)
    if name in _FROM_PYPI:
        return OnnxSscd(name, device)
    model, _, pretrained = rest.partition("/")
    if kind == "open_clip" and model and pretrained:
        return OpenClip(model, pretrained, device)
    if encoder := installed.load(kind, rest):
        return encoder
    known = [
        *_FROM_PYPI,
        "sscd:PATH.torchscript.pt",
        "open_clip:MODEL/TAG",
        "open_clip:MODEL/PATH.safetensors",
    ]
    known += plug_ins.names(plug_ins.ENCODERS)
    raise EncoderUnavailable(f"no encoder is called {name!r}; use {', '.join(known[:-1])} or {known[-1]}")

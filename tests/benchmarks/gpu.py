"""For the day a GPU is lent: all that a GPU computes, in less than eight minutes, the most telling first.

What belongs here: figures of real work on CUDA. What does not: encoders and joins on CPUs (`embed.py`, `cosine.py`).

Each figure looks at the clock before it begins: once the minutes are used up, the rest says so. Weights are drawn at
random: speed does not depend on what they say.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np

from tests.benchmarks.cosine import copied
from tests.benchmarks.cosine import gpu_share as cosine_share
from tests.benchmarks.data import RULES, vectors
from tests.benchmarks.embed import random_clip
from tests.benchmarks.feed import Instant, pipeline
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, fastest, processors_s, seconds
from tests.benchmarks.hash import photos, settle
from tests.benchmarks.match import search
from transforms.encoders import Encoder, TorchScriptSscd
from transforms.encoders.sscd import SIDE, SQUARE
from transforms.fingerprints.ahead import WorkPace
from transforms.joins.cosine import cells as cosine_cells
from transforms.joins.cosine.cells import Cells
from transforms.joins.cosine.join import cross_join
from transforms.pictures.renderings import look

_PICTURES, _ROUND = 8_192, 256
_LONGEST_S = 360.0  # until the last figure begins
_BEGAN = time.monotonic()
_NEAR, _MANY, _TEN_TIMES, _NEW, _PROBES = 0.5, 1_000_000, 10_000_000, 100_000, 64


def _on_cuda(measure: Callable[[], Measured]) -> Callable[[], Measured]:
    """Return a measurement that says why there is none where there is no GPU, or no time left."""

    def measured() -> Measured:
        import torch

        if not torch.cuda.is_available():
            raise NotMeasured("there is no GPU here (torch.cuda.is_available() is false)")
        if time.monotonic() - _BEGAN > _LONGEST_S:
            raise NotMeasured(f"the {_LONGEST_S:g} s of this group are used up: name the figure, --figure NAME")
        found = measure()
        torch.cuda.empty_cache()
        return found

    return measured


def _pace() -> WorkPace:
    return WorkPace(batch=1024, workers=len(os.sched_getaffinity(0)))


def _files(count: int) -> list[bytes]:
    return list(islice(chain.from_iterable(repeat(photos())), count))


def _feed() -> Measured:
    files, pace, encoders = _files(_PICTURES), _pace(), {"copy": Instant(SQUARE)}
    settle()
    pipeline(encoders, files, pace)
    used = seconds(lambda: pipeline(encoders, files, pace), clock=processors_s)
    taken = fastest({"feed": lambda: pipeline(encoders, files, pace)}, rounds=2)["feed"]
    return Measured(
        len(files) / taken,
        {"processes": pace.workers, "core_ms_per_image": 1000 * used / len(files), "cores_busy": used / taken},
    )


@contextmanager
def _random_sscd(device: str) -> Iterator[Encoder]:
    """Load a ResNet-50 of 512 numbers, which is SSCD but for its pooling, with weights drawn at random."""
    import torch
    import torchvision

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "random.torchscript.pt")
        model = torchvision.models.resnet50(num_classes=512).eval()
        torch.jit.trace(model, torch.zeros(1, 3, SIDE, SIDE)).save(str(path))
        yield TorchScriptSscd(path, device)


def _embedded(loaded: Callable[[], AbstractContextManager[Encoder]], *, busy: bool = False) -> Measured:
    """Return images/s from bytes to vectors, or the share of that time in which the GPU computes.

    It is taken to compute for as long as prepared pictures of the same count take that lie on it already.
    """
    import torch

    pace, files = _pace(), _files(_PICTURES)
    with loaded() as encoder:
        ready = [encoder.prepare(look(data, RULES.bounds).picture) for data in files[:_ROUND]]
        device = (getattr(encoder, "_pictures", None) or encoder._batches).device
        staged = device.stage(ready)

        def own() -> None:
            launched = [device.launch(staged) for _ in range(_PICTURES // _ROUND)]
            device.collect(launched[-1])
            torch.cuda.synchronize()

        def from_prepared() -> None:
            encoder.embed(ready * (_PICTURES // _ROUND))

        own(), encoder.embed(ready), pipeline({"copy": encoder}, files[: 2 * pace.batch], pace)
        best = fastest(
            {
                "pipeline": lambda: pipeline({"copy": encoder}, files, pace),
                "from prepared pictures": from_prepared,
                "own forward pass": own,
            },
            rounds=2,
        )
    share = best["own forward pass"] / best["pipeline"]
    return Measured(
        share if busy else _PICTURES / best["pipeline"],
        {
            "images_per_s": _PICTURES / best["pipeline"],
            "gpu_busy": share,
            "own_forward_images_per_s": _PICTURES / best["own forward pass"],
            "from_prepared_pictures": best["own forward pass"] / best["from prepared pictures"],
            "processes": pace.workers,
        },
    )


def _exact_of_ten_million() -> Measured:
    """Join a part of ten million rows with all of them, and scale it to all pairs."""
    rows = np.resize(vectors(_MANY), (_TEN_TIMES, 512))  # repeated: what is multiplied takes as long
    new = vectors(_NEW, seed=8)
    pairs: list[int] = []
    taken = seconds(lambda: pairs.append(sum(len(batch.left) for batch in cross_join(new, rows, _NEAR))))
    return Measured(taken * _TEN_TIMES / (2 * _NEW), {"measured_s": taken, "rows": _NEW, "pairs": pairs[0]})


def _cells_of(count: int) -> Measured:
    if count > _MANY and not FULL:
        raise NotMeasured("it takes longer than all others together: RAISONNE_BENCH_FULL=1 measures it")
    rows, cells = copied(count), math.isqrt(count)
    fitted: list[Cells] = []
    fit = seconds(lambda: fitted.append(Cells.fit(rows, cells, 0, 40 * cells)))
    pairs: list[int] = []
    join = seconds(lambda: pairs.append(sum(len(b) for b in cosine_cells.self_join(rows, _NEAR, fitted[0], _PROBES))))
    return Measured(fit + join, {"fit_s": fit, "join_s": join, "pairs": pairs[0], "cells": cells, "probes": _PROBES})


def _clip(model: str) -> AbstractContextManager[Encoder]:
    return random_clip(model, "cuda")


_EMBEDDED = (
    f"the forward pass of 256 prepared pictures that lie on the GPU, in bf16; ours goes from {_PICTURES} JPEGs of "
    "`hash_ratio` to vectors"
)
FIGURES = tuple(
    Figure(name, unit, goal, against, _on_cuda(measure))
    for name, unit, goal, against, measure in (
        (
            "gpu_feed",
            "images/s",
            "reported",
            "nothing: JPEGs of `hash_ratio` to SSCD's input, a process a core, an encoder that answers at once",
            _feed,
        ),
        ("embed_gpu_vit_b_32", "images/s", ">= 4000", _EMBEDDED, partial(_embedded, partial(_clip, "ViT-B-32"))),
        ("embed_gpu_sscd", "images/s", ">= 2500", _EMBEDDED, partial(_embedded, partial(_random_sscd, "cuda"))),
        (
            "embed_gpu_vit_l_14",
            "share",
            ">= 0.6",
            _EMBEDDED + "; the share of the time in which the GPU computes",
            partial(_embedded, partial(_clip, "ViT-L-14"), busy=True),
        ),
        (
            "match_gpu_vs_matmul",
            "ratio",
            "<= 1.3",
            "the product and topk on the same GPU, 1,000 views, 100,000 × 512",
            partial(search, 1, 1_000),
        ),
        (
            "cosine_gpu_share",
            "ratio",
            "reported",
            "cuBLAS's float32 rate (no TF32) at 8192³ in the same process, 1,000,000 × 512",
            cosine_share,
        ),
        (
            "cosine_gpu_10m_s",
            "s",
            "reported",
            f"nothing: the exact join of {_TEN_TIMES:,} × 512, scaled from {_NEW:,} rows with all of them",
            _exact_of_ten_million,
        ),
        (
            "cosine_gpu_cells_1m_s",
            "s",
            "reported",
            f"nothing: the join in cells of {_MANY:,} × 512, half copies of the others, fitting included",
            partial(_cells_of, _MANY),
        ),
        (
            "cosine_gpu_cells_10m_s",
            "s",
            "reported",
            f"nothing: likewise of {_TEN_TIMES:,}",
            partial(_cells_of, _TEN_TIMES),
        ),
    )
)

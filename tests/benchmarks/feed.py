"""Feeding encoders: pictures a second from JPEGs to the inputs of an encoder that answers at once.

What belongs here: decoding, hashing and scaling in processes, without an encoder's own work. What does not: hashing
beside plain libraries (`hash.py`), real encoders (`embed.py`).
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import batched, chain

import numpy as np
from PIL import Image

from tests.benchmarks.data import RULES
from tests.benchmarks.figures import Figure, Measured, fastest, processors_s
from tests.benchmarks.hash import photos, settle, sha256_of_blocks
from transforms.encoders import Encoder, EncoderId, Prepared, Vectors
from transforms.encoders.sscd import SQUARE
from transforms.fingerprints import feed
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import embed_distinct
from transforms.fingerprints.feed import FedPicture, Feed
from transforms.fingerprints.fingerprint import of_look
from transforms.hashing import hashes
from transforms.pictures.renderings import look
from transforms.pictures.scaling import Scaling

_BATCH = 64
_SCALINGS = {"sscd": SQUARE, "clip": Scaling(224, 224, Image.Resampling.BICUBIC, crop=True)}


class Instant:
    """An encoder that answers at once."""

    id = EncoderId("instant", "0" * 64, "", 1, "fp32")

    def __init__(self, scaling: Scaling) -> None:
        self.scaling = scaling

    def prepare(self, picture: np.ndarray) -> Prepared:
        return self.scaling(picture)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        return np.ones((len(prepared), 1), np.float32)


def pipeline(encoders: Mapping[str, Encoder], files: Sequence[bytes], pace: WorkPace) -> None:
    """Do what fingerprinting a large shard does between reading bytes and writing rows.

    Args:
        encoders: By kind.
        files: The pictures.
        pace: The count of processes, and the size of a batch.
    """

    def embedded(batch: Sequence[FedPicture]) -> None:
        # numbered, because some figures repeat pictures and each of them is to be computed
        keys = [f"{index} {fed.print_.pixel_sha256}" for index, fed in enumerate(batch)]
        for kind, encoder in encoders.items():
            embed_distinct(encoder, keys, [fed.inputs[kind][0] for fed in batch])

    ready = Feed(RULES, encoders, expected=feed.WORTH)
    fed = chain.from_iterable(work_ahead(ready, batched(files, ready.files), pace.by(ready.files)))
    deque(work_ahead(embedded, batched(fed, pace.batch), WorkPace(batch=1, workers=1)), maxlen=0)


def bare(scalings: Sequence[Scaling], files: Sequence[bytes]) -> None:
    """Do the same steps one after the other, in this process.

    Args:
        scalings: Those of the encoders.
        files: The pictures.
    """
    for data in files:
        hashes.sha256(data)
        seen = look(data, RULES.bounds)
        of_look(seen, RULES)
        for scaling in scalings:
            scaling(seen.picture)


def _peers(scaling: Scaling, files: Sequence[bytes]) -> dict[str, Callable[[], None]]:
    encoders = {"copy": Instant(scaling)}
    return {
        "bare": lambda: bare([scaling], files),
        "one process": lambda: pipeline(encoders, files, WorkPace(_BATCH, 1)),
        "two processes": lambda: pipeline(encoders, files, WorkPace(_BATCH, 2)),
        "SHA-256 by one thread": lambda: sha256_of_blocks(1, len(files)),
        "SHA-256 by two threads": lambda: sha256_of_blocks(2, len(files)),
    }


@cache
def _measured(scaling: Scaling) -> tuple[dict[str, float], dict[str, float], int]:
    """Return the least seconds of each peer by the clock, and seconds of processors, and the count of pictures."""
    files = photos()
    settle()
    peers = _peers(scaling, files)
    for work in peers.values():
        work()
    least = fastest(peers, rounds=5)
    used = fastest({name: peers[name] for name in ("bare", "two processes")}, rounds=3, clock=processors_s)
    return least, used, len(files)


def _two() -> Measured:
    least, used, count = _measured(SQUARE)
    return Measured(
        least["one process"] / least["two processes"],
        {
            "images_per_s": count / least["two processes"],
            "sha256_alone": least["SHA-256 by one thread"] / least["SHA-256 by two threads"],
            "core_ms_per_image": 1000 * used["two processes"] / count,
        },
    )


def _share() -> Measured:
    least, used, count = _measured(SQUARE)
    clip, clip_used, _ = _measured(_SCALINGS["clip"])
    return Measured(
        least["bare"] / (2 * least["two processes"]),
        {
            "by_processor_time": used["bare"] / used["two processes"],
            "bare_ms_per_image": 1000 * used["bare"] / count,
            "clip": clip["bare"] / (2 * clip["two processes"]),
            "clip_by_processor_time": clip_used["bare"] / clip_used["two processes"],
            "clip_bare_ms_per_image": 1000 * clip_used["bare"] / count,
        },
    )


FIGURES = (
    Figure(
        "feed_two_processes",
        "ratio",
        ">= 1.9",
        "one process, the JPEGs of `hash_ratio` scaled for SSCD, and an encoder that answers at once; sha256_alone is "
        "what SHA-256, which needs no lock, gains by a second thread here",
        _two,
    ),
    Figure(
        "feed_share",
        "ratio",
        ">= 0.9",
        "twice the pictures/s of the same steps one after the other in one process, the feed with two processes",
        _share,
    ),
)

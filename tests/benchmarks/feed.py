"""Feeding encoders: pictures a second from JPEGs to the inputs of an encoder that answers at once.

What belongs here: decoding, hashing and scaling in processes, without an encoder's own work. What does not: hashing
beside plain libraries (`hash.py`), real encoders (`embed.py`).
"""

import io
import math
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import batched, chain
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from PIL import Image

from orchestration.compute import engines
from orchestration.settings.sections import Compute
from tests.benchmarks.data import RULES
from tests.benchmarks.figures import Figure, Measured, fastest, processors_s, seconds
from tests.benchmarks.hash import photos, settle, sha256_of_blocks
from transforms.encoders import Encoder, EncoderId, Prepared, Vectors
from transforms.encoders.sscd import SQUARE
from transforms.fingerprints import feed
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import embed_distinct
from transforms.fingerprints.feed import FedPicture, Feed
from transforms.fingerprints.fingerprint import of_look
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Job
from transforms.hashing import hashes
from transforms.pictures.confined.works import rights_row
from transforms.pictures.renderings import look
from transforms.pictures.scaling import Scaling
from transforms.storage import stores
from transforms.storage.copies import copied_ahead, local_copy

_BATCH, _DUMPS = 64, 6
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

    ready = Feed(RULES, encoders, expected=max(len(files), feed.WORTH))
    fed = chain.from_iterable(work_ahead(ready, ready.handfuls(files, pace.workers), pace.by(ready.files)))
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
        rights_row(data)
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
    some = photos()
    files = [some[index % len(some)] for index in range(max(len(some), feed.WORTH))]  # of fewer no process is worth it
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


@dataclass
class _Slow:
    """A file that its store sends at a rate."""

    file: BinaryIO
    bytes_per_s: float

    def read(self, count: int) -> bytes:
        """Return the next bytes, once they are there."""
        data = self.file.read(count)
        time.sleep(len(data) / self.bytes_per_s)
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        """See `io.IOBase`."""
        return self.file.seek(place, whence)

    def __enter__(self) -> "_Slow":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


class _SlowStore(LocalFileSystem):
    """A store that sends at a rate."""

    bytes_per_s = math.inf

    def open(self, path: str, mode: str = "rb", **more: object) -> _Slow:
        return _Slow(super().open(path, mode, **more), self.bytes_per_s)


def _dumps(folder: Path) -> list[Job]:
    """Write dumps of JPEGs with a row each, and return the jobs of fingerprinting them."""
    files, jobs = photos(), []
    for number in range(_DUMPS):
        names = [f"{number:05d}{each:04d}" for each in range(feed.WORTH)]
        with tarfile.open(folder / f"{number:05d}.tar", "w") as archive:
            for index, name in enumerate(names):
                data = files[index % len(files)]
                about = tarfile.TarInfo(f"{name}.jpg")
                about.size = len(data)
                archive.addfile(about, io.BytesIO(data))
        table = pa.table({"key": names, "url": names, "caption": names})
        pq.write_table(table, folder / f"{number:05d}.parquet")
        rows = (MetadataFile(number, str(folder / f"{number:05d}.parquet")),)
        dump = f"slow://{folder}/{number:05d}.tar"
        jobs.append(Job(dump, str(folder / "fetched"), rows, {"copy": "instant"}, RULES, WorkPace(_BATCH, 2)))
    return jobs


def _remote() -> Measured:
    store = _SlowStore(skip_instance_cache=True)

    def fingerprinted(jobs: Sequence[Job], *, ahead: bool) -> None:
        fetched = copied_ahead([job.dump for job in jobs], Path(jobs[0].fetched)) if ahead else None
        results = engines.fingerprint(jobs, Compute(), lambda _: Instant(SQUARE), fetched)
        accounts = [item for _, item in results if isinstance(item, Account)]
        assert [each.counts.total() for each in accounts] == [feed.WORTH] * len(jobs)

    def read(jobs: Sequence[Job]) -> None:
        for job in jobs:
            with local_copy(job.dump, Path(job.fetched)):
                pass

    with tempfile.TemporaryDirectory() as folder, patch.object(stores, "filesystem", lambda path: (store, path[7:])):
        jobs = _dumps(Path(folder))
        here = [replace(job, dump=job.dump.removeprefix("slow://")) for job in jobs]
        fingerprinted(here, ahead=False)
        decoding = seconds(lambda: fingerprinted(here, ahead=False))
        store.bytes_per_s = sum(Path(job.dump).stat().st_size for job in here) / decoding
        best = fastest(
            {
                "reading": lambda: read(jobs),
                "decoding": lambda: fingerprinted(here, ahead=False),
                "one after the other": lambda: fingerprinted(jobs, ahead=False),
                "one beside the other": lambda: fingerprinted(jobs, ahead=True),
            },
            rounds=3,
        )
    longer = max(best["reading"], best["decoding"])
    return Measured(
        best["one beside the other"] / longer,
        {
            "one_after_the_other": best["one after the other"] / longer,
            "reading_s": best["reading"],
            "decoding_s": best["decoding"],
            "least": (_DUMPS + 1) / _DUMPS,
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
    Figure(
        "feed_remote",
        "ratio",
        "<= 1.3",
        f"the longer of reading and decoding alone, {_DUMPS} dumps of {feed.WORTH} JPEGs from a store made as slow as "
        "decoding is; nothing can be decoded while the first is read, so `least` is the best to expect",
        _remote,
    ),
)

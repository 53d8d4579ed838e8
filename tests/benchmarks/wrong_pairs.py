"""Different pictures laid over each other, whether or not a search would bring them together: none may be confirmed.

What belongs here: pairs whose truth is that they are wrong. What does not: planted generations (`evidence.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import cv2
import numpy as np
from PIL import Image

from tests.benchmarks.data import RULES
from tests.benchmarks.figures import FULL, Figure, Measured
from tests.benchmarks.judged import Judged, outcome, pixel_limits
from tests.benchmarks.labelled import EDITS
from tests.benchmarks.planted import Photo, Set
from transforms.alignment.align import align
from transforms.alignment.keypoints import Features, features
from transforms.pictures import Pixels, decode

_NEAREST = 20 if FULL else 6
_MARKED = 12  # photographs, all pairs of them
_MARKS = ("overlaid", "captioned", "framed")  # a mark that is the same on every picture


def _at_once[Item, Result](work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # two threads of ours each have a core
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, items))
    cv2.setNumThreads(threads)
    return found


def _features(pictures: Iterable[Pixels]) -> list[Features]:
    limits = pixel_limits()
    return _at_once(lambda picture: features(picture, limits), pictures)


def _confirmed(known: Sequence[Features]) -> tuple[int, int]:
    """Lay each over every other. Returns how many pairs are confirmed, and how many there are."""
    limits = pixel_limits()
    found = _at_once(lambda pair: align(*pair, limits), permutations(known, 2))
    return sum(1 for each in found if each and each.confirmed(limits)), len(found)


def _same_scene() -> Measured:
    photos = [photo for photo in _photos() if photo.origin == "same_scene"]
    confirmed, pairs = _confirmed(_features(photo.picture() for photo in photos))
    return Measured(confirmed, {"pairs": pairs})


def _nearest() -> Measured:
    """Lay every trap over the training pictures nearest to it, however far: a run compares those above a cosine."""
    made, limits = outcome(), pixel_limits()
    known = _features(photo.picture() for photo in made.trained)

    def confirmed(trap: Judged) -> int:
        mine = features(trap.planted.picture(), limits)
        found = [align(mine, known[number], limits) for number in np.argsort(-trap.views)[:_NEAREST].tolist()]
        return sum(1 for each in found if each and each.confirmed(limits))

    counts = _at_once(confirmed, [each for each in made.judged if each.planted.source is None])
    return Measured(sum(counts), {"pairs": _NEAREST * len(counts)})


def _marked() -> Measured:
    """Put one mark on different photographs and lay them over each other."""
    photos = [photo for photo in _photos() if photo.origin == "bsds500"][:_MARKED]
    images = [Image.fromarray(photo.picture()) for photo in photos]
    found, pairs = dict[str, int](), 0
    for mark in _MARKS:
        known = _features(decode(EDITS[mark](image), RULES.max_pixels) for image in images)
        found[mark], count = _confirmed(known)
        pairs += count
    return Measured(sum(found.values()), {"pairs": pairs} | found)


def _photos() -> tuple[Photo, ...]:
    read = Set.read()
    return (*read.trained, *read.never)


_AGAINST = "photographs of RAISONNE_BENCH_PHOTOS laid over each other without a search"

FIGURES = (
    Figure(
        "same_scene_confirmed",
        "pairs",
        "<= 0",
        f"{_AGAINST}: ordered pairs of ten photographs of one church",
        _same_scene,
    ),
    Figure(
        "nearest_confirmed",
        "pairs",
        "<= 0",
        f"{_AGAINST}: every trap on the {_NEAREST} training pictures nearest to it, however far they are",
        _nearest,
    ),
    Figure(
        "same_mark_confirmed",
        "pairs",
        "<= 0",
        f"{_AGAINST}: {_MARKED} photographs under one lettering, over one caption bar, in one frame; ordered pairs",
        _marked,
    ),
)

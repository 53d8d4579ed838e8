"""Altered copies: which are confirmed, by pixels or by structure, and whether anything else ever is.

What belongs here: the figures of pairs whose truth is known, each compared as a run compares it, and how many of the
copies a search would lay over their source. What does not: the edits (`altered_edits.py`), searching (`judged.py`).

The limits of `transforms/alignment/alteration_policy.py` were chosen on one half of the photographs (half 0). What is
counted here is of the other half alone, and the pairs of one scene, which had a part in choosing them: their count says
that nothing got worse.
"""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import cv2
import numpy as np
from PIL import Image

from orchestration.settings import Settings
from tests.benchmarks import judged
from tests.benchmarks.altered_edits import ALTERED, BEYOND
from tests.benchmarks.data import RULES
from tests.benchmarks.figures import FULL, Figure, Measured, NotMeasured, say
from tests.benchmarks.labelled import EDITS, PHOTOS
from tests.benchmarks.planted import Photo, Planted, Set
from transforms.alignment.align import align
from transforms.alignment.alterations import find_alteration
from transforms.alignment.keypoints import Features, features
from transforms.intervals import wilson
from transforms.matches.edits import PART, WHOLE, Edit
from transforms.pictures import Pixels, decode

_TRAINED, _EACH = (100, 100) if FULL else (40, 10)  # photographs that copies are laid over; copies an edit
_WRONG = 3 if FULL else 1  # training pictures that each copy does not show and is laid over
_NEVER = 50 if FULL else 8  # photographs never trained on
_CROPS = 2 if FULL else 1  # cuts of each photograph of a scene
_HELD_OUT = 1  # half
_OTHERS = 20  # photographs that fill the rest of a copy
_MARKED = 12 if FULL else 7
_MARKS = ("overlaid", "captioned", "framed")


@dataclass(frozen=True)
class Pair:
    """A compared pair. truth: whether a copy is there. strict, altered: what confirms one."""

    group: str
    truth: bool
    strict: bool
    altered: bool

    @property
    def confirmed(self) -> bool:
        """Whether either does."""
        return self.strict or self.altered


@dataclass(frozen=True)
class Outcome:
    """All pairs, and the processor time of comparing them, features included, on one core."""

    pairs: tuple[Pair, ...]
    seconds: float
    compared: int

    def of(self, *groups: str) -> list[Pair]:
        """Return the pairs of groups."""
        return [pair for pair in self.pairs if pair.group in groups]


class _Judge:
    """Compares pairs as a run does, and counts the time of it."""

    def __init__(self) -> None:
        thresholds = Settings().thresholds
        self.limits, self.looser = thresholds.pixels, thresholds.alterations
        self.pairs: list[Pair] = []
        self.seconds, self.compared = 0.0, 0

    def features(self, picture: Pixels) -> Features:
        began = time.process_time()
        made = features(picture, self.limits)
        self.seconds += time.process_time() - began
        return made

    def __call__(self, group: str, a: Features, b: Features, *, truth: bool = False) -> None:
        began = time.process_time()
        alignment = align(a, b, self.limits)
        strict = alignment is not None and alignment.confirmed(self.limits)
        alteration = None if strict else find_alteration(a, b, self.limits, self.looser)
        self.seconds += time.process_time() - began
        self.compared += 1
        self.pairs.append(Pair(group, truth, strict, alteration is not None and alteration.confirmed(self.looser)))


@cache
def outcome() -> Outcome:
    """Make and compare all pairs; minutes. NotMeasured: no photographs."""
    known, judge = Set.read(), _Judge()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    trained = [photo for photo in known.trained if photo.half == _HELD_OUT and photo.origin == "bsds500"][:_TRAINED]
    never = [photo for photo in known.never if photo.half == _HELD_OUT and photo.origin == "bsds500"]
    others = never[:_OTHERS]
    laid = [judge.features(photo.picture()) for photo in trained]
    rng = np.random.default_rng(3)
    for number, edit in enumerate((*ALTERED, *BEYOND)):
        for place in range(_EACH):
            source = (number * _EACH + place) % len(trained)
            made = judge.features(_edited(edit, trained[source], others))
            judge(edit.name, made, laid[source], truth=True)
            for wrong in rng.choice([n for n in range(len(trained)) if n != source], _WRONG, replace=False):
                judge("copies_of_others", made, laid[wrong])
    for photo in never[:_NEVER]:
        for edit in (None, *ALTERED):
            made = judge.features(photo.picture() if edit is None else _edited(edit, photo, others))
            judge("never_trained", made, laid[int(rng.integers(len(laid)))])
    for group, pairs in _traps(judge, [*trained, *never]):
        for a, b in pairs:
            judge(group, a, b)
    cv2.setNumThreads(threads)
    for line in _table(judge.pairs):
        say(line)
    return Outcome(tuple(judge.pairs), judge.seconds, judge.compared)


def _edited(edit: Edit, photo: Photo, others: Sequence[Photo]) -> Pixels:
    seed = zlib.crc32(f"{photo.name} {edit.name}".encode())
    fits = [each for each in others if each.name != photo.name]
    return edit.apply(photo.picture(), fits[seed % len(fits)].picture(), np.random.default_rng(seed))


def _traps(judge: _Judge, photos: Sequence[Photo]) -> Iterator[tuple[str, Iterator[tuple[Features, Features]]]]:
    """Yield pairs that show no copy: one scene, whole and cut, and one mark on different photographs."""
    for folder in ("same_scene", "walk/ET", "walk/kermit"):
        files = sorted((PHOTOS / folder).glob("*.jpg"))
        if not files:
            raise NotMeasured(f"no photographs in {PHOTOS / folder}; set RAISONNE_BENCH_PHOTOS")
        pictures = [decode(file.read_bytes(), RULES.max_pixels) for file in files]
        known = [judge.features(picture) for picture in pictures]
        yield folder, permutations(known, 2)
        for share in (0.36, 0.16):
            cuts = [
                (place, judge.features(_cut(picture, share, place, number)))
                for place, picture in enumerate(pictures)
                for number in range(_CROPS)
            ]
            yield f"{folder} cut", ((cut, other) for at, cut in cuts for n, other in enumerate(known) if n != at)
    images = [Image.fromarray(photo.picture()) for photo in photos[:_MARKED]]
    for mark in _MARKS:
        marked = [judge.features(decode(EDITS[mark](image), RULES.max_pixels)) for image in images]
        yield "one_mark", permutations(marked, 2)
    watermark = next(edit for edit in ALTERED if edit.name == "watermark")
    marked = [judge.features(_edited(watermark, photo, photos)) for photo in photos[:_MARKED]]
    yield "one_mark", permutations(marked, 2)


def _cut(picture: Pixels, share: float, place: int, number: int) -> Pixels:
    rng = np.random.default_rng([place, number, round(100 * share)])
    height, width = (round(side * share**0.5) for side in picture.shape[:2])
    top, left = int(rng.integers(picture.shape[0] - height + 1)), int(rng.integers(picture.shape[1] - width + 1))
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def _table(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield lines of Markdown: of each group, the pairs and the shares that are confirmed."""
    yield "| edit or trap | pairs | by pixels | by structure alone | confirmed (95 %) |"
    yield "| --- | --- | --- | --- | --- |"
    for group in dict.fromkeys(pair.group for pair in pairs):
        some = [pair for pair in pairs if pair.group == group]
        share = sum(pair.confirmed for pair in some) / len(some)
        low, high = wilson(share, len(some))
        alone = sum(pair.altered for pair in some)
        strict = sum(pair.strict for pair in some)
        yield f"| {group} | {len(some)} | {strict} | {alone} | {share:.3f} ({low:.2f}–{high:.2f}) |"


def _confirmed(kind: str) -> Callable[[], Measured]:
    def measure() -> Measured:
        names = [edit.name for edit in ALTERED if edit.kind == kind]
        some = outcome().of(*names)
        share = sum(pair.confirmed for pair in some) / len(some)
        low, high = wilson(share, len(some))
        by_edit = {name: float(np.mean([pair.confirmed for pair in outcome().of(name)])) for name in names}
        beyond = [edit.name for edit in BEYOND if edit.kind == kind]
        by_edit |= {f"beyond_{name}": float(np.mean([p.confirmed for p in outcome().of(name)])) for name in beyond}
        pixels = float(np.mean([pair.strict for pair in some]))
        return Measured(share, {"pairs": len(some), "low": low, "high": high, "by_pixels": pixels} | by_edit)

    return measure


def _false() -> Measured:
    wrong = [pair for pair in outcome().pairs if not pair.truth]
    groups = dict.fromkeys(pair.group for pair in wrong)
    parts = {f"pairs_{group}": len(outcome().of(group)) for group in groups}
    parts |= {f"by_pixels_{group}": sum(pair.strict for pair in outcome().of(group)) for group in groups}
    return Measured(sum(pair.altered for pair in wrong), {"pairs": len(wrong)} | parts)


@cache
def searched() -> judged.Outcome:
    """Search and compare copies of both kinds as a run does; minutes. NotMeasured: no photographs, or no encoder."""
    known = Set.read()
    trained, never = (
        [photo for photo in photos if photo.half == _HELD_OUT and photo.origin == "bsds500"]
        for photos in (known.trained, known.never)
    )
    made = [
        Planted(photo, photo, edit, never[(number + place) % len(never)])
        for number, edit in enumerate((*ALTERED, *BEYOND))
        for place in range(_EACH)
        for photo in [trained[(number * _EACH + place) % len(trained)]]
    ]
    return judged.judge(known, made)


def _candidates() -> Measured:
    made = searched()
    number = {photo.name: place for place, photo in enumerate(made.trained)}
    counted: dict[str, list[tuple[bool, bool, bool, bool]]] = {}
    for each in made.judged:
        source = number[each.planted.photo.name]
        compared = {other.number: other.verdict for other in each.sources}
        nearest = each.views.argmax() == source, each.bits.argmin() == source
        said = source in compared, *map(bool, nearest), compared.get(source) in judged.CONFIRMED
        counted.setdefault(each.planted.edited, []).append(said)
    say("| edit | copies | compared with the source | nearest by SSCD's views | by PDQ | confirmed |")
    say("| --- | --- | --- | --- | --- | --- |")
    for name, found in counted.items():
        say(f"| {name} | {len(found)} | {' | '.join(f'{np.mean(each):.2f}' for each in zip(*found, strict=True))} |")
    shares = {name: float(np.mean([compared for compared, *_ in found])) for name, found in counted.items()}
    every = [said for edit in ALTERED for said in counted[edit.name]]
    compared, views, bits, confirmed = (float(np.mean(each)) for each in zip(*every, strict=True))
    parts = {"copies": len(every), "nearest_by_views": views, "nearest_by_pdq": bits, "confirmed": confirmed}
    return Measured(compared, parts | {f"beyond_{e.name}": shares.pop(e.name) for e in BEYOND} | shares)


def _rate() -> Measured:
    found = outcome()
    return Measured(found.compared / found.seconds, {"pairs": found.compared, "seconds": found.seconds})


_AGAINST = (
    "photographs (RAISONNE_BENCH_PHOTOS) of the half that no limit was chosen on, edited by code, each laid over what "
    "it shows; confirmed by pixels or by structure"
)

FIGURES = (
    Figure("altered_whole_confirmed", "share", ">= 0.95", f"whole pictures: {_AGAINST}", _confirmed(WHOLE)),
    Figure("altered_part_confirmed", "share", ">= 0.95", f"parts: {_AGAINST}", _confirmed(PART)),
    Figure(
        "altered_false_confirmed",
        "pairs",
        "<= 0",
        "pairs that show no copy, confirmed by structure: copies of other pictures, photographs never trained on, "
        "of one scene whole and cut, under one mark; parts: how many of each, and what pixels confirm of them",
        _false,
    ),
    Figure(
        "altered_candidates",
        "share",
        ">= 0.97",
        f"copies of both kinds, {_EACH} an edit, that a search among all photographs lays over their source; parts: by "
        "edit",
        _candidates,
    ),
    Figure(
        "altered_pairs_per_s_core",
        "pairs/s",
        ">= 12",
        "nothing: processor time of all these pairs, features once a picture, both confirmations",
        _rate,
    ),
)

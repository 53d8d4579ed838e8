"""Edits that imitate how a generated image changes a training picture, to measure recall.

What belongs here: editing a picture, with the same result for the same seed. What does not: which pictures are edited,
and whether the source is found again (`tests/benchmarks/`, calibration).

Some edits are of the DISC challenge (Douze et al., "The 2021 Image Similarity Dataset and Challenge", 2021); template
swaps are the template verbatims of Webster, "A Reproducible Extraction of Training Images from Diffusion Models", 2023.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from transforms.pictures import Pixels

WHOLE, PART = "whole", "part"
_MOST_PIXELS = 8_000_000
"""Of a picture that is edited: edits hold some 100 bytes a pixel, and pictures are compared at 320 pixels a side."""


@dataclass(frozen=True)
class Edit:
    """A way of editing a picture.

    Attributes:
        name: Of the edit.
        kind: `whole` if most of the source is left, `part` if only a region of either picture is shared.
        apply: Takes the source, a picture that fills the rest, and a generator. Pictures are uint8 of shape (height,
            width, 3), RGB, at least 32 pixels a side. The source is never changed.
    """

    name: str
    kind: str
    apply: Callable[[Pixels, Pixels, np.random.Generator], Pixels]

    def __reduce__(self) -> "tuple[Callable[[str], Edit], tuple[str]]":
        """Send the name alone to other processes: many of the functions are lambdas, which cannot be sent."""
        return edit, (self.name,)


def bounded(picture: Pixels) -> Pixels:
    """Return a picture small enough to be edited in bounded memory: itself up to 8 million pixels, else smaller."""
    height, width = picture.shape[:2]
    scale = (_MOST_PIXELS / (height * width)) ** 0.5
    return picture if scale >= 1 else _sized(picture, width * scale, height * scale)


def _pixels(values: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _sized(picture: Pixels, width: float, height: float) -> Pixels:
    size = max(1, round(width)), max(1, round(height))
    shrinks = size[0] < picture.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC), np.uint8)


def _cut(picture: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Cut a share of the area out, anywhere."""
    height, width = (round(side * share**0.5) for side in picture.shape[:2])
    top = int(rng.integers(picture.shape[0] - height + 1))
    left = int(rng.integers(picture.shape[1] - width + 1))
    return picture[top : top + height, left : left + width].copy()


def _compressed(picture: Pixels, quality: int) -> Pixels:
    # OpenCV takes the first channel for blue.
    _, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1])


def _scaled(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    return _sized(source, 0.4 * source.shape[1], 0.4 * source.shape[0])


def _rotated(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = source.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(rng.choice([-10, 10])), 1.0)
    return np.asarray(cv2.warpAffine(source, turn, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def _jittered(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Change brightness, contrast and saturation by up to 30 %, the hue by up to 20°."""
    bright, contrast, saturation = rng.uniform(0.7, 1.3, 3)
    hls = cv2.cvtColor(source.astype(np.float32) / 255, cv2.COLOR_RGB2HLS)
    hls[:, :, 0] = (hls[:, :, 0] + rng.uniform(-20, 20)) % 360
    hls[:, :, 2] = np.clip(hls[:, :, 2] * saturation, 0, 1)
    shown = 255 * cv2.cvtColor(hls, cv2.COLOR_HLS2RGB) * bright
    return _pixels((shown - shown.mean()) * contrast + shown.mean())


def _blurred(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(source, (0, 0), 0.006 * max(source.shape)), np.uint8)


def _written_on(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    edited, height = source.copy(), source.shape[0]
    thick = max(1, height // 100)
    for line, words in enumerate(("when you see it", "SAMPLE TEXT")):
        (wide, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 1.0, thick)
        scale = 0.8 * source.shape[1] / wide
        place = (source.shape[1] // 10, height * (1 + 3 * line) // 5 + height // 20)
        cv2.putText(edited, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 3 * thick, cv2.LINE_AA)
        cv2.putText(edited, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA)
    return edited


def _diffused(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Degrade as a diffusion model does: detail lost to a smaller grid, noise, and the colours shifted."""
    height, width = source.shape[:2]
    soft = _sized(_sized(source, width / 2.5, height / 2.5), width, height).astype(np.float64)
    noise = cv2.GaussianBlur(rng.normal(0, 1, source.shape), (0, 0), 0.8)
    shift, gain = rng.uniform(-14, 14, 3), rng.uniform(0.88, 1.12, 3)
    return _pixels(soft * gain + shift + 9 * noise / noise.std())


def _tilted(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Move each corner inwards by up to 14 % of a side: the picture as a poster seen from the side."""
    height, width = source.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * rng.uniform(0, 0.14, (4, 2)) * [width, height]
    onto = cv2.getPerspectiveTransform(corners, (corners + inwards).astype(np.float32))
    return np.asarray(cv2.warpPerspective(source, onto, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def _collage(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Let the source fill one of four equal tiles."""
    height, width = (side // 2 for side in source.shape[:2])
    tiles = [_sized(_cut(other, 0.5, rng)[:, :: int(rng.choice([-1, 1]))], width, height) for _ in range(4)]
    tiles[int(rng.integers(4))] = _sized(source, width, height)
    return np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])


def _inset(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Paste the source into another picture, with half the width and height of that, off its edges."""
    edited = _sized(other, source.shape[1], source.shape[0])
    height, width = (side // 2 for side in edited.shape[:2])
    top, left = (int(rng.integers(side // 20, side // 2 - side // 20)) for side in edited.shape[:2])
    edited[top : top + height, left : left + width] = _sized(source, width, height)
    return edited


def _spliced(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Keep one half of the source, left, right or top, and fill the rest with another picture."""
    edited = _sized(other, source.shape[1], source.shape[0])
    height, width = source.shape[:2]
    halves = (0, height, 0, width // 2), (0, height, width // 2, width), (0, height // 2, 0, width)
    top, bottom, left, right = halves[int(rng.integers(len(halves)))]
    edited[top:bottom, left:right] = source[top:bottom, left:right]
    return edited


def _swapped(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Keep the background and put another object, an oval of 30 % of the picture, where the source had its own."""
    height, width = source.shape[:2]
    edited, mask = source.copy(), np.zeros((height, width), np.float32)
    centre = int(width * rng.uniform(0.38, 0.62)), int(height * rng.uniform(0.42, 0.58))
    side = (0.3 / np.pi) ** 0.5
    cv2.ellipse(mask, centre, (round(side * width), round(side * height)), 0, 0, 360, 1, -1, cv2.LINE_AA)
    return _pixels(edited + mask[:, :, None] * (_sized(other, width, height).astype(np.float64) - edited))


EDITS: tuple[Edit, ...] = (
    Edit("jpeg_20", WHOLE, lambda source, other, rng: _compressed(source, 20)),
    Edit("resize_40", WHOLE, _scaled),
    Edit("crop_64", WHOLE, lambda source, other, rng: _cut(source, 0.64, rng)),
    Edit("mirror", WHOLE, lambda source, other, rng: np.ascontiguousarray(source[:, ::-1])),
    Edit("flip", WHOLE, lambda source, other, rng: np.ascontiguousarray(source[::-1])),
    Edit("rotation", WHOLE, _rotated),
    Edit("colour", WHOLE, _jittered),
    Edit("blur", WHOLE, _blurred),
    Edit("text", WHOLE, _written_on),
    Edit("diffusion", WHOLE, _diffused),
    Edit("perspective", WHOLE, _tilted),
    Edit("crop_36", PART, lambda source, other, rng: _cut(source, 0.36, rng)),
    Edit("collage", PART, _collage),
    Edit("inset", PART, _inset),
    Edit("splice", PART, _spliced),
    Edit("template", PART, _swapped),
)
"""Every edit of the benchmark. The same source, other and seed give the same picture."""


def edit(name: str) -> Edit:
    """Return an edit of `EDITS` by its name."""
    return next(each for each in EDITS if each.name == name)

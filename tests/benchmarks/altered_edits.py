"""Edits nearer to what image models do than crops and re-encodings: moved, recoloured, relit, painted, covered.

What belongs here: editing a picture, the same for the same seed. What does not: which pictures are edited, and what is
confirmed of them (`altered.py`), the edits that calibrate (`transforms/matches/edits.py`).
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from transforms.matches.edits import PART, WHOLE, Edit
from transforms.pictures import Pixels

type Floats = npt.NDArray[np.floating]
type Apply = Callable[[Pixels, Pixels, np.random.Generator], Pixels]


def _pixels(values: Floats) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _like(other: Pixels, source: Pixels) -> Pixels:
    """Bring a picture to the size of another."""
    size = source.shape[1], source.shape[0]
    return np.asarray(cv2.resize(other, size, interpolation=cv2.INTER_AREA), np.uint8)


def _field(height: int, width: int, spread: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise of shape (height, width), at most 1 from zero."""
    made = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), spread)
    return np.asarray(made / np.abs(made).max())


def _displaced(share: float) -> Apply:
    """Move every pixel smoothly, the farthest by a share of the long side."""

    def apply(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = source.shape[:2]
        side = max(height, width)
        dx, dy = (_field(height, width, 0.06 * side, rng) for _ in range(2))
        most = share * side / np.hypot(dx, dy).max()
        y, x = np.mgrid[:height, :width].astype(np.float32)
        moved = cv2.remap(source, x + most * dx, y + most * dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(moved, np.uint8)

    return apply


def _turned_in_lab(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Turn a and b of CIE Lab by 45° to 180°."""
    lab = cv2.cvtColor(source.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    angle = rng.uniform(np.pi / 4, np.pi) * rng.choice([-1, 1])
    lightness, a, b = np.moveaxis(lab, 2, 0)
    turned = np.cos(angle) * a - np.sin(angle) * b, np.sin(angle) * a + np.cos(angle) * b
    made = np.dstack([lightness, *turned]).astype(np.float32)
    return _pixels(255 * cv2.cvtColor(made, cv2.COLOR_LAB2RGB))


def _sepia(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    tones = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    return _pixels(source.astype(np.float64) @ tones.T)


def _relit(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Multiply by 0.4 at one side to 1.2 at the other, in any direction."""
    height, width = source.shape[:2]
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x / width + np.sin(angle) * y / height
    along = (along - along.min()) / np.ptp(along)
    return _pixels(source * (0.4 + 0.8 * along)[:, :, None])


def _hue_shifted(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Shift the hue of HSV by 60° to 180°."""
    hsv = cv2.cvtColor(source.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[:, :, 0] = (hsv[:, :, 0] + rng.uniform(60, 180) * rng.choice([-1, 1])) % 360
    return _pixels(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _grey(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(source, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def _hidden(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Hide 40 % of the area under blobs that show another photograph."""
    field = _field(*source.shape[:2], 0.06 * max(source.shape[:2]), rng)
    return np.where((field > np.quantile(field, 0.6))[:, :, None], _like(other, source), source)


def _blended(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    return _pixels(0.65 * source + 0.35 * _like(other, source))


def _painted(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Paint with a square brush: the filter of Kuwahara et al. 1976, quadrants of 1 % of the long side."""
    reach = max(2, round(0.01 * max(source.shape)))
    planes, size = source.astype(np.float32), (reach + 1, reach + 1)
    grey = cv2.cvtColor(planes, cv2.COLOR_RGB2GRAY)
    made = least = None
    for anchor in ((x, y) for y in (0, reach) for x in (0, reach)):
        mean = cv2.blur(planes, size, anchor=anchor)
        spread = cv2.blur(grey * grey, size, anchor=anchor) - cv2.blur(grey, size, anchor=anchor) ** 2
        if made is None or least is None:
            made, least = mean, spread
        else:
            made = np.where((spread < least)[:, :, None], mean, made)
            least = np.minimum(least, spread)
    return _pixels(np.asarray(made))


def _outlined(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Flatten the colours and draw black outlines: OpenCV's mean shift, then its stylization."""
    flat = cv2.pyrMeanShiftFiltering(np.ascontiguousarray(source), 8, 24)
    return np.asarray(cv2.stylization(flat, sigma_s=20, sigma_r=0.35), np.uint8)


def _watermarked(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Write one word all over it, slanted by 30°, half transparent."""
    height, width = source.shape[:2]
    ink, scale = np.zeros((2 * height, 2 * width), np.uint8), width / 481
    for row, y in enumerate(range(0, 2 * height, int(60 * scale))):
        for x in range(-int(row % 2 * 60 * scale), 2 * width, int(170 * scale)):
            thick = max(1, round(2 * scale))
            cv2.putText(ink, "SAMPLE", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9 * scale, 255, thick, cv2.LINE_AA)
    slanted = cv2.warpAffine(ink, cv2.getRotationMatrix2D((width, height), 30, 1), (2 * width, 2 * height))
    opaque = 0.5 * slanted[height // 2 :, width // 2 :][:height, :width, None] / 255
    return _pixels(source * (1 - opaque) + 255 * opaque)


def _imitated(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Degrade as a model does: displaced by 0.6 %, detail lost to a grid of 1 : 2.5, colours shifted, noise."""
    height, width = source.shape[:2]
    moved = _displaced(0.006)(source, other, rng)
    small = cv2.resize(moved, (int(width / 2.5), int(height / 2.5)), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    noise = cv2.GaussianBlur(rng.normal(0, 1, source.shape), (0, 0), 0.8)
    return _pixels(soft * rng.uniform(0.85, 1.15, 3) + rng.uniform(-20, 20, 3) + 10 * noise / noise.std())


def _cut(picture: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Cut a share of the area out, anywhere."""
    height, width = (round(side * share**0.5) for side in picture.shape[:2])
    top, left = (int(rng.integers(full - part + 1)) for full, part in zip(picture.shape, (height, width), strict=False))
    return picture[top : top + height, left : left + width].copy()


def _of_part(apply: Apply) -> Apply:
    """Edit a cut of 36 % of the area."""
    return lambda source, other, rng: apply(_cut(source, 0.36, rng), other, rng)


def _inset(apply: Apply) -> Apply:
    """Paste an edited copy of half the width and height into another photograph."""

    def made(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        page = _like(other, source).copy()
        height, width = (side // 2 for side in page.shape[:2])
        top, left = (int(rng.integers(side // 20, side // 2 - side // 20)) for side in page.shape[:2])
        page[top : top + height, left : left + width] = _like(apply(source, other, rng), page[:height, :width])
        return page

    return made


def _magnified(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut out 16 % of the area, brought to the size of the whole."""
    size = source.shape[1], source.shape[0]
    return np.asarray(cv2.resize(_cut(source, 0.16, rng), size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _ninth(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Let the source be one of nine tiles."""
    page, (height, width) = np.zeros_like(source), source.shape[:2]
    chosen = int(rng.integers(9))
    for number in range(9):
        top, bottom = (height * (number // 3 + step) // 3 for step in (0, 1))
        left, right = (width * (number % 3 + step) // 3 for step in (0, 1))
        tile = source if number == chosen else _cut(other, 0.3, rng)
        page[top:bottom, left:right] = _like(tile, page[top:bottom, left:right])
    return page


def _rest(sepia_of: Apply) -> Apply:
    """Keep the left half, edited, and fill the rest with another photograph."""

    def made(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        page, half = _like(other, source).copy(), source.shape[1] // 2
        page[:, :half] = sepia_of(source, other, rng)[:, :half]
        return page

    return made


ALTERED: tuple[Edit, ...] = (
    Edit("displaced_1", WHOLE, _displaced(0.01)),
    Edit("displaced_2", WHOLE, _displaced(0.02)),
    Edit("lab", WHOLE, _turned_in_lab),
    Edit("sepia", WHOLE, _sepia),
    Edit("relit", WHOLE, _relit),
    Edit("hue", WHOLE, _hue_shifted),
    Edit("grey", WHOLE, _grey),
    Edit("hidden_40", WHOLE, _hidden),
    Edit("blended_65", WHOLE, _blended),
    Edit("painted", WHOLE, _painted),
    Edit("watermark", WHOLE, _watermarked),
    Edit("imitated", WHOLE, _imitated),
    Edit("ninth", PART, _ninth),
    Edit("crop_16", PART, _magnified),
    Edit("displaced_part", PART, _of_part(_displaced(0.01))),
    Edit("lab_part", PART, _of_part(_turned_in_lab)),
    Edit("relit_part", PART, _of_part(_relit)),
    Edit("hue_part", PART, _of_part(_hue_shifted)),
    Edit("displaced_inset", PART, _inset(_displaced(0.01))),
    Edit("sepia_inset", PART, _inset(_sepia)),
)
"""Those of the figures."""

BEYOND: tuple[Edit, ...] = (Edit("outlined", WHOLE, _outlined), Edit("sepia_half", PART, _rest(_sepia)))
"""Edits of which little can be confirmed, reported apart: a drawing with black outlines, and a half recoloured beside
another photograph."""

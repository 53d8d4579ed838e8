"""Edits that others designed: AugLy's, of which the DISC challenge made its queries, and Albumentations'.

What belongs here: chains of one to four of their edits, with the same result for the same seed. What does not: which
photographs are edited (`disc.py`).

The kinds and ranges of AugLy's are those that Douze et al. name for the automatic queries of "The 2021 Image Similarity
Dataset and Challenge", section 3, but for `meme_format` and `perspective_transform`, which need an older Pillow and an
older NumPy; Albumentations' are taken at its own defaults. Nothing here was chosen after looking at what is found.
"""

import os
import random
from collections.abc import Callable
from types import ModuleType

import numpy as np
from PIL import Image

from tests.benchmarks.figures import NotMeasured
from transforms.matches.edits import WHOLE, Edit
from transforms.pictures import Pixels

_LONGEST = 1024  # pixels a side of a query
_LEAST = 32
_MOST_STEPS = 4
_ALBUMENTATIONS = frozenset(
    [
        "Affine",
        "CLAHE",
        "CoarseDropout",
        "ColorJitter",
        "Downscale",
        "ElasticTransform",
        "Emboss",
        "GaussNoise",
        "GaussianBlur",
        "GridDistortion",
        "HorizontalFlip",
        "HueSaturationValue",
        "ISONoise",
        "ImageCompression",
        "MotionBlur",
        "OpticalDistortion",
        "Perspective",
        "Posterize",
        "RGBShift",
        "RandomFog",
        "RandomRain",
        "RandomResizedCrop",
        "RandomShadow",
        "RandomSunFlare",
        "Sharpen",
        "Solarize",
        "ToGray",
        "ToSepia",
    ]
)

type Step = Callable[[Image.Image, Image.Image, np.random.Generator], Image.Image]


def edits() -> tuple[Edit, ...]:
    """Return a chain of AugLy's edits and one of Albumentations'. NotMeasured: one of them is not installed."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask a network
    try:
        import albumentations
        import augly.image
    except ImportError as error:
        raise NotMeasured(f"{error}; pip install '.[bench]'") from None
    return Edit("augly", WHOLE, _chain(_of_augly(augly.image))), Edit(
        "albumentations", WHOLE, _pipeline(albumentations)
    )


def _chain(steps: tuple[Step, ...]) -> Callable[[Pixels, Pixels, np.random.Generator], Pixels]:
    def made(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        image, filling = Image.fromarray(source), Image.fromarray(other)
        random.seed(int(rng.integers(1 << 32)))
        for number in rng.choice(len(steps), int(rng.integers(1, _MOST_STEPS + 1)), replace=False):
            changed = steps[number](image, filling, rng).convert("RGB")
            image = changed if min(changed.size) >= _LEAST else image
            image.thumbnail((_LONGEST, _LONGEST))
        return np.ascontiguousarray(image)

    return made


def _of_augly(augly: ModuleType) -> tuple[Step, ...]:
    def near(rng: np.random.Generator, low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def crop(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        x, y, share = near(rng, 0, 0.4), near(rng, 0, 0.4), near(rng, 0.4, 0.6)
        return augly.crop(image, x1=x, y1=y, x2=x + share, y2=y + share)

    def onto(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        size, x, y = near(rng, 0.4, 0.8), near(rng, 0, 0.3), near(rng, 0, 0.3)
        return augly.overlay_onto_background_image(image, other, overlay_size=size, x_pos=x, y_pos=y)

    def text(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        letters = rng.integers(0, 700, int(rng.integers(3, 10))).tolist()
        size, x, y = near(rng, 0.1, 0.25), near(rng, 0, 0.4), near(rng, 0, 0.7)
        colour = tuple(rng.integers(0, 256, 3).tolist())
        return augly.overlay_text(image, text=letters, font_size=size, x_pos=x, y_pos=y, color=colour)

    def emoji(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        size, x, y = near(rng, 0.2, 0.5), near(rng, 0, 0.6), near(rng, 0, 0.6)
        return augly.overlay_emoji(image, emoji_size=size, x_pos=x, y_pos=y)

    def jitter(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        bright, contrast, colour = near(rng, 0.6, 1.6), near(rng, 0.6, 1.6), near(rng, 0.3, 2.5)
        return augly.color_jitter(image, brightness_factor=bright, contrast_factor=contrast, saturation_factor=colour)

    def stripes(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, angle, density = near(rng, 0.1, 0.4), near(rng, -90, 90), near(rng, 0.1, 0.4)
        return augly.overlay_stripes(image, line_width=width, line_angle=angle, line_density=density, line_opacity=0.8)

    def noise(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        return augly.random_noise(image, var=near(rng, 0.005, 0.05), seed=int(rng.integers(1 << 31)))

    def shuffled(image: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
        return augly.shuffle_pixels(image, factor=near(rng, 0.05, 0.25), seed=int(rng.integers(1 << 31)))

    return (
        crop,
        onto,
        text,
        emoji,
        jitter,
        stripes,
        noise,
        shuffled,
        lambda image, _, rng: augly.rotate(image, degrees=near(rng, -25, 25)),
        lambda image, _, rng: augly.hflip(image),
        lambda image, _, rng: augly.pad(image, w_factor=near(rng, 0, 0.3), h_factor=near(rng, 0, 0.3)),
        lambda image, _, rng: augly.change_aspect_ratio(image, ratio=near(rng, 0.6, 1.7)),
        lambda image, _, rng: augly.encoding_quality(image, quality=int(rng.integers(8, 50))),
        lambda image, _, rng: augly.blur(image, radius=near(rng, 1, 5)),
        lambda image, _, rng: augly.pixelization(image, ratio=near(rng, 0.2, 0.6)),
        lambda image, _, rng: augly.grayscale(image),
        lambda image, _, rng: augly.opacity(image, level=near(rng, 0.5, 0.9)),
        lambda image, _, rng: augly.sharpen(image, factor=near(rng, 2, 15)),
        lambda image, _, rng: augly.overlay_onto_screenshot(image),
    )


def _pipeline(albumentations: ModuleType) -> Callable[[Pixels, Pixels, np.random.Generator], Pixels]:
    names = sorted(_ALBUMENTATIONS)

    def made(source: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        chosen = rng.choice(names, int(rng.integers(1, _MOST_STEPS + 1)), replace=False).tolist()
        size = {"RandomResizedCrop": {"size": source.shape[:2], "scale": (0.2, 0.8)}}
        steps = [getattr(albumentations, name)(p=1, **size.get(name, {})) for name in chosen]
        seeded = albumentations.Compose(steps, seed=int(rng.integers(1 << 31)))
        return np.ascontiguousarray(seeded(image=source)["image"])

    return made

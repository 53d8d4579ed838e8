"""Bringing a picture to a fixed size, in plain values, so that any process can do it.

What belongs here: the sizes and filters of encoders' inputs. What does not: which encoder has which (`encoders/`),
scaling for a hash (`hashing/pdq_scaling.py`).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from transforms.pictures.renderings import Pixels


@dataclass(frozen=True)
class Scaling:
    """How a picture is brought to a fixed size.

    Attributes:
        height: In pixels.
        width: In pixels.
        resample: Pillow's filter, a member of `Image.Resampling`.
        crop: Whether the shorter side is brought to `width`, which is `height`, and the middle is cut out; else the
            aspect is ignored.
    """

    height: int
    width: int
    resample: int
    crop: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of what comes out."""
        return self.height, self.width, 3

    def __call__(self, picture: Pixels) -> Pixels:
        """Scale a picture, uint8 of shape (height, width, 3)."""
        image = Image.fromarray(picture)
        size = self.width, self.height
        if self.crop:  # the sizes and places are torchvision's, of which open_clip's inputs are made
            longer = int(self.width * max(image.size) / min(image.size))
            size = (self.width, longer) if image.width <= image.height else (longer, self.width)
        if image.size != size:
            image = image.resize(size, Image.Resampling(self.resample))
        if self.crop:
            left, top = (round((side - self.width) / 2.0) for side in size)
            image = image.crop((left, top, left + self.width, top + self.width))
        return np.asarray(image)

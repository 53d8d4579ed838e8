"""A drop-in for the safety checker of a diffusers pipeline: what the guard does not allow comes out black.

What belongs here: pictures in the form of a pipeline. What does not: checking (`transforms/guard/`, `guard_client.py`).

    pipeline.safety_checker = raisonne.SafetyChecker(raisonne.Guard.load("bundles/ten"))
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Allows(Protocol):
    """An answer of a guard."""

    @property
    def allowed(self) -> bool:
        """Whether the image may be shown."""
        ...


class ChecksImages(Protocol):
    """A guard, or a client of its service."""

    def check(self, image: npt.NDArray[np.uint8]) -> Allows:
        """Return whether an image may be shown.

        Args:
            image: Pixels, uint8 (height, width, 3).
        """
        ...


class SafetyChecker:
    """Stands in a pipeline's `safety_checker`.

    Attributes:
        answers: What the guard said of the pictures of the last call.
    """

    def __init__(self, guard: ChecksImages) -> None:
        """Prepare for a pipeline.

        Args:
            guard: A `Guard`, or a `GuardClient`.
        """
        self._guard = guard
        self.answers: Sequence[Allows] = ()

    def __call__(self, images: Any, clip_input: Any = None) -> tuple[Any, list[bool]]:  # noqa: ANN401
        """Return the pictures, black where they are not allowed, and which of them these are.

        Args:
            images: Of the pipeline: a tensor (n, 3, height, width) from -1 to 1, or an array (n, height, width, 3) or a
                list of such from 0 to 1. Pictures that are not allowed are overwritten.
            clip_input: What pipelines prepare for another checker; it is not used.
        """
        del clip_input
        tensor = hasattr(images, "detach")
        pictures = [_pixels(image, tensor=tensor) for image in images]
        self.answers = [self._guard.check(picture) for picture in pictures]
        refused = [not answer.allowed for answer in self.answers]
        for number, blacken in enumerate(refused):
            if blacken and tensor:
                images[number] = -1.0
            elif blacken:
                images[number] = np.zeros_like(images[number])
        return images, refused


def _pixels(image: Any, *, tensor: bool) -> npt.NDArray[np.uint8]:  # noqa: ANN401 -- a tensor has no type here
    if tensor:
        values = np.moveaxis(image.detach().float().cpu().numpy(), 0, -1) / 2 + 0.5
    else:
        values = np.asarray(image, np.float32)
    if not np.isfinite(values).all():
        values = np.zeros_like(values)
    return (values.clip(0, 1) * 255).round().astype(np.uint8)

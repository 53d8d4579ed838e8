"""Renditions: small copies of training pictures, of the size at which pictures are aligned.

What belongs here: their form, and those of an open bundle. What does not: which pictures are worth one
(`orchestration/guard/export_renditions.py`), comparing (`guard/pixels/confirmation.py`).

    rendition_bytes, rendition_starts, rendition_cluster      WebP files one after the other, where each begins, and
                                                              its cluster; at most one a cluster
"""

import io
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from transforms import pictures
from transforms.alignment.policy import PixelLimits
from transforms.pictures import Bounds, Pixels

_QUALITY = 82  # of WebP; the comparison smooths over 2 pixels first
_SECONDS, _MEMORY = 5.0, 500_000_000  # for one of them; they take a few milliseconds


def encoded(picture: Pixels, limits: PixelLimits) -> bytes:
    """Return the rendition of a picture.

    Args:
        picture: uint8 of shape (height, width, 3).
        limits: The size at which pictures are compared.
    """
    import cv2  # late: a guard without renditions does without

    height, width = picture.shape[:2]
    if (scale := limits.long_side / max(height, width)) < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    Image.fromarray(picture).save(buffer := io.BytesIO(), "WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class ShownPicture:
    """A picture that an image shows. Its features are computed once, however many renditions it is laid over."""

    pixels: Pixels


@dataclass(frozen=True)
class Renditions:
    """The renditions of an open bundle.

    Attributes:
        data: All files, uint8.
        starts: Where each begins, and the end, uint64 (n + 1,).
        cluster: Numbers of clusters, uint32 (n,).
        long_side: Pixels of their longer side at most.
    """

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.uint64]
    cluster: npt.NDArray[np.uint32]
    long_side: int
    _index: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index them by cluster."""
        self._index.update(zip(self.cluster.tolist(), range(len(self.cluster)), strict=True))

    def __contains__(self, cluster: int) -> bool:
        """Return whether there is one of a cluster."""
        return cluster in self._index

    def file(self, cluster: int) -> bytes:
        """Return the file of a rendition.

        Args:
            cluster: Number of its cluster.
        """
        index = self._index[cluster]
        return self.data[int(self.starts[index]) : int(self.starts[index + 1])].tobytes()

    def picture(self, cluster: int) -> Pixels:
        """Return the rendition of a cluster. Raises DecodeError.

        Args:
            cluster: Its number.
        """
        return pictures.decode(self.file(cluster), Bounds(self.long_side**2, memory=_MEMORY, seconds=_SECONDS))

"""The pictures that the desk shows, re-encoded from their pixels: never a file as it came.

What belongs here: reading, shrinking, laying one over the other, and keeping some of it. What does not: which pictures
an item has (`review/items.py`), how pictures are laid over each other (`transforms/reports/drawings/overlays.py`).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestration.reports.pictures import PictureReader
from transforms import pictures
from transforms.generations import addresses
from transforms.pictures import Bounds, Pixels
from transforms.regions import Box
from transforms.reports.drawings import overlays, thumbnails

SIDE = 900  # pixels of the longer side
_KEPT = 64  # encoded pictures
_AT_ONCE = 2  # pictures that are read at once
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
PARTS = ("source", "heat")
"""The parts of two pictures laid over each other that `laid` returns."""


class Unreadable(OSError):
    """A picture cannot be read now. The message says why."""


@dataclass
class DeskPictures:
    """Pictures of training rows and generations as JPEG.

    Attributes:
        reader: Reads training pictures.
        bounds: What a generated image may have and need.
    """

    reader: PictureReader
    bounds: Bounds
    _kept: "OrderedDict[object, bytes]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _reading: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    def training(self, sample_id: int, side: int = SIDE) -> bytes:
        """Return the picture of a training row.

        Args:
            sample_id: The row.
            side: Pixels of its longer side.

        Raises:
            Unreadable: If it cannot be read now.
        """
        return self._once((sample_id, side), lambda: thumbnails.thumbnail(self._row(sample_id), side))

    def generated(self, path: str, side: int = SIDE) -> bytes:
        """Return a generated image.

        Args:
            path: Its address, as `catalog.generations` has it.
            side: Pixels of its longer side.

        Raises:
            Unreadable: If it cannot be read now.
        """
        return self._once((path, side), lambda: thumbnails.thumbnail(self._file(path), side))

    def laid(
        self,
        below: int | str,
        above: int,
        part: str,
        homography: Sequence[float] | None,
        region: Mapping[str, float] | None,
    ) -> bytes:
        """Return a part of two pictures laid over each other: the upper one as it lies, or how far they differ.

        Args:
            below: The lower picture: a training row, or the address of a generation.
            above: The upper one, a training row.
            part: One of `PARTS`.
            homography: How the upper one lies, as fractions; None: edge on edge.
            region: Where the exposure is matched; None: everywhere.

        Raises:
            Unreadable: If one cannot be read now, or they cannot be laid so.
        """
        key = (below, above, tuple(homography or ()))
        if (found := self._get((*key, part))) is not None:
            return found
        with self._reading:
            lower = self._row(below) if isinstance(below, int) else self._file(below)
            box = Box(**region) if region and homography and None not in region.values() else None
            try:
                laid = overlays.overlay(lower, self._row(above), homography or _IDENTITY, box, SIDE)
            except ValueError as error:
                raise Unreadable(str(error)) from None
            made = {"source": laid.source, "heat": laid.heat}
            for name, picture in made.items():
                self._put((*key, name), thumbnails.thumbnail(picture, SIDE))
        return thumbnails.thumbnail(made[part], SIDE)

    def _once(self, key: object, make: Callable[[], bytes]) -> bytes:
        if (found := self._get(key)) is not None:
            return found
        with self._reading:
            made = make()
        self._put(key, made)
        return made

    def _get(self, key: object) -> bytes | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _put(self, key: object, value: bytes) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def _row(self, sample_id: int) -> Pixels:
        try:
            return self.reader.read(sample_id)
        except (OSError, ValueError) as error:
            raise Unreadable(str(error) or type(error).__name__) from None

    def _file(self, path: str) -> Pixels:
        try:
            return pictures.decode(addresses.read(path), self.bounds)
        except OSError as error:
            raise Unreadable(error.strerror or str(error) or type(error).__name__) from None
        except ValueError as error:
            raise Unreadable(str(error) or type(error).__name__) from None

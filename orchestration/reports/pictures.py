"""The training pictures that exports show.

What belongs here: reading them so that a missing picture leaves a gap, not a failure. What does not: locating them
(`facts/training_pictures.py`), choosing them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestration.compute.engines import CORES
from orchestration.facts.training_pictures import TrainingPictures, UnreadPicture
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.pictures import Pixels
from transforms.readable import count
from transforms.reports.drawings import thumbnails


@dataclass(frozen=True)
class PictureReader:
    """Reads training pictures, and records which rows could not be read and why.

    Attributes:
        source: Returns the pixels of a training row; raises OSError or ValueError if the picture is gone or changed.
        unread: The reason for each row that could not be read, by sample id.
    """

    source: Callable[[int], Pixels]
    unread: dict[int, str] = field(default_factory=dict)

    def expect(self, sample_ids: Iterable[int]) -> None:
        """Say which pictures are read next, so that they are located together."""
        if isinstance(self.source, TrainingPictures):
            self.source.expect(sample_ids)

    def read(self, sample_id: int) -> Pixels:
        """Return the pixels of a training row. Raises what `source` raises."""
        try:
            return self.source(sample_id)
        except (OSError, ValueError) as error:
            self.unread[sample_id] = str(error)
            raise

    def thumbnail(self, sample_id: int, long_side: int = thumbnails.LONG_SIDE) -> str | None:
        """Return a small copy of a training picture for a page.

        Args:
            sample_id: The training row.
            long_side: Pixels of the longer side.

        Returns:
            A `data:` URL, or None if the picture cannot be read, which the page then says.
        """
        try:
            return thumbnails.source(self.read(sample_id), long_side)
        except (OSError, ValueError):
            return None

    def thumbnails_of(self, sample_ids: Sequence[int], long_side: int = thumbnails.LONG_SIDE) -> list[str | None]:
        """Return what `thumbnail` returns for each of several training pictures. Several are read at once.

        Args:
            sample_ids: The training rows.
            long_side: Pixels of the longer side.
        """
        self.expect(sample_ids)
        found = list(work_ahead(partial(self._made, long_side), sample_ids, WorkPace(CORES, CORES)))
        pairs = zip(sample_ids, found, strict=True)
        self.unread.update({sample_id: made.message for sample_id, made in pairs if isinstance(made, UnreadPicture)})
        return [None if isinstance(made, UnreadPicture) else made for made in found]

    def _made(self, long_side: int, sample_id: int) -> str | UnreadPicture:
        try:
            return thumbnails.source(self.source(sample_id), long_side)
        except (OSError, ValueError) as error:
            return UnreadPicture.of(error)

    def warning(self) -> str | None:
        """Return how many pictures could not be read, with one reason, or None if all could."""
        if not self.unread:
            return None
        row, why = next(iter(self.unread.items()))
        pictures = count(len(self.unread), "training picture")
        return f"{pictures} could not be read; the exports say so in their place. Row {row}: {why}"

"""The training pictures that exports show.

What belongs here: reading them so that a missing picture leaves a gap, not a failure. What does not: locating them
(`facts/training_pictures.py`), choosing them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestration.compute.engines import CORES
from orchestration.facts.training_pictures import TrainingPictures
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

    def thumbnails_of(self, sample_ids: Sequence[int], long_side: int = thumbnails.LONG_SIDE) -> list[str | None]:
        """Return a small copy for a page of each of several training pictures. Several are read at once.

        Args:
            sample_ids: The training rows.
            long_side: Pixels of the longer side.

        Returns:
            A `data:` URL of each, or None if it cannot be read, which the page then says.
        """
        found = self.each(sample_ids, partial(thumbnails.source, long_side=long_side))
        return [None if isinstance(made, Exception) else made for made in found]

    def each[T](self, sample_ids: Iterable[int], make: Callable[[Pixels], T]) -> Iterator[T | OSError | ValueError]:
        """Make something of each of several training pictures, in order. Several are read at once, ahead of the reader.

        Args:
            sample_ids: The training rows.
            make: What is made of the pixels of one, in a thread.

        Yields:
            What was made, or why the picture cannot be read.
        """
        wanted = tuple(sample_ids)
        self.expect(wanted)
        found = work_ahead(partial(self._made, make), wanted, WorkPace(CORES, CORES))
        for sample_id, made in zip(wanted, found, strict=True):
            if isinstance(made, OSError | ValueError):
                self.unread[sample_id] = str(made)
            yield made

    def each_unflagged[T](
        self, listed: Sequence[tuple[int, bool]], make: Callable[[Pixels], T]
    ) -> Iterator[T | OSError | ValueError | None]:
        """Do as `each`, but for pictures that are flagged unsafe, which are not read.

        Args:
            listed: The training rows, and whether each is flagged.
            make: As of `each`.

        Yields:
            As `each`; None for one that is flagged.
        """
        made = self.each((sample_id for sample_id, unsafe in listed if not unsafe), make)
        for _, unsafe in listed:
            yield None if unsafe else next(made)

    def _made[T](self, make: Callable[[Pixels], T], sample_id: int) -> T | OSError | ValueError:
        try:
            return make(self.source(sample_id))
        except (OSError, ValueError) as error:
            return error.with_traceback(None)  # whose frames would hold what they read

    def warning(self) -> str | None:
        """Return how many pictures could not be read, with one reason, or None if all could."""
        if not self.unread:
            return None
        row, why = next(iter(self.unread.items()))
        pictures = count(len(self.unread), "training picture")
        return f"{pictures} could not be read; the exports say so in their place. Row {row}: {why}"

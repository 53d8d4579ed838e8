"""The renditions of a guard bundle: small copies of the pictures that most rows show, within a budget in bytes.

What belongs here: choosing and reading them. What does not: their form (`transforms/guard/pixels/renditions.py`), the
files (`transforms/guard/bundle_writer.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import batched
from typing import Any

from orchestration.compute.engines import CORES
from orchestration.facts import Facts
from orchestration.facts.training_pictures import StoredPicture, TrainingPictures, UnreadPicture
from orchestration.guard.export_embeddings import PublishedVersion
from orchestration.progress import track
from orchestration.settings.thresholds import DECIDING
from orchestration.warehouse.queries import query
from transforms.alignment.policy import PixelLimits
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.guard.bundle_writer import BundleFiles
from transforms.guard.pixels import renditions

_AT_ONCE = 500  # pictures located at once
_SMALLEST = 200  # bytes of a rendition; a flat picture has some


@dataclass
class _Chosen:
    """The renditions that fit in the budget, and how many pictures could not be read, with one reason."""

    published: PublishedVersion
    budget: int
    limits: PixelLimits
    spent: int = 0
    unread: int = 0
    example: str = ""

    def batches(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of a cluster and its rendition, most shown first, until the budget is spent."""
        settings = self.published.settings
        reader = TrainingPictures(Facts(settings.home / "facts"), settings.limits.bounds)
        most = self.budget // _SMALLEST + 1
        rows = self.published.con.execute(query("guard/renditions"), {"most": most}).fetchall()
        pace = WorkPace(CORES, CORES)
        for some in batched(track(rows, "keeping small copies", len(rows)), _AT_ONCE):
            located = reader.locate(sample for _, sample in some)
            made = work_ahead(self._made, (located[sample] for _, sample in some), pace)
            for (cluster, sample), data in zip(some, made, strict=True):
                if isinstance(data, UnreadPicture):
                    self.unread, self.example = self.unread + 1, self.example or f"row {sample}: {data.message}"
                    continue
                if self.spent + len(data) > self.budget:
                    return
                self.spent += len(data)
                yield cluster, data

    def _made(self, stored: StoredPicture) -> bytes | UnreadPicture:
        """Return the rendition of a picture, or why it cannot be read."""
        try:
            picture = stored.pixels(self.published.settings.limits.bounds)
        except (OSError, ValueError) as error:
            return UnreadPicture.of(error)
        return renditions.encoded(picture, self.limits)


def write(published: PublishedVersion, files: BundleFiles, budget: int) -> dict[str, Any]:
    """Write the renditions of the selected clusters.

    Args:
        published: The version, with the rows selected.
        files: The files of the bundle.
        budget: Most bytes of them.

    Returns:
        The manifest's entry `renditions`.
    """
    cut = published.settings.thresholds
    chosen = _Chosen(published, budget, cut.pixels)
    count, size = files.renditions(chosen.batches())
    return {
        "renditions": count,
        "bytes": size,
        "budget": budget,
        "unread": chosen.unread,
        "example": chosen.example,
        "pixels": {name: getattr(cut.pixels, name) for name in DECIDING["pixels"]},
        "alterations": {name: getattr(cut.alterations, name) for name in DECIDING["alterations"]},
    }

"""A finding, and putting together those that are parts of one.

What belongs here: what a finding says, the words of a folder's name, joining folders and metadata with their dump. What
does not: finding (`survey/findings.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestration.survey.places import Place

GENERATED = frozenset({"generation", "generations", "generated", "txt2img", "img2img", "synthetic"})
"""Words in a folder's name by which it is taken for generations."""
TRAINED = frozenset({"train", "training", "trained", "dataset", "datasets", "laion", "photo", "photos", "photographs"})
"""Words by which it is taken for training pictures."""


@dataclass(frozen=True)
class Finding:
    """A training set or a source of generations.

    Attributes:
        place: Its folder.
        generated: Whether it is taken for generations.
        reason: What shows it; None where nothing does.
        metadata: The endings of its metadata, below the folder; the pattern `settings_file` makes a glob of.
        images: Likewise of its dump; "" for the folder itself, `/*` for each folder in it.
        rows: Rows of metadata.
        pictures: How many pictures there are.
        bytes: Of all its files.
        estimated: Whether the counts are estimates.
        samples: Some of its dumps or pictures, for measuring.
        objection: Why it cannot be used as it lies, or None.
        images_at: The folder of the dump if it is another one.
    """

    place: Path
    generated: bool
    reason: str | None = None
    metadata: str | None = None
    images: str | None = None
    rows: int = 0
    pictures: int = 0
    bytes: int = 0
    estimated: bool = False
    samples: tuple[Path, ...] = ()
    objection: str | None = None
    images_at: Path | None = None


def together(place: Place, found: list[Finding]) -> list[Finding]:
    """Put the parts of one training set together: folders of pictures, shards in folders, metadata beside its dump.

    Args:
        place: The folder.
        found: What lies in the folders in it.
    """
    of_pictures = all(each.images == "" and not each.metadata and not each.objection for each in found)
    same = len({(each.metadata, each.images, each.generated) for each in found}) == 1
    children = all(each.place.parent == place.path for each in found)
    if len(found) > 1 and same and not found[0].generated and not any(each.objection for each in found):
        first = found[0]
        if of_pictures and children and len(found) == len([each for each in place.below if each.holds_anything]):
            return [_summed(place, found, images="/*", metadata=None)]
        if first.images and first.images != "/*":
            return [
                _summed(
                    place,
                    found,
                    images=f"/**{first.images}",
                    metadata=first.metadata and f"/**{first.metadata}",
                )
            ]
    rows = [each for each in found if each.metadata and not each.images and not each.generated]
    dumps = [each for each in found if each.images and not each.metadata and not each.generated]
    if len(rows) == len(dumps) == 1 and rows[0].place != dumps[0].place:
        joined = replace(rows[0], images=dumps[0].images, images_at=dumps[0].place, pictures=dumps[0].pictures)
        joined = replace(joined, bytes=joined.bytes + dumps[0].bytes, samples=dumps[0].samples)
        return [each for each in found if each not in (rows[0], dumps[0])] + [joined]
    return found


def _summed(place: Place, found: Sequence[Finding], *, images: str, metadata: str | None) -> Finding:
    named = f"its folder is called {place.path.name}" if words(place.path) & TRAINED else None
    return Finding(
        place.path,
        generated=False,
        reason=found[0].reason if found[0].metadata or images != "/*" else named,
        metadata=metadata,
        images=images,
        rows=sum(each.rows for each in found),
        pictures=sum(each.pictures for each in found),
        bytes=sum(each.bytes for each in found),
        estimated=any(each.estimated for each in found),
        samples=tuple(sample for each in found[:8] for sample in each.samples[:4]),
    )


def words(path: Path) -> set[str]:
    """Return the words in the name of a file or folder, in lower case."""
    return set(re.findall(r"[a-z]+\d?[a-z]+|[a-z]+", path.name.lower()))

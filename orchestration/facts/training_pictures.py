"""The pictures of training rows, read again from their image dumps, and what is done again once a dump is back.

What belongs here: reading the pixels of a sample id, and the recipes of what was made while dumps were gone. What does
not: using pixels; noticing that a dump is gone (`catalog/gone_dumps.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from orchestration.facts.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.facts.table import FactTable
from transforms import pictures
from transforms.catalog.byte_limits import LISTED
from transforms.dumps import dump as dumps
from transforms.pictures import Bounds, Pixels

_LOCATED = 2_000  # sample ids in a filter


class DumpGone(OSError):
    """The image dump of a training picture is gone. Another try is in vain until it is back."""


@dataclass(frozen=True)
class UnreadPicture:
    """Why a picture could not be read.

    Attributes:
        message: The reason.
        away: Whether it could not be reached, and another try may succeed.
        gone: Whether its image dump is gone.
    """

    message: str
    away: bool = False
    gone: bool = False

    @classmethod
    def of(cls, error: OSError | ValueError) -> "UnreadPicture":
        """Return what an error says."""
        gone = isinstance(error, DumpGone)
        return cls(str(error), away=isinstance(error, OSError) and not gone, gone=gone)


@dataclass(frozen=True)
class StoredPicture:
    """Where the picture of a training row is, for whoever reads it, on this machine or another.

    Attributes:
        dump: The image dump.
        member: Its name in the dump.
        offset: Where it begins.
        size: Its bytes.
        missing: Why there is none; empty if there is one.
        gone: Whether there is none because the dump is gone.
    """

    dump: str = ""
    member: str = ""
    offset: int = 0
    size: int = 0
    missing: str = ""
    gone: bool = False

    def pixels(self, bounds: Bounds) -> Pixels:
        """Return uint8 of shape (height, width, 3).

        Raises:
            DumpGone: If its image dump was gone when the last run looked.
            OSError: If it cannot be reached; or ValueError, if it changed.
        """
        if self.missing:
            raise DumpGone(self.missing) if self.gone else ValueError(self.missing)
        with dumps.open_dump(self.dump, LISTED) as dump:  # a remote one is read by ranges
            data = dump.read(self.member, self.offset, self.size)
        return pictures.decode(data, bounds)


_NO_PICTURE = StoredPicture(missing="the training row has no picture: its shard is gone")


@dataclass(frozen=True)
class TrainingPictures:
    """Reads pictures by sample id from their dumps.

    Attributes:
        facts: The fact tables, which locate the pictures.
        bounds: What a picture may have and need.
    """

    facts: Facts
    bounds: Bounds
    _expected: dict[int, StoredPicture] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, sample_id: int) -> Pixels:
        """Return uint8 of shape (height, width, 3). Raises as `StoredPicture.pixels`."""
        place = self._expected.get(sample_id) or self.locate([sample_id])[sample_id]
        return place.pixels(self.bounds)

    def expect(self, sample_ids: Iterable[int]) -> None:
        """Locate at once the pictures that are read next: one by one each takes 20 ms, and more in a larger table.

        Args:
            sample_ids: They take the place of those that were expected before.
        """
        located = self.locate(sample_ids)
        self._expected.clear()
        self._expected.update(located)

    def locate(self, sample_ids: Iterable[int]) -> dict[int, StoredPicture]:
        """Return where the pictures of training rows are, by sample id."""
        located = dict.fromkeys(sample_ids, _NO_PICTURE)
        for some in batched(located, _LOCATED):
            columns = ["sample_id", "shard_id", "member", "member_offset", "member_size"]
            images = self.facts["image_fingerprints"].read(columns, is_in("sample_id", some)).to_pylist()
            columns = ["shard_id", "images_path", "images_gone"]
            named = sorted({image["shard_id"] for image in images})
            shards = self.facts["landing_shards"].read(columns, is_in("shard_id", named)).to_pylist()
            by_id = {shard["shard_id"]: shard for shard in shards}
            located |= {image["sample_id"]: _stored(image, by_id.get(image["shard_id"])) for image in images}
        return located


def _stored(image: Mapping[str, Any], shard: Mapping[str, Any] | None) -> StoredPicture:
    if shard is None:
        return _NO_PICTURE
    if shard["images_path"] is None or shard["images_gone"]:
        path = shard["images_path"] or "of this shard"
        return StoredPicture(missing=f"the image dump {path} is gone; put it back to compare its pixels", gone=True)
    return StoredPicture(shard["images_path"], image["member"], image["member_offset"], image["member_size"])


@dataclass(frozen=True)
class PixelRecipes:
    """The recipes of facts that pixels of training pictures are needed for.

    A picture that could not be read is tried again by the next run. One whose dump is gone is tried again only when
    other dumps are gone, or something else changed: until then a run would do all in vain.

    Attributes:
        made_by: The recipe of facts for which every picture could be read.
        waiting: That of facts that lack what these dumps hold.
    """

    made_by: str
    waiting: str

    @classmethod
    def of(cls, facts: Facts, made_by: str) -> "PixelRecipes":
        """Return the recipes while the dumps are gone that are gone now.

        Args:
            facts: The fact tables; `landing_shards` is read.
            made_by: The recipe of facts for which every picture could be read.
        """
        rows = facts["landing_shards"].read(["shard_id", "images_gone"]).to_pylist()
        gone = sorted(row["shard_id"] for row in rows if row["images_gone"])
        return cls(made_by, recipe("without dumps", made_by, gone))

    def hold(self, tables: Iterable[FactTable]) -> bool:
        """Return whether tables have all that can be had now."""
        return all(table.recipe in (self.made_by, self.waiting) for table in tables)

    def after(self, failed: int, waiting: int) -> str:
        """Return the recipe to note.

        Args:
            failed: Count of what could not be made and is tried again by the next run.
            waiting: Count of what waits for a dump.
        """
        if failed:
            return ""
        return self.waiting if waiting else self.made_by

"""The pictures of training rows, read again from their image dumps, and what is done again once a dump is back.

What belongs here: reading the pixels of a sample id, and the recipes of what was made while dumps were gone. What does
not: using pixels; noticing that a dump is gone (`catalog/gone_dumps.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from orchestration.facts.facts import Facts
from orchestration.facts.filters import equals
from orchestration.facts.recipes import recipe
from orchestration.facts.table import FactTable
from transforms import pictures
from transforms.catalog.byte_limits import LISTED
from transforms.dumps import dump as dumps
from transforms.pictures import Bounds, Pixels


class DumpGone(OSError):
    """The image dump of a training picture is gone. Another try is in vain until it is back."""


@dataclass(frozen=True)
class TrainingPictures:
    """Reads pictures by sample id from their dumps.

    Attributes:
        facts: The fact tables, which locate the pictures.
        bounds: What a picture may have and need.
    """

    facts: Facts
    bounds: Bounds

    def __call__(self, sample_id: int) -> Pixels:
        """Return uint8 of shape (height, width, 3).

        Raises:
            DumpGone: If its image dump was gone when the last run looked.
            OSError: If it cannot be reached; or ValueError, if it changed.
        """
        columns = ["shard_id", "member", "member_offset", "member_size"]
        image = _only(self.facts["image_fingerprints"].read(columns, equals("sample_id", sample_id)))
        columns = ["images_path", "images_gone"]
        shard = _only(self.facts["landing_shards"].read(columns, equals("shard_id", image["shard_id"])))
        if shard["images_path"] is None or shard["images_gone"]:
            path = shard["images_path"] or "of this shard"
            raise DumpGone(f"the image dump {path} is gone; put it back to compare its pixels")
        with dumps.open_dump(shard["images_path"], LISTED) as dump:  # a remote one is read by ranges
            data = dump.read(image["member"], image["member_offset"], image["member_size"])
        return pictures.decode(data, self.bounds)


def _only(rows: pa.Table) -> dict:
    if not rows.num_rows:
        raise ValueError("the training row has no picture: its shard is gone")
    return rows.to_pylist()[0]


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

"""The pictures behind training rows, read again from the image dump where they lie.

What belongs here: from a sample id to pixels. What does not: what is done with them.
"""

from dataclasses import dataclass

from orchestration.facts import Facts
from transforms import pictures
from transforms.dumps import dump as dumps
from transforms.pictures import Pixels


@dataclass(frozen=True)
class TrainingPictures:
    """Reads pictures by sample id; nothing is copied. max_pixels: the largest that is decoded."""

    facts: Facts
    max_pixels: int

    def __call__(self, sample_id: int) -> Pixels:
        """Return uint8 of shape (height, width, 3). Raises OSError or ValueError if it is gone or changed."""
        where = f"sample_id = {int(sample_id)}"
        columns = ["shard_id", "member", "member_offset", "member_size"]
        place = _only(self.facts["image_fingerprints"].read(columns, where).to_pylist())
        shard = _only(self.facts["landing_shards"].read(["images_path"], f"shard_id = {place['shard_id']}").to_pylist())
        with dumps.open_dump(shard["images_path"]) as dump:  # a remote one is read by ranges
            data = dump.read(place["member"], place["member_offset"], place["member_size"])
        return pictures.decode(data, self.max_pixels)


def _only(rows: list[dict]) -> dict:
    if not rows:
        raise ValueError("the training row has no picture: its shard is gone")
    return rows[0]

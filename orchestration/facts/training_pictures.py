"""The pictures of training rows, read again from their image dumps.

What belongs here: reading the pixels of a sample id. What does not: using them.
"""

from dataclasses import dataclass

import pyarrow as pa

from orchestration.facts.facts import Facts
from orchestration.facts.filters import equals
from transforms import pictures
from transforms.catalog.byte_limits import LISTED
from transforms.dumps import dump as dumps
from transforms.pictures import Bounds, Pixels


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
        """Return uint8 of shape (height, width, 3). Raises OSError or ValueError if it is gone or changed."""
        columns = ["shard_id", "member", "member_offset", "member_size"]
        image = _only(self.facts["image_fingerprints"].read(columns, equals("sample_id", sample_id)))
        shard = _only(self.facts["landing_shards"].read(["images_path"], equals("shard_id", image["shard_id"])))
        with dumps.open_dump(shard["images_path"], LISTED) as dump:  # a remote one is read by ranges
            data = dump.read(image["member"], image["member_offset"], image["member_size"])
        return pictures.decode(data, self.bounds)


def _only(rows: pa.Table) -> dict:
    if not rows.num_rows:
        raise ValueError("the training row has no picture: its shard is gone")
    return rows.to_pylist()[0]

"""An encoder for tests that need no weights."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from transforms.encoders import EncoderId, Prepared, Vectors
from transforms.pictures import Pixels


class Blurred:
    """An encoder in name: the picture at 16 x 16, without its mean. No copy detector, but near pictures are near."""

    def __init__(self, weights: str = "a" * 64) -> None:
        self.id = EncoderId("blurred", weights, "16x16", 768, "float32")

    def prepare(self, picture: Pixels) -> Prepared:
        """See Encoder."""
        return np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX))

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """See Encoder."""
        rows = np.stack(prepared).reshape(len(prepared), -1).astype(np.float32)
        rows -= rows.mean(axis=1, keepdims=True)
        rows[~rows.any(axis=1), 0] = 1  # of a flat picture
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

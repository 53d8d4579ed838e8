"""Comparisons of training pictures by pixels, kept as facts: two pictures are laid over each other once.

What belongs here: what was compared before, and committing what is new. What does not: comparing
(`transforms/alignment/comparer.py`), which pictures are worth it (`transforms/duplicates/pairs.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Lock

import pyarrow as pa

from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import TrainingPictures
from transforms.alignment.comparer import Comparer, PixelComparison
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.fingerprints.picture_set import Pictures
from transforms.hashing.digest_arrays import Lookup
from transforms.hashing.hashes import from_hex

CODE = 4  # raise when two pictures would compare otherwise
_COMMIT = 500  # comparisons, about a minute of work


class Remembered:
    """Compares pictures by position, each pair of different pixels once in the life of a warehouse.

    Several threads may ask. What could not be read is not remembered: the next run tries again. Memory: about 500 bytes
    for each pair of pictures that was compared and is still there.
    made, failed: comparisons that were made, and of these, those in which a picture could not be read.
    """

    def __init__(
        self, facts: Facts, cut: DuplicateThresholds, training_picture: TrainingPictures, pictures: Pictures
    ) -> None:
        self._table = facts["pixel_comparisons"]
        self._recipe = recipe("pixel comparisons", CODE, cut.pixels, cut.overlap)
        self._table.delete(f"recipe <> '{self._recipe}'")
        self._known: dict[tuple[bytes, bytes], PixelComparison] = {}
        columns = [name for name in self._table.schema.names if name != "recipe"]
        present = Lookup(pictures.pixel_digests)  # what no row shows any more is not held
        for batch in self._table.scan(columns):
            a, b = (from_hex(batch.column(name).to_pylist()) for name in columns[:2])
            wanted = pa.array(present.find(a)[1] & present.find(b)[1])
            for row in batch.filter(wanted).to_pylist():
                key = bytes.fromhex(row.pop("pixel_a")), bytes.fromhex(row.pop("pixel_b"))
                self._known[key] = PixelComparison(**row)
        self._pictures, self._overlap = pictures, cut.overlap
        self._comparer = Comparer(training_picture, cut.pixels)
        self._new: dict[tuple[bytes, bytes], PixelComparison] = {}
        self._lock = Lock()
        self.made = self.failed = 0

    def __call__(self, a: int, b: int) -> PixelComparison:
        """Tell whether the pictures at two positions show the same."""
        key = self._digest(a), self._digest(b)
        if key[0] > key[1]:  # whoever asks: which picture is laid over which may change what is measured
            key, a, b = key[::-1], b, a
        if key in self._known:
            return self._known[key]
        found = self._comparer.same(int(self._pictures.ids[a]), int(self._pictures.ids[b]), self._overlap)
        with self._lock:
            self.made += 1
            self.failed += found.failure is not None
            self._known[key] = found
            if found.failure is None:
                self._new[key] = found
            if len(self._new) >= _COMMIT:
                self.commit()
        return found

    def commit(self) -> None:
        """Write what was compared since the last commit."""
        rows = [
            {"pixel_a": a.hex(), "pixel_b": b.hex(), "recipe": self._recipe, **asdict(found)}
            for (a, b), found in self._new.items()
        ]
        self._table.upsert(pa.Table.from_pylist(rows, self._table.schema))
        self._new.clear()

    def _digest(self, position: int) -> bytes:
        return self._pictures.pixel_digest(position).tobytes()


@contextmanager
def comparing(
    facts: Facts, cut: DuplicateThresholds, training_picture: TrainingPictures, pictures: Pictures
) -> Iterator[Remembered]:
    """Compare pictures, and write what was found when done or stopped.

    Args:
        facts: The fact tables.
        cut: When two pictures are the same.
        training_picture: Reads the pixels of a row.
        pictures: The pictures that are compared, by index.
    """
    compare = Remembered(facts, cut, training_picture, pictures)
    try:
        yield compare
    finally:
        compare.commit()

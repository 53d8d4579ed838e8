"""Every query laid beside every reference by `perception` (Thorn), in an interpreter of its own.

What belongs here: calling that package, and the pictures on their way to it. What does not: which pictures
(`disc.py`).

Its OpenCV takes the place of ours, so it is installed apart, and this file is run by that interpreter as a script: it
imports nothing of this repository, nor at its head anything but the standard library.

A pair ranks by the least share of either picture's SIFT features that match under its strict ratio test; above all
others are those that it validates: enough of them, spread widely enough, under one homography. All at its defaults.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

INTERPRETER = os.environ.get("RAISONNE_BENCH_PERCEPTION")
"""A Python in which `perception[approximate-deduplication]` is installed; without it this peer is left out."""
_QUERIES, _REFERENCES, _SCORES = "queries", "references", "scores.csv"


def scores(queries: Iterable[Any], references: Iterable[Any]) -> list[list[float]]:
    """Return the score of each query with each reference: 1 more where the pair is validated.

    Args:
        queries: Pictures, uint8 of shape (h, w, 3).
        references: Likewise.

    Raises:
        subprocess.CalledProcessError: The interpreter fails; it says why on its own.
    """
    from PIL import Image

    if INTERPRETER is None:
        raise RuntimeError("RAISONNE_BENCH_PERCEPTION names no interpreter")
    with tempfile.TemporaryDirectory() as folder:
        for name, pictures in ((_QUERIES, queries), (_REFERENCES, references)):
            (Path(folder) / name).mkdir()
            for number, picture in enumerate(pictures):
                Image.fromarray(picture).save(Path(folder) / name / f"{number:06d}.png", compress_level=1)
        alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        subprocess.run([INTERPRETER, "-P", __file__, folder], check=True, env=alone | {"OMP_NUM_THREADS": "1"})
        lines = (Path(folder) / _SCORES).read_text("utf-8").splitlines()
    return [[float(value) for value in line.split(",")] for line in lines]


def _main(folder: Path) -> None:
    import perception.local_descriptor_deduplication as peer

    hasher = peer.SIFT()
    described = {
        name: [peer.generate_image_descriptors(str(path), hasher) for path in sorted((folder / name).iterdir())]
        for name in (_QUERIES, _REFERENCES)
    }
    with (folder / _SCORES).open("w", encoding="utf-8") as file:
        for query in described[_QUERIES]:
            found = [_score(hasher, query, reference) for reference in described[_REFERENCES]]
            file.write(",".join(f"{score:.6f}" for score in found) + "\n")


def _score(hasher: Any, query: Any, reference: Any) -> float:  # noqa: ANN401 -- of a package that is not installed
    if query is None or reference is None:
        return 0.0  # fewer than 10 features
    valid, found = hasher.validate_match(query, reference)
    return float(found["match"] or 0.0) + bool(valid)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

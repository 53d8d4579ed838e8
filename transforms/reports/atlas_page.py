"""The map of meanings as an HTML page: pan, zoom, filter and click, from a folder and without a network.

What belongs here: the page, and the form in which places are handed to it. What does not: the map
(`provenance/layout.py`), what is on it (`orchestration/reports/meaning/atlas.py`).

Points are drawn by WebGL, one vertex each, so that a million of them move on a machine without a GPU. The page's own
script does it, in some hundred lines: regl and what is built on it compile code at run time, which the policy of our
pages forbids (`reports/page.py`), and embedding-atlas needs a web server and WebGPU. Its own form is written beside.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transforms.reports import page

CHUNK = 131_072
"""Points in a file of places: the first picture shows as soon as the first one is read."""
PART = 1_000
"""Points in a file of details."""
KINDS = ("training", "copied", "generation", "copy")
"""What a point is: a training picture, one that a generation copies, a generation, a generation that is a copy."""


@dataclass(frozen=True)
class AtlasPage:
    """The content of the page.

    Attributes:
        training: Training pictures on the map.
        all_training: Different training pictures there are.
        generations: Generations on the map, which come after the training pictures.
        all_generations: Generations there are.
        concepts: Names of concepts, by the number that points have; the last one is for points without.
        licences: Licences, by the number that points have.
        encoder: Identity of the encoder.
        pictured: Points, from the first, of which a small copy is kept.
        version: The published version.
        published_at: When it was published.
    """

    training: int
    all_training: int
    generations: int
    all_generations: int
    concepts: Sequence[str]
    licences: Sequence[str]
    encoder: str
    pictured: int
    version: int
    published_at: str

    @property
    def points(self) -> int:
        """All points on the map."""
        return self.training + self.generations


def render(atlas: AtlasPage) -> str:
    """Render the page, which loads its own data from the folder beside it and nothing else."""
    data = {
        "points": atlas.points,
        "training": atlas.training,
        "chunk": CHUNK,
        "part": PART,
        "concepts": list(atlas.concepts),
        "licences": list(atlas.licences),
    }
    scripts = ("common.js", "shards.js", "listing.js", "atlas.js")
    return page.render("atlas.html.j2", scripts, data, loads=True, atlas=atlas)


def places(
    at: npt.NDArray[np.float32], kind: npt.NDArray[np.uint8], concept: npt.NDArray[np.uint16], licence: npt.NDArray
) -> Mapping[str, str]:
    """Return a chunk of points for the page: columns as base64, little-endian.

    Args:
        at: float32 (n, 2) in the unit square.
        kind: Index in KINDS.
        concept: Number of the concept.
        licence: Number of the licence.
    """
    scaled = np.round(at * 65_535).astype("<u2")
    columns = {
        "at": scaled,
        "kind": kind.astype("u1"),
        "concept": concept.astype("<u2"),
        "licence": licence.astype("u1"),
    }
    return {name: base64.b64encode(column.tobytes()).decode("ascii") for name, column in columns.items()}

"""Generations beside the sources they copy, measured as the papers do, and remembered.

What belongs here: what was measured before, reading the pictures of what is new, committing it. What does not: the
asset (`defs/memorization.py`), the formulas (`transforms/provenance/memorization.py`), which training pictures there
are (`provenance/picture_index.py`), thresholds (`sql/provenance/memorization.sql`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import batched
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.facts import FactTable, literal
from orchestration.facts.recipes import recipe
from orchestration.provenance.picture_index import Known
from orchestration.runtime.resources import Warehouse
from transforms import pictures
from transforms.pictures import Pixels
from transforms.provenance import memorization

CODE = 1  # raise when the same pictures would measure otherwise
CONFIRMED = "confirmed or same_bytes or same_pixels"
_COLUMNS = ("generation_id", "sample_id", "x", "y", "width", "height")
_GENERATIONS = 256  # whose neighbours, 150 kB each at 32 × 32, are held at once
_CACHED = 16  # pictures at 512 × 512


@dataclass(frozen=True)
class Pair:
    """A generation and a source that pixels confirm.

    place: the source's among the different pictures. near: the places of the pictures nearest to the generation, by
    embedding. made_by: a hash of all that its row depends on.
    """

    generation: dict
    sample_id: int
    place: int
    box: tuple[float, float, float, float]
    near: npt.NDArray[np.int64]
    made_by: str


def confirmed(warehouse: Warehouse) -> list[dict]:
    """Read the confirmed pairs of generation and training row, and where they agree."""
    return warehouse.facts["match_evidence"].read(_COLUMNS, CONFIRMED).to_pylist()


def pairs(warehouse: Warehouse, known: Known, rows: Sequence[dict]) -> Iterator[list[Pair]]:
    """Yield the pairs of some generations at a time, with the pictures nearest to each."""
    cut = warehouse.settings.memorization
    of: dict[str, list[dict]] = {}
    for row in rows:
        of.setdefault(row["generation_id"], []).append(row)
    for names in batched(sorted(of), _GENERATIONS):
        among = f"generation_id in ({', '.join(map(literal, names))})"
        columns = ["generation_id", "path", "pixel_sha256"]
        found = warehouse.facts["generation_fingerprints"].read(columns, among).to_pylist()
        near = known.nearest(warehouse, names, cut.neighbours)
        made = []
        for generation in found:
            mine = near[generation["generation_id"]]
            digests = known.pictures.pixel_digests
            around = recipe("nearest pictures", digests[mine].tobytes().hex(), cut.neighbours, cut.alpha)
            for row in of[generation["generation_id"]]:
                place, box = known.place(row["sample_id"]), tuple(row[side] for side in ("x", "y", "width", "height"))
                made_by = recipe(
                    "memorized pair", CODE, generation["pixel_sha256"], digests[place].tobytes().hex(), box, around
                )
                made.append(Pair(generation, row["sample_id"], place, box, mine, made_by))
        yield made


class Measuring:
    """Measures pairs; a training picture is brought to 32 × 32 once in the life of a warehouse.

    What cannot be read is said in the row, and tried again by the next run.
    """

    def __init__(self, warehouse: Warehouse, known: Known) -> None:
        self._warehouse, self._known = warehouse, known
        self._training = lru_cache(_CACHED)(self._read_training)
        self._generation = lru_cache(1)(self._read_generation)

    def _read_training(self, place: int) -> Pixels:
        return memorization.resized(self._warehouse.training_picture(self._known.sample_id(place)), memorization.SIDE)

    def _read_generation(self, path: str) -> tuple[Pixels, Pixels]:
        shown = pictures.decode(Path(path).read_bytes(), self._warehouse.rules.max_pixels)
        return memorization.resized(shown, memorization.SIDE), memorization.resized(shown, memorization.SMALL)

    def measured(self, wanted: Sequence[Pair]) -> Iterator[dict]:
        """Yield the row of each pair."""
        small, failures = self._small(np.unique(np.concatenate([[p.place, *p.near] for p in wanted])))
        for pair in wanted:
            row = {"generation_id": pair.generation["generation_id"], "sample_id": pair.sample_id}
            needed = [pair.place, *pair.near.tolist()]
            unread = next((failures[place] for place in needed if place in failures), None)
            try:
                if unread:
                    raise ValueError(unread)
                yield row | self._distances(pair, small) | {"recipe": pair.made_by}
            except (OSError, ValueError) as error:
                yield row | {"recipe": "", "failure": str(error)}

    def _distances(self, pair: Pair, small: dict[int, Pixels]) -> dict[str, object]:
        generation, little = self._generation(pair.generation["path"])
        source = self._training(pair.place)
        mask = memorization.box_mask(*pair.box)
        around = np.array([small[place] for place in pair.near.tolist()])
        alpha = self._warehouse.settings.memorization.alpha
        return {
            "l2": memorization.l2(generation, source),
            "tile_l2": memorization.tile_l2(generation, source),
            "template_mse": memorization.template_mse(source, generation, mask),
            "template_share": float(mask.mean()),
            "small_image_ratio": memorization.small_image_ratio(little, small[pair.place], around, alpha),
            "neighbours": len(around),
        }

    def _small(self, places: npt.NDArray[np.int64]) -> tuple[dict[int, Pixels], dict[int, str]]:
        """Return training pictures at 32 × 32 by place, keeping new ones as facts, and why some cannot be read."""
        table = self._warehouse.facts["small_pictures"]
        digests = {self._known.pictures.pixel_digests[place].tobytes().hex(): place for place in places.tolist()}
        small: dict[int, Pixels] = {}
        for names in batched(digests, 2_000):
            rows = table.read(where=f"pixel_sha256 in ({', '.join(map(literal, names))})")
            for row in rows.to_pylist():
                shape = (memorization.SMALL, memorization.SMALL, 3)
                small[digests[row["pixel_sha256"]]] = np.frombuffer(row["pixels"], np.uint8).reshape(shape)
        new, failures = [], {}
        for digest, place in digests.items():
            if place in small:
                continue
            try:
                whole = self._warehouse.training_picture(self._known.sample_id(place))
            except (OSError, ValueError) as error:
                failures[place] = f"training row {self._known.sample_id(place)}: {error}"
                continue
            small[place] = memorization.resized(whole, memorization.SMALL)
            new.append({"pixel_sha256": digest, "pixels": small[place].tobytes()})
        table.upsert(pa.Table.from_pylist(new, table.schema))
        return small, failures

    def eidetic(self, sample_id: int) -> dict:
        """Return how many training rows lie within delta of a source: of its cluster, the most frequent first."""
        cut, place = self._warehouse.settings.memorization, self._known.place(sample_id)
        cluster = self._known.cluster_of(place)
        others = cluster[cluster != place][: cut.eidetic_pictures]
        rows, compared, failure = int(self._known.rows[place]), 1, None
        try:
            own = [memorization.tiles(self._training(place))] if len(others) else []
        except (OSError, ValueError) as error:
            others, failure = others[:0], str(error)
        for other in others.tolist():
            try:
                apart = memorization.tile_distances([*own, memorization.tiles(self._training(other))])[0, 1]
            except (OSError, ValueError) as error:
                failure = f"training row {self._known.sample_id(other)}: {error}"
                continue
            compared += 1
            rows += int(self._known.rows[other]) if apart <= cut.delta else 0
        return {
            "sample_id": sample_id,
            "recipe": "" if failure else self.eidetic_recipe(sample_id),
            "rows": rows,
            "pictures": len(cluster),
            "compared": compared,
            "failure": failure,
        }

    def eidetic_recipe(self, sample_id: int) -> str:
        """Hash what a source's count depends on."""
        cut, place = self._warehouse.settings.memorization, self._known.place(sample_id)
        cluster = self._known.cluster_of(place)
        shown = self._known.pictures.pixel_digests[np.append(cluster, place)].tobytes().hex()
        return recipe("eidetic count", CODE, cut.delta, cut.eidetic_pictures, shown, self._known.rows[cluster].tolist())


def keep_only(table: FactTable, wanted: Iterable[tuple]) -> dict[tuple, str]:
    """Delete the rows of other keys than these; return the recipes of the rest by key."""
    kept = set(wanted)
    rows = table.read([*table.keys, "recipe"]).to_pylist()
    known = {tuple(row[name] for name in table.keys): row["recipe"] for row in rows}
    for gone in batched(sorted(known.keys() - kept), 200):
        table.delete(" or ".join(f"({_equals(table, key)})" for key in gone))
    return {key: made_by for key, made_by in known.items() if key in kept}


def _equals(table: FactTable, key: tuple) -> str:
    values = [literal(value) if isinstance(value, str) else str(int(value)) for value in key]
    return " and ".join(f"{name} = {value}" for name, value in zip(table.keys, values, strict=True))

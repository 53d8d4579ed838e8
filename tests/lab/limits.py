"""What other limits of the confirmation would do, from the measurements that a warehouse publishes.

What belongs here: weighing published evidence again. What does not: measuring again; under laxer limits another way of
laying two pictures over each other might have been kept, so that what is said here is the least that they confirm.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from tests.lab import dataset
from tests.lab.recipe import Places
from tests.lab.scoring import Nearest, Share, share
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.regions import Box

_OUT = Box(0.0, 0.0, 0.0, 0.0)  # where regions lie decides nothing
_STAND = PixelLimits()
VARIANTS = {
    "as they stand": _STAND,
    "agreement_unmatched 0.75": replace(_STAND, agreement_unmatched=0.75),
    "agreement_unmatched 0.55": replace(_STAND, agreement_unmatched=0.55),
    "inliers_part 12": replace(_STAND, inliers_part=12),
    "inliers_part 12, agreement_unmatched 0.75": replace(_STAND, inliers_part=12, agreement_unmatched=0.75),
}
_EVIDENCE = """
select generation_id, samples.dataset, samples.shard, samples.row_number, coalesce(verdict, '') = 'exact' as exact,
    inliers, aligned_distance, overlap_generation as overlap_a, overlap_source as overlap_b, mirrored, cells, agreement,
    solid, geometry, homography, aligned_tile_l2 as tile_l2, masked_mse, structural_similarity, moved
from matches.evidence join catalog.samples as samples using (sample_id)
where inliers is not null"""


def replayed(database: Path, places: Places, near: Mapping[str, Nearest]) -> list[dict[str, str | Share]]:
    """Return for each variant how many reproduced samples it confirms, and how many of all it says copy a decoy."""
    names = {(row["dataset"], row["shard"], int(row["row_number"])): row["picture"] for row in dataset.truth(places)}
    with duckdb.connect(str(database), read_only=True) as con:
        rows = con.execute(_EVIDENCE).to_arrow_table().to_pylist()
    compared = [(_about(row, names), row.pop("exact"), Alignment(**row, region_a=_OUT, region_b=_OUT)) for row in rows]
    real = {generation for generation, by in near.items() if by.reproduced}
    found: list[dict[str, str | Share]] = []
    for name, limits in VARIANTS.items():
        said = {about for about, exact, laid in compared if exact or laid.confirmed(limits)}
        confirmed = {generation for generation, picture, _ in said if near[generation].picture == picture} & real
        decoys = {generation for generation, _, is_decoy in said if is_decoy}
        recall, wronged = share(len(confirmed), len(real)), share(len(decoys), len(near))
        found.append({"limits": name, "recall": recall, "names_a_decoy": wronged})
    return found


def _about(row: dict, names: Mapping[tuple[str, str, int], str]) -> tuple[str, str, bool]:
    """Take from a row of evidence which generation and picture it is about, and whether that is a decoy."""
    kind = row.pop("dataset")
    return row.pop("generation_id"), names[kind, row.pop("shard"), row.pop("row_number")], kind == dataset.DECOYS

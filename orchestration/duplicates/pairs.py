"""Pairs of training rows that may show one picture, kept as facts.

What belongs here: deciding when to find pairs again, and writing them. What does not: which rows are a pair
(`transforms/duplicates/pairs.py`), joining fingerprints (`duplicates/copy_joins.py`).
"""

from dataclasses import dataclass

from orchestration.duplicates.incremental_join import HASHES, PICTURES, near_pairs
from orchestration.duplicates.pixel_comparisons import training_comparisons
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes, TrainingPictures
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.settings.sections import Compute
from transforms.duplicates import pairs
from transforms.duplicates.pairs import DuplicateThresholds

CODE = 2  # raise when the same fingerprints would give other pairs


@dataclass(frozen=True)
class ComparisonCounts:
    """Counts of comparisons by pixels in this run, of those that failed, and of those that wait for a dump."""

    compared: int = 0
    failed: int = 0
    waiting: int = 0


def update(
    facts: Facts, cut: DuplicateThresholds, training_picture: TrainingPictures, memory: int, compute: Compute
) -> ComparisonCounts:
    """Find the pairs again if fingerprints or thresholds changed, or if pictures could not be read the last time.

    Args:
        facts: The fact tables.
        cut: When two rows show the same picture.
        training_picture: Reads the pixels of a row.
        memory: Bytes that the arrays of the training pictures may take.
        compute: Where pictures are compared.
    """
    table = facts["duplicate_pairs"]
    inputs = tuple(facts[name].version for name in ("image_fingerprints", HASHES.near, PICTURES.near))
    recipes = PixelRecipes.of(facts, recipe("pairs", CODE, inputs, cut))
    if recipes.hold([table]):
        return ComparisonCounts()
    pictures = usable_pictures(facts, memory)
    hashes, embeddings = near_pairs(facts, HASHES), near_pairs(facts, PICTURES)
    with training_comparisons(facts, cut, training_picture, pictures, compute) as compare:
        table.replace(pairs.pairs(pictures, hashes, embeddings, cut, compare, compare.at_once), recipe="")
    # only now: a run that is killed before makes the pairs again
    table.note_recipe(recipes.after(compare.failed, compare.waiting))
    return ComparisonCounts(compare.compared, compare.failed, compare.waiting)

"""Members of clusters, kept as facts.

What belongs here: deciding when to cut components again, writing members, and hashing the state of the clusters. What
does not: cutting components into clusters (`transforms/duplicates/members.py`).
"""

import hashlib
from collections.abc import Sequence
from itertools import chain

import numpy as np

from orchestration.duplicates.incremental_join import PICTURES, near_pairs
from orchestration.duplicates.pixel_comparisons import TrainingComparisons, training_comparisons
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes, TrainingPictures
from orchestration.fingerprints import stored_vectors
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.settings.memory import MemoryParts
from orchestration.settings.sections import Compute
from transforms.duplicates import components, decided_clusters, members
from transforms.duplicates.decided_clusters import ClusterRulings
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.encoders import EncoderId
from transforms.fingerprints.picture_set import Pictures
from transforms.review.decisions import COLUMNS, Decision, in_force

CODE = 2  # raise when the same pairs would give other clusters
_NUMBER = 4  # bytes


def update(
    facts: Facts,
    cut: DuplicateThresholds,
    training_picture: TrainingPictures,
    encoder: EncoderId | None,
    memory: MemoryParts,
    compute: Compute,
) -> None:
    """Cut the clusters again if pairs, opt-outs or decisions changed, or if pictures could not be read the last time.

    Args:
        facts: The fact tables.
        cut: When two rows show the same picture.
        training_picture: Reads the pixels of a row.
        encoder: Of the copy embeddings. None: there are none, and so no similarities.
        memory: Bytes that the training pictures may take, and embeddings that are held at once.
        compute: Where pictures are compared.
    """
    table, similarities = facts["cluster_members"], facts["cluster_similarities"]
    versions = facts["duplicate_pairs"].version, facts["recalled_rows"].version
    decisions = _decisions(facts)
    about = [[each.decision_id, each.answer, each.picture_a, each.picture_b] for each in decisions]
    decided = (["decisions", about],) if about else ()  # without any the recipe is that of releases without them
    made_by = recipe("clusters", CODE, *versions, *(() if encoder else ("no encoder",)), *decided)
    recipes = PixelRecipes.of(facts, made_by)
    if recipes.hold((table, similarities)):
        return
    pictures = usable_pictures(facts, memory.pictures)
    compared = _write_members(facts, cut, training_picture, pictures, compute, decisions)
    # only now: a run that is killed before makes the members again
    table.note_recipe(recipes.after(compared.failed, compared.waiting))
    if encoder is None:
        similarities.replace([], made_by)
        return
    vectors, owner = stored_vectors.read_vectors(facts, encoder, pictures)
    at_once = max(1, memory.joins // (_NUMBER * vectors.dimension))
    rows = table.scan(["sample_id", "representative_id"])
    similarities.replace(members.similarities(pictures, rows, vectors, owner, at_once), made_by)


def _decisions(facts: Facts) -> list[Decision]:
    """Return the decisions in force that change clusters."""
    rows = facts["decisions"].read(COLUMNS).to_pylist()
    return [each for each in in_force(Decision(**row) for row in rows) if each.answer in decided_clusters.ANSWERS]


def _write_members(
    facts: Facts,
    cut: DuplicateThresholds,
    training_picture: TrainingPictures,
    pictures: Pictures,
    compute: Compute,
    decisions: Sequence[Decision],
) -> TrainingComparisons:
    """Return the comparisons that were needed."""
    pairs = facts["duplicate_pairs"].scan(["sample_id_a", "sample_id_b"], "method <> 'similar'")
    labels = members.connect(pictures, pairs).labels()
    open_pairs = members.open_pairs(pictures, near_pairs(facts, PICTURES), cut, labels)
    with training_comparisons(facts, cut, training_picture, pictures, compute) as compare:
        listed = components.list_members(labels)
        rulings = ClusterRulings.of(decisions, pictures)
        left_alone, touched = decided_clusters.split(listed, labels, rulings)
        rows = members.members(pictures, left_alone, cut, open_pairs, compare)
        decided = members.decided(pictures, touched, cut, open_pairs, compare)
        outcomes = decided_clusters.outcomes(rulings, decided.follow(rulings))
        facts["cluster_members"].replace(chain(rows, [decided.rows()] if len(touched) else []), recipe="")
        if outcomes.num_rows or facts["cluster_decisions"].dataset().count_rows():
            facts["cluster_decisions"].replace([outcomes], recipe="")
    return compare


def clusters_digest(facts: Facts) -> str:
    """Hash the content of the clusters, so that an opt-out that changes none causes no new search."""
    clusters = hashlib.sha256()
    for batch in facts["cluster_members"].scan(["sample_id", "representative_id"]):
        clusters.update(np.stack([column.to_numpy() for column in batch.columns], axis=1).tobytes())
    return clusters.hexdigest()

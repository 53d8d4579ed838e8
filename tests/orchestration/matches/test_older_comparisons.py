"""A stored comparison is made again only where the code measures it otherwise."""

import json
from dataclasses import asdict, replace

import pytest

from orchestration.matches import candidates
from tests.transforms.alignment.test_alignment import LIMITS, scene
from tests.transforms.alignment.test_alterations import LOOSER, displaced
from transforms.alignment.alterations import find_alteration
from transforms.alignment.keypoints import features


@pytest.mark.parametrize(("matches", "again"), [(LOOSER.matches, False), (LOOSER.matches - 1, True), (0, True)])
def test_an_alteration_of_a_release_before_is_measured_again_where_few_features_match(
    matches: int, again: bool
) -> None:
    found = find_alteration(features(displaced(scene(3)), LIMITS), features(scene(3), LIMITS), LIMITS, LOOSER)
    assert found
    stored = asdict(replace(found, matches=matches))
    del stored["room"], stored["region_a"], stored["region_b"]
    boxes = {name: asdict(getattr(found, name)) for name in ("region_a", "region_b")}
    for code, expected in ((1, not again), (candidates.ALTERATION_CODE, True), (99, False)):
        made_by = candidates.alteration_recipe(LOOSER, code)
        text = json.dumps({"alignment": None, "alteration": stored | boxes, "made_by": made_by})
        assert candidates._is_current(text, LIMITS, LOOSER) is expected, code
    nothing = {"alignment": None, "alteration": None, "made_by": candidates.alteration_recipe(LOOSER, 1)}
    assert candidates._is_current(json.dumps(nothing), LIMITS, LOOSER), "nothing was measured, nor would be now"

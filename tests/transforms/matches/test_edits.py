"""Edits make the same picture from the same seed, leave the source alone and change it."""

import numpy as np
import pytest

from tests.conftest import picture
from transforms.matches.edits import EDITS, PART, WHOLE, Edit, bounded

SOURCE, OTHER = (np.asarray(picture(seed, 210, 150)) for seed in (1, 2))


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_an_edit_is_a_picture_made_from_a_seed(edit: Edit) -> None:
    source, other = SOURCE.copy(), OTHER.copy()
    made = edit.apply(source, other, np.random.default_rng(5))
    assert made.dtype == np.uint8 and made.ndim == 3 and made.shape[2] == 3 and made.flags.c_contiguous
    assert made.shape != source.shape or np.any(made != source)
    assert np.array_equal(made, edit.apply(source, other, np.random.default_rng(5)))
    assert np.array_equal(source, SOURCE) and np.array_equal(other, OTHER)


def test_edits_have_names_of_their_own_and_a_kind() -> None:
    assert len({edit.name for edit in EDITS}) == len(EDITS)
    assert {edit.kind for edit in EDITS} == {WHOLE, PART}


@pytest.mark.parametrize(("name", "share"), [("crop_64", 0.64), ("crop_36", 0.36), ("resize_40", 0.16)])
def test_what_is_left_of_the_area_is_what_the_name_says(name: str, share: float) -> None:
    edit = next(e for e in EDITS if e.name == name)
    height, width = edit.apply(SOURCE, OTHER, np.random.default_rng(0)).shape[:2]
    assert height * width / (210 * 150) == pytest.approx(share, abs=0.01)


def test_a_splice_is_half_of_the_source_and_a_template_most_of_it() -> None:
    for name, least, most in (("splice", 0.5, 0.6), ("template", 0.6, 0.75)):
        edit = next(e for e in EDITS if e.name == name)
        same = (edit.apply(SOURCE, OTHER, np.random.default_rng(3)) == SOURCE).all(axis=2).mean()
        assert least <= same <= most, name


def test_large_pictures_are_edited_smaller_and_others_as_they_are() -> None:
    assert bounded(SOURCE) is SOURCE
    large = bounded(np.full((3_000, 4_000, 3), 7, np.uint8))
    assert large.shape[0] * large.shape[1] <= 8_000_000 * 1.001 and large.shape[1] / large.shape[0] == pytest.approx(
        4 / 3, abs=0.001
    )

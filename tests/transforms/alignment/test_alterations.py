"""Copies that were moved a little, recoloured, relit or painted over are confirmed, and what changed is said."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.transforms.alignment.test_alignment import LIMITS, SAME_SCENE, Picture, noisy, scene
from transforms.alignment import alterations
from transforms.alignment.align import align
from transforms.alignment.alteration_policy import PLACED, Alteration, AlterationLimits
from transforms.alignment.alterations import find_alteration
from transforms.alignment.comparer import Comparer
from transforms.alignment.geometry import plausible
from transforms.alignment.keypoints import features
from transforms.pictures import decode

LOOSER = AlterationLimits()
PLANE = 175, 9, 288, 384  # of a photograph of the walk: pixels alone confirm it in the next but two
WALK = SAME_SCENE.parent / "walk"


def displaced(picture: Picture) -> Picture:
    """Every pixel moved smoothly, by up to 1.5% of the long side."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    most = 0.015 * width
    to_x = x + most * np.sin(2 * np.pi * y / height)
    to_y = y + most * np.sin(2 * np.pi * x / width)
    return cv2.remap(picture, to_x, to_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def turned(picture: Picture) -> Picture:
    """Colours turned by a right angle in Lab."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    made = np.dstack([lab[:, :, 0], -lab[:, :, 2], lab[:, :, 1]])
    return np.clip(255 * cv2.cvtColor(made, cv2.COLOR_LAB2RGB), 0, 255).astype(np.uint8)


def relit(picture: Picture) -> Picture:
    """Dark on the left, bright on the right."""
    return np.clip(picture * np.linspace(0.35, 1.15, picture.shape[1])[:, None], 0, 255).astype(np.uint8)


def hidden(picture: Picture) -> Picture:
    """Two fifths under blobs that show another picture."""
    other, rng = scene(77), np.random.default_rng(5)
    field = cv2.GaussianBlur(rng.normal(0, 1, picture.shape[:2]), (0, 0), 26)
    return np.where((field > np.quantile(field, 0.6))[:, :, None], other, picture)


def blended(picture: Picture) -> Picture:
    return cv2.addWeighted(picture, 0.65, scene(77), 0.35, 0)


def found(a: Picture, b: Picture) -> Alteration | None:
    return find_alteration(features(a, LIMITS), features(b, LIMITS), LIMITS, LOOSER)


@pytest.mark.parametrize(
    ("change", "said"),
    [(displaced, "displaced"), (turned, "recoloured"), (relit, "relit"), (hidden, "covered"), (blended, "covered")],
)
def test_an_altered_copy_is_confirmed_and_says_what_was_changed(
    change: Callable[[Picture], Picture], said: str
) -> None:
    original = scene(3)
    alteration = found(change(original), original)
    assert alteration
    assert alteration.confirmed(LOOSER), alteration
    assert said in alteration.changes(LOOSER), alteration


def test_a_displaced_part_lies_where_it_was_cut_out_in_either_order_and_mirrored() -> None:
    original = scene(4)
    part = displaced(np.ascontiguousarray(original[40:240, 120:420]))
    for made, mirrored in ((part, False), (np.ascontiguousarray(part[:, ::-1]), True)):
        for swapped in (False, True):
            alteration = found(original, made) if swapped else found(made, original)
            assert alteration
            assert alteration.confirmed(LOOSER), alteration
            assert alteration.mirrored is mirrored
            region = alteration.region_a if swapped else alteration.region_b
            place = [region.x * 480, region.y * 320, region.width * 480, region.height * 320]
            assert place == pytest.approx([120, 40, 300, 200], abs=18)
            corner = np.reshape(alteration.homography, (3, 3)) @ [0.5, 0.5, 1]
            middle = (corner / corner[2])[:2]
            assert ((middle > 0) & (middle < 1)).all()


def test_different_pictures_are_no_altered_copies() -> None:
    pictures = [features(scene(seed), LIMITS) for seed in range(5)]
    for i, a in enumerate(pictures):
        for b in pictures[i + 1 :]:
            alteration = find_alteration(a, b, LIMITS, LOOSER)
            assert alteration is None or not alteration.confirmed(LOOSER)


def test_one_watermark_makes_no_copies_of_different_pictures() -> None:
    def marked(picture: Picture) -> Picture:
        ink = picture.copy()
        for y in range(30, 320, 80):
            cv2.putText(ink, "SAMPLE SAMPLE SAMPLE", (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
        return cv2.addWeighted(ink, 0.5, picture, 0.5, 0)

    one, another = scene(1), scene(2)
    alteration = found(marked(one), marked(another))
    assert alteration is None or not alteration.confirmed(LOOSER), alteration
    copy = found(marked(one), one)
    assert copy
    assert copy.confirmed(LOOSER)


def tiny(seed: int) -> Picture:
    return cv2.resize(scene(seed, 100, 100), (32, 32), interpolation=cv2.INTER_AREA)


def test_a_tiny_blurred_copy_is_confirmed_by_its_structure_and_no_other_tiny_picture_is() -> None:
    pictures = [tiny(seed) for seed in range(5)]
    for number, picture in enumerate(pictures):
        made = noisy(cv2.GaussianBlur(picture, (0, 0), 1.0), number, 3)
        strict = align(features(made, LIMITS), features(picture, LIMITS), LIMITS)
        assert strict is None or not strict.confirmed(LIMITS), "pixels alone refuse it"
        alteration = found(made, picture)
        assert alteration
        assert alteration.geometry == PLACED
        assert LOOSER.cells_tiny <= alteration.cells <= alteration.room < LOOSER.cells_unmatched
        assert alteration.confirmed(LOOSER), alteration
        assert not replace(alteration, room=0).confirmed(LOOSER), "nothing says that it is tiny"
        other = found(made, pictures[number - 1])
        assert other is None or not other.confirmed(LOOSER), other


@pytest.mark.parametrize("side", [32, 320])
def test_two_skies_are_no_copies_though_a_gradient_lies_over_both(side: int) -> None:
    def sky(seed: int, fall: float) -> Picture:
        y, x = np.mgrid[:side, :side] / side - 0.5
        light = 150 + 90 * y + fall * (x - 0.2) ** 2
        return noisy(np.repeat(light[:, :, None], 3, axis=2) * [0.6, 0.8, 1.0], seed, 2)

    alteration = found(sky(1, 60), sky(2, 0))
    assert alteration
    assert alteration.geometry == PLACED
    assert alteration.cells < LOOSER.cells_tiny, "what a gradient leaves of them has no structure"
    assert not alteration.confirmed(LOOSER)


def test_a_displacement_that_jumps_is_no_alteration_of_the_picture() -> None:
    alteration = found(displaced(scene(3)), scene(3))
    assert alteration
    assert alteration.in_place < LOOSER.agreement
    assert not replace(alteration, roughness=0.15).confirmed(LOOSER)


def test_structure_is_looked_at_only_where_pixels_refuse() -> None:
    original = scene(6)
    named = {"copy": original, "altered": turned(displaced(original)), "tiny": original[:8, :8].copy()}
    comparer = Comparer({**named, "original": original}.__getitem__, LIMITS)
    strict, second = comparer.twice("copy", "original")
    assert strict
    assert strict.confirmed(LIMITS)
    assert second is None
    strict, second = comparer.twice("altered", "original")
    assert strict is None or not strict.confirmed(LIMITS)
    assert second
    assert second.confirmed(LOOSER)
    assert comparer.twice("tiny", "original") == (None, None)


@pytest.mark.skipif(not WALK.exists(), reason="no photographs of one scene at hand")
def test_photographs_from_a_step_aside_are_no_altered_copies() -> None:
    """The pairs that come nearest to it, whole and cut to what lies in one plane."""

    def read(name: str) -> Picture:
        return decode((WALK.parent / name).read_bytes(), 50_000_000)

    front, beside = read("walk/ET/et000.jpg"), read("walk/ET/et003.jpg")
    top, left, height, width = PLANE
    plane = front[top : top + height, left : left + width]
    for a, b in ((front, beside), (beside, front), (front[120:360, 160:480], beside), (plane, beside)):
        alteration = found(np.ascontiguousarray(a), b)
        assert alteration
        assert not alteration.confirmed(LOOSER), alteration
        strict = align(features(np.ascontiguousarray(a), LIMITS), features(b, LIMITS), LIMITS)
        assert strict is None or not strict.confirmed(LIMITS)


def test_a_map_whose_way_back_folds_is_measured_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a picture seen from the side: turned round, the map puts a part of the larger one behind the eye."""
    onto = np.array([[0.5, 0, 0], [0, 0.5, 0], [0.002, 0, 1]])
    one, back = features(scene(8), LIMITS), np.linalg.inv(onto)
    assert plausible(onto, one.grey.shape, LIMITS)
    assert not plausible(back / back[2, 2], one.grey.shape, LIMITS)
    near = np.ones(20, np.bool_)
    monkeypatch.setattr(alterations, "_mapped", lambda *_: alterations._Map("homography", onto, near, near))
    matched = alterations._Matches(one.points[:20], one.points[:20], near)
    monkeypatch.setattr(alterations, "_matched", lambda *_: matched)
    alteration = find_alteration(one, one, LIMITS, LOOSER)
    assert alteration is None or not alteration.confirmed(LOOSER)

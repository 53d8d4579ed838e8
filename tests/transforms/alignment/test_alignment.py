"""Copies, edited or cut or pasted into another picture, are confirmed where they lie; other pictures are not."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from transforms.alignment.agreement import similarity
from transforms.alignment.align import align
from transforms.alignment.comparer import Comparer
from transforms.alignment.keypoints import features
from transforms.alignment.policy import Alignment, PixelLimits
from transforms.regions import Box

Picture = np.ndarray
LIMITS = PixelLimits()
SAME_SCENE = Path(__file__).parents[3].parent / "shared" / "data" / "photos" / "same_scene"


def scene(seed: int, height: int = 320, width: int = 480) -> Picture:
    """A picture with structure at every scale: clouds of colour under scattered ellipses."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for step in (4, 10, 24, 60):
        coarse = rng.normal(0, 18, (height // step + 2, width // step + 2, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture + 128, 0, 255).astype(np.uint8)
    for _ in range(60):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(4, 30)), int(rng.integers(4, 30)))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.ellipse(picture, centre, axes, float(rng.integers(180)), 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def smooth(seed: int) -> Picture:
    """A picture such as fog: a few soft shapes, hardly a keypoint."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(90, 170, (6, 9, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (480, 320), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def noisy(picture: Picture, seed: int = 0, amount: float = 15) -> Picture:
    noise = np.random.default_rng(seed).normal(0, amount, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def recoloured(picture: Picture) -> Picture:
    return np.clip(picture * np.array([0.7, 0.9, 0.8]) + np.array([30, -5, 12]), 0, 255).astype(np.uint8)


def colourless(picture: Picture) -> Picture:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def compressed(picture: Picture) -> Picture:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def marked(picture: Picture) -> Picture:
    ink = picture.copy()
    cv2.putText(ink, "PREVIEW ONLY", (20, 180), cv2.FONT_HERSHEY_SIMPLEX, 1.9, (255, 255, 255), 5, cv2.LINE_AA)
    return cv2.addWeighted(ink, 0.7, picture, 0.3, 0)


def face(seed: int) -> Picture:
    """A drawing: the same disc each time, with other eyes and another mouth."""
    rng = np.random.default_rng(seed)
    picture = np.full((400, 400, 3), (250, 240, 200), np.uint8)
    for colour, thick in (((250, 210, 60), -1), ((0, 0, 0), 4)):
        cv2.circle(picture, (200, 200), 170, colour, thick, cv2.LINE_AA)
    eye, mouth = int(rng.integers(8, 30)), (int(rng.integers(30, 90)), int(rng.integers(10, 50)))
    for x in (140, 260):
        cv2.circle(picture, (x, 160), eye, (0, 0, 0), -1)
    cv2.ellipse(picture, (200, 260), mouth, 0, 0, int(rng.choice([-180, 180])), (0, 0, 0), 6)
    return picture


def laid(a: Picture, b: Picture) -> Alignment | None:
    return align(features(np.ascontiguousarray(a), LIMITS), features(np.ascontiguousarray(b), LIMITS), LIMITS)


def confirmed(a: Picture, b: Picture) -> Alignment:
    found = laid(a, b)
    assert found is not None and found.confirmed(LIMITS), found
    return found


@pytest.mark.parametrize(
    ("edit", "onto"),
    [
        (lambda p: p, (1, 0, 0, 0, 1, 0)),
        (lambda p: p[:, ::-1], (-1, 0, 1, 0, 1, 0)),
        (lambda p: np.rot90(p), (0, 1, 0, -1, 0, 1)),
        (lambda p: p[32:288, 48:432], (1.25, 0, -0.125, 0, 1.25, -0.125)),
        (lambda p: cv2.resize(p, (512, 512)), (1, 0, 0, 0, 1, 0)),
    ],
    ids=["equal", "mirrored", "turned", "cropped", "squeezed"],
)
def test_the_map_says_how_the_source_lies_on_the_generation(edit: Callable[[Picture], Picture], onto: tuple) -> None:
    found = confirmed(edit(scene(3)), scene(3))
    assert found.homography == pytest.approx((*onto, 0, 0, 1), abs=0.01)
    box, there = found.region_a, found.region_b
    at = np.array([[there.x, there.y, 1], [there.x + there.width, there.y + there.height, 1]])
    across, down, _ = np.reshape(found.homography, (3, 3)) @ at.T
    assert (across.min(), down.min()) == pytest.approx((box.x, box.y), abs=0.01)
    assert (across.max(), down.max()) == pytest.approx((box.x + box.width, box.y + box.height), abs=0.01)


@pytest.mark.parametrize("side", [32, 64, 128])
def test_small_pictures_are_confirmed_through_noise_and_blur_whichever_is_larger(side: int) -> None:
    def small(seed: int) -> Picture:
        return cv2.resize(scene(seed)[:, :320], (side, side), interpolation=cv2.INTER_AREA)

    spoiled = noisy(cv2.GaussianBlur(small(3), (0, 0), 0.7), amount=5)
    confirmed(spoiled, small(3))
    for other in (4, 5, 6):
        found = laid(spoiled, small(other))
        assert found is None or not found.confirmed(LIMITS)
    large = scene(3)[:, :320]
    onto, back = confirmed(spoiled, large), confirmed(large, spoiled)
    assert np.linalg.inv(np.reshape(onto.homography, (3, 3))).ravel() == pytest.approx(back.homography, abs=0.02)
    assert (onto.overlap_a, onto.overlap_b) == pytest.approx((back.overlap_b, back.overlap_a), abs=0.02)


def iou(box: Box, truth: tuple[float, float, float, float]) -> float:
    x, y, width, height = truth
    across = min(box.x + box.width, x + width) - max(box.x, x)
    down = min(box.y + box.height, y + height) - max(box.y, y)
    shared = max(across, 0) * max(down, 0)
    return shared / (box.width * box.height + width * height - shared)


@pytest.mark.parametrize(
    "edit",
    [
        noisy,
        recoloured,
        compressed,
        marked,
        lambda p: cv2.GaussianBlur(p, (0, 0), 2),
        lambda p: cv2.resize(p, (160, 107), interpolation=cv2.INTER_AREA),
        lambda p: cv2.resize(p, (512, 512)),
        lambda p: p[::-1],
        lambda p: np.rot90(p),
        lambda p: p[10:310, 12:468],
        lambda p: compressed(colourless(p)),
    ],
    ids=["noise", "colour", "jpeg", "watermark", "blur", "small", "square", "upside down", "rotated", "trimmed", "bw"],
)
def test_an_edited_copy_is_the_whole_picture(edit: Callable[[Picture], Picture]) -> None:
    original = scene(1)
    found = confirmed(edit(original), original)
    assert found.whole(LIMITS)
    assert found.aligned_distance < LIMITS.aligned_distance


@pytest.mark.parametrize("picture", [scene(2), smooth(2)], ids=["textured", "smooth"])
def test_a_mirrored_copy_is_found_and_named_so(picture: Picture) -> None:
    found = confirmed(noisy(picture[:, ::-1]), picture)
    assert found.mirrored and found.whole(LIMITS)
    assert not confirmed(noisy(picture), picture).mirrored


def test_a_crop_is_a_part_and_says_which() -> None:
    original = scene(3)
    crop = cv2.resize(original[96:272, 144:408], (480, 320), interpolation=cv2.INTER_CUBIC)
    found = confirmed(compressed(noisy(crop)), original)
    assert not found.whole(LIMITS)
    assert iou(found.region_a, (0, 0, 1, 1)) >= 0.9
    assert iou(found.region_b, (144 / 480, 96 / 320, 264 / 480, 176 / 320)) >= 0.9
    assert found.overlap_b == pytest.approx(264 * 176 / (480 * 320), abs=0.03)


def test_a_mirrored_crop_lies_where_it_was_cut_from() -> None:
    original = scene(4)
    found = confirmed(original[40:240, 30:330][:, ::-1], original)
    assert found.mirrored
    assert iou(found.region_b, (30 / 480, 40 / 320, 300 / 480, 200 / 320)) >= 0.9


def test_a_collage_shares_only_what_was_pasted() -> None:
    original, collage = scene(5), scene(6)
    collage[60:270, 130:430] = cv2.resize(original[80:300, 100:400], (300, 210), interpolation=cv2.INTER_AREA)
    found = confirmed(noisy(collage), original)
    assert not found.whole(LIMITS)
    assert iou(found.region_a, (130 / 480, 60 / 320, 300 / 480, 210 / 320)) >= 0.7
    assert iou(found.region_b, (100 / 480, 80 / 320, 300 / 480, 220 / 320)) >= 0.7
    assert found.aligned_distance < 0.06, "the pixels around the paste were measured too"


def test_a_picture_seen_from_the_side_lies_by_a_homography() -> None:
    original = scene(20)
    corners = np.array([[0, 0], [480, 0], [480, 320], [0, 320]], np.float32)
    seen = corners + np.array([[60, 40], [-6, 8], [-10, -4], [50, -36]], np.float32)
    onto = cv2.getPerspectiveTransform(corners, seen)
    found = confirmed(noisy(cv2.warpPerspective(original, onto, (480, 320))), original)
    assert found.geometry == "homography"
    mapped = np.reshape(found.homography, (3, 3)) @ np.vstack([corners.T / [[480], [320]], np.ones(4)])
    assert pytest.approx(seen / [480, 320], abs=0.01) == (mapped[:2] / mapped[2]).T


def swapped(picture: Picture, other: Picture) -> Picture:
    """The same background behind another object."""
    mask = cv2.ellipse(np.zeros(picture.shape[:2], np.uint8), (250, 150), (160, 100), 0, 0, 360, 1, -1) > 0
    return np.where(mask[:, :, None], other, picture)


def lettered(picture: Picture) -> Picture:
    made = picture.copy()
    for line, words in enumerate(("WHEN YOU", "SEE IT", "AGAIN")):
        for ink, thick in ((0, 24), (255, 10)):
            cv2.putText(made, words, (40, 90 + 95 * line), cv2.FONT_HERSHEY_SIMPLEX, 2.7, (ink,) * 3, thick)
    return made


@pytest.mark.parametrize("edit", [lambda p: swapped(p, scene(22)), lettered], ids=["template", "text"])
def test_what_is_left_of_a_picture_is_a_part_of_it_whatever_covers_the_rest(
    edit: Callable[[Picture], Picture],
) -> None:
    made, original = compressed(edit(scene(21))), scene(21)
    found = confirmed(made, original)
    assert not found.copied(LIMITS), "not all of the region shows the source"
    assert found.solid >= LIMITS.solid
    assert found.masked_mse < found.aligned_distance**2, "what covers the source was measured too"
    assert found.tile_l2 > 1.5 * found.aligned_distance, "the worst tile is under the cover"
    # Of training pictures it is another picture: captions of one template are not one picture.
    comparer = Comparer({"made": made, "original": original}.__getitem__, LIMITS)
    assert not comparer.same("made", "original", 0.6).same
    assert comparer.same("original", "original", 0.6).same


def test_a_part_is_a_copy_beside_another_picture_and_none_before_the_same_one_moved() -> None:
    """As a wall in two photographs taken a step apart: what lies behind it is in both, beside its place."""
    wide = np.concatenate([scene(1), scene(3)], axis=1)

    def behind(wall: Picture, background: Picture) -> Picture:
        made = background.copy()
        made[:, :280] = wall[:, :280]
        return made

    original = behind(scene(2), wide[:, :480])
    pasted = confirmed(behind(scene(2), scene(7)), original)
    assert pasted.doubted(LIMITS)
    assert pasted.moved == pytest.approx(0, abs=0.02)
    for step in (24, 40):
        found = laid(behind(scene(2), wide[:, step : step + 480]), original)
        assert found is not None and found.copied(LIMITS), "the wall agrees all over"
        assert found.moved is not None and found.moved > 0.3
        assert not found.confirmed(LIMITS), found
        assert replace(found, moved=None).confirmed(LIMITS), "as it was before anyone looked around it"
    whole = confirmed(noisy(original), original)
    assert whole.moved is None and not whole.doubted(LIMITS)


def test_a_small_piece_of_another_picture_confirms_nothing() -> None:
    for seed in range(30, 34):
        made, original = scene(seed), scene(seed + 10)
        made[100:190, 150:290] = original[100:190, 150:290]  # 8 % of both
        found = laid(made, original)
        assert found is not None and found.inliers >= LIMITS.inliers, "the piece was found"
        assert not found.confirmed(LIMITS), found


@pytest.mark.parametrize(
    "make",
    [
        face,
        lambda seed: marked(smooth(seed)),
        *(pytest.param(each, marks=pytest.mark.thorough) for each in (scene, smooth, lambda seed: marked(scene(seed)))),
    ],
)
def test_different_pictures_are_never_confirmed(make: Callable[[int], Picture]) -> None:
    made = [features(make(seed), LIMITS) for seed in range(10, 16)]
    for i, a in enumerate(made):
        for b in made[:i]:
            found = align(a, b, LIMITS)
            assert found is None or not found.confirmed(LIMITS), found


def test_a_picture_in_grey_is_compared_by_brightness_with_its_source_alone() -> None:
    grey, original = colourless(scene(11)), scene(11)
    assert laid(grey, original).whole(LIMITS) and laid(original, grey).whole(LIMITS)
    assert confirmed(original, grey).agreement == pytest.approx(confirmed(grey, original).agreement, abs=0.02)
    for other in (scene(12), colourless(scene(12))):
        found = laid(grey, other)
        assert found is None or not found.confirmed(LIMITS), found


def test_structural_similarity_is_never_above_1() -> None:
    flat = np.full((40, 40), 0.9, np.float32)
    assert similarity(flat, np.float32(0.999) * flat).max() <= 1


def test_flat_pictures_are_confirmed_only_where_equal() -> None:
    grey, lighter = np.full((300, 400, 3), 120, np.uint8), np.full((300, 400, 3), 180, np.uint8)
    assert confirmed(grey, grey).whole(LIMITS)
    for other in (lighter, noisy(grey), scene(7)):
        found = laid(grey, other)
        assert found is None or not found.confirmed(LIMITS), found


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (15, 15), (60, 3000)])
def test_pictures_too_small_or_narrow_have_no_alignment(size: tuple[int, int]) -> None:
    sliver = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert laid(sliver, sliver) is None
    assert laid(sliver, scene(8)) is None
    assert laid(scene(8), sliver) is None


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_refused(bad: Picture) -> None:
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        features(bad, LIMITS)


def test_the_same_pictures_give_the_same_answer() -> None:
    a, b = noisy(scene(9)[30:280, 50:400]), scene(9)
    assert laid(a, b) == laid(a, b)


@pytest.mark.skipif(not SAME_SCENE.is_dir(), reason=f"no photographs of one scene at {SAME_SCENE}")
def test_photographs_of_one_scene_are_different_photographs() -> None:
    made = [features(cv2.imread(str(path)), LIMITS) for path in sorted(SAME_SCENE.glob("*.jpg"))]
    assert len(made) > 1
    for a, b in combinations(made, 2):
        found = align(a, b, LIMITS)
        assert found is None or not found.confirmed(LIMITS), found

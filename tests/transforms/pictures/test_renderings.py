"""What a file may show: the ground it is hashed on, what two files are equal by, and what a search leaves out."""

import numpy as np
import pytest
from conftest import encoded, picture
from PIL import Image, ImageDraw

from transforms.fingerprints.fingerprint import Rules, fingerprint
from transforms.hashing.hashes import from_hex, pixel_sha256
from transforms.pictures import decode, look, may_show_more, renderings

ROOM = 1_000_000
RULES = Rules(ROOM, ROOM, 50)


def drawing(seed: int, *, ink: tuple[int, int, int] = (255, 255, 255), frame: bool = False) -> Image.Image:
    """Return lines in one colour on transparent ground, in a black frame or none."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGBA", (240, 180), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y, a, b = (int(value) for value in rng.integers(10, 170, 4))
        draw.line((x, y, a + 50, b), fill=(*ink, 255), width=4)
    if frame:
        draw.rectangle((2, 2, 237, 177), outline=(0, 0, 0, 255), width=5)
    return image


def with_alpha(image: Image.Image, alpha: Image.Image | int) -> Image.Image:
    shown = image.convert("RGBA")
    shown.putalpha(alpha)
    return shown


def ground(image: Image.Image) -> list[int]:
    return look(encoded(image, "PNG"), ROOM).picture[0, 0].tolist()


def bits(a: Image.Image, b: Image.Image, kind: str = "PNG") -> int:
    prints = [fingerprint(encoded(image, kind), RULES)[0] for image in (a, b)]
    assert all(each.status == "ok" for each in prints)
    return int(np.bitwise_count(np.bitwise_xor(*from_hex([str(each.pdq) for each in prints]))).sum())


def test_a_picture_lies_on_the_ground_that_shows_it() -> None:
    assert ground(drawing(1)) == [0, 0, 0]
    assert ground(drawing(1, ink=(230, 230, 230))) == [0, 0, 0]
    assert ground(drawing(1, ink=(20, 20, 60))) == [255, 255, 255]
    assert ground(drawing(1, frame=True)) == [128, 128, 128]
    assert ground(with_alpha(picture(2), Image.linear_gradient("L").resize((256, 192)))) == [255, 255, 255]


@pytest.mark.parametrize("ink", [(255, 255, 255), (240, 240, 240), (0, 0, 0)])
@pytest.mark.parametrize("frame", [False, True])
def test_different_drawings_are_different_and_copies_are_copies(ink: tuple[int, int, int], frame: bool) -> None:
    a, b = drawing(1, ink=ink, frame=frame), drawing(2, ink=ink, frame=frame)
    assert bits(a, b) > 31
    assert bits(a, a.resize((480, 360), Image.Resampling.LANCZOS)) <= 31
    assert bits(a, a.resize((180, 135), Image.Resampling.LANCZOS)) <= 31
    prints = [fingerprint(encoded(each, "PNG"), RULES)[0].pixel_sha256 for each in (a, b)]
    assert prints[0] != prints[1]


def test_a_dark_drawing_is_near_its_copy_on_white() -> None:
    """Flattened copies are what most data sets hold, and most flatten on white."""
    dark = drawing(1, ink=(30, 30, 30))
    flat = Image.alpha_composite(Image.new("RGBA", dark.size, "white"), dark).convert("RGB")
    assert np.array_equal(decode(encoded(dark, "PNG"), ROOM), np.asarray(flat))
    assert bits(dark, flat) == 0
    prints = [fingerprint(encoded(each, "PNG"), RULES)[0].pixel_sha256 for each in (dark, flat)]
    assert prints[0] != prints[1], "a transparent picture is more than what it shows on white"


def test_pictures_told_apart_by_alpha_alone_are_different() -> None:
    black = Image.new("RGB", (240, 180))
    shapes = [with_alpha(black, drawing(seed).getchannel("A")) for seed in (1, 2)]
    assert bits(*shapes) > 31
    assert len({look(encoded(each, "PNG"), ROOM).identity for each in shapes}) == 2


def test_equal_transparency_in_another_container_is_equal() -> None:
    image = drawing(1)
    prints = [
        fingerprint(data, RULES)[0]
        for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True, exact=True), encoded(image, "TIFF"))
    ]
    assert len({each.pixel_sha256 for each in prints}) == 1
    assert len({each.sha256 for each in prints}) == 3


def test_an_opaque_alpha_channel_is_none() -> None:
    image = picture(2)
    found = look(encoded(with_alpha(image, 255), "PNG"), ROOM)
    assert found.identity is None
    assert pixel_sha256(found.picture) == pixel_sha256(decode(encoded(image, "PNG"), ROOM))


def test_what_lies_under_the_transparency_counts_only_where_nothing_else_is_seen() -> None:
    hidden, cut_out = with_alpha(picture(2), 0), drawing(1)
    nearly = with_alpha(picture(2), 3)
    for image in (hidden, nearly):
        found = look(encoded(image, "PNG"), ROOM)
        assert np.array_equal(found.picture, np.asarray(picture(2))) and found.covered
    under = np.asarray(cut_out).copy()
    under[..., :3] = np.where(under[..., 3:] == 0, np.asarray(picture(2).resize(cut_out.size)), under[..., :3])
    found = look(encoded(Image.fromarray(under), "PNG"), ROOM)
    assert found.picture[0, 0].tolist() == [0, 0, 0]
    assert found.unsearched == "pixels under its transparency were not compared"


def test_the_guard_looks_at_the_same_picture_first_and_then_at_all_others() -> None:
    for image in (drawing(1), drawing(1, ink=(9, 9, 9)), drawing(1, frame=True), with_alpha(picture(2), 3), picture(2)):
        data = encoded(image, "PNG")
        seen, found = renderings(data, ROOM), look(data, ROOM)
        assert np.array_equal(seen.pictures[0], found.picture)
        assert (seen.identity, seen.hidden) == (found.identity, found.hidden)
        shown = {each[0, 0].tobytes() + each.tobytes() for each in seen.pictures}
        if image.mode == "RGBA":
            for colour in ("white", "black"):
                laid = Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("RGB")
                assert np.asarray(laid)[0, 0].tobytes() + np.asarray(laid).tobytes() in shown
            assert any(np.array_equal(each, np.asarray(image.convert("RGB"))) for each in seen.pictures)
        else:
            assert len(seen.pictures) == 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_files_of_several_frames_are_equal_only_as_files(kind: str) -> None:
    first, second, third = picture(3), picture(4), picture(5)
    a, b = (encoded(first, kind, save_all=True, append_images=[each]) for each in (second, third))
    prints = [fingerprint(data, RULES)[0] for data in (a, b, encoded(first, kind))]
    assert len({each.pixel_sha256 for each in prints}) == 3
    assert prints[0].unsearched and prints[0].note == prints[0].unsearched and prints[2].unsearched is None
    assert fingerprint(a, RULES)[0].pixel_sha256 == prints[0].pixel_sha256


def test_samples_of_16_bits_are_compared_in_all_bits() -> None:
    grey = np.asarray(picture(2).convert("L")).astype(np.uint16)
    fine = grey * 257 + np.random.default_rng(1).integers(0, 2, grey.shape).astype(np.uint16) * (grey < 255)
    eight, sixteen, other = (Image.fromarray(each) for each in (grey.astype(np.uint8), grey * 257, fine))
    prints = [fingerprint(encoded(each, "PNG"), RULES)[0] for each in (eight, sixteen, other)]
    assert prints[0].pixel_sha256 == prints[1].pixel_sha256 != prints[2].pixel_sha256
    assert fingerprint(encoded(other, "TIFF"), RULES)[0].pixel_sha256 == prints[2].pixel_sha256
    assert prints[0].pdq == prints[2].pdq


def test_colours_of_16_bits_are_equal_only_as_files() -> None:
    import cv2  # Pillow writes none

    deep = np.asarray(picture(2)).astype(np.uint16) * 257
    files = [bytes(cv2.imencode(".png", each)[1]) for each in (deep, deep ^ 1)]
    prints = [fingerprint(data, RULES)[0] for data in files]
    assert prints[0].pixel_sha256 != prints[1].pixel_sha256 and prints[0].pdq == prints[1].pdq
    assert np.array_equal(decode(files[0], ROOM), decode(files[1], ROOM))


def test_the_header_tells_which_files_may_show_more() -> None:
    several = {"save_all": True, "append_images": [picture(3)]}
    opaque = (encoded(picture(2)), encoded(picture(2), "PNG"), encoded(picture(2).quantize(16), "PNG"))
    more = (
        encoded(drawing(1), "PNG"),
        encoded(picture(2).quantize(16), "PNG", transparency=0),
        encoded(picture(2), "PNG", **several),
        encoded(picture(2), "MPO", **several),
        encoded(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"),
        encoded(drawing(1), "WEBP"),
        encoded(picture(2), "GIF", **several),
    )
    assert not any(map(may_show_more, opaque))
    assert all(map(may_show_more, more))
    assert all(may_show_more(data[:20]) for data in (*opaque, *more)), "a header that is cut off tells nothing"

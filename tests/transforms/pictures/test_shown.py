"""Everything that viewers may show of a file is looked at, or the rest is said to be hidden."""

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import encoded, picture
from PIL import Image, ImageOps

from transforms.pictures import Bounds, everything, shown

ROOM = Bounds(1_000_000)


def looked_at(data: bytes, frames: int = 8, within: Bounds = ROOM) -> tuple[list[np.ndarray], str | None]:
    seen = everything(data, within, frames)
    return list(seen.pictures), seen.hidden


def near(pictures: list[np.ndarray], image: Image.Image, levels: float = 12) -> bool:
    wanted = np.asarray(image.convert("RGB"), np.int16)
    return any(p.shape == wanted.shape and np.abs(wanted - p).mean() < levels for p in pictures)


def saved(first: Image.Image, kind: str, *others: Image.Image, **options: object) -> bytes:
    return encoded(first, kind, save_all=True, append_images=list(others), **options)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF"])
def test_every_frame_is_shown_up_to_a_limit(kind: str) -> None:
    frames = [picture(seed, 96, 64) for seed in range(3)]
    data = saved(frames[0], kind, *frames[1:])
    pictures, hidden = looked_at(data)
    assert hidden is None
    assert len(pictures) >= 3
    assert all(near(pictures, frame, 24) for frame in frames), "palettes and losses change a little"
    few, hidden = looked_at(data, frames=2)
    assert hidden is not None and "several frames or pages, 3 of them, and 2 are compared at most" in hidden
    assert near(few, frames[0], 24)


def test_pages_of_other_sizes_and_turns_are_shown_as_they_are() -> None:
    small, large = picture(1, 40, 30), picture(2, 90, 120)
    pictures, hidden = looked_at(saved(small, "TIFF", large))
    assert hidden is None and near(pictures, small, 1) and near(pictures, large, 1)
    pictures, hidden = looked_at(saved(small, "TIFF", picture(3, 120, 100).resize((1_200, 1_000))))
    assert hidden is not None and "cannot be decoded" in hidden and "limits.pixels" in hidden
    cut = saved(small, "TIFF", large)
    pictures, hidden = looked_at(cut[:-30_000] if len(cut) > 40_000 else cut[:-3_000])
    assert hidden is not None and near(pictures, small, 1)
    many = saved(large.resize((900, 900)), "TIFF", *[picture(seed, 90, 90).resize((900, 900)) for seed in range(5, 10)])
    assert "more than 4 times" in str(looked_at(many)[1])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(image: Image.Image, *chunks: bytes) -> bytes:
    data = encoded(image, "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def test_a_transparent_picture_is_laid_on_the_ground_that_its_file_states() -> None:
    image = picture(2, 64, 48).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    plain, _ = looked_at(encoded(image, "PNG"))
    pictures, hidden = looked_at(with_chunks(image, chunk(b"bKGD", struct.pack(">HHH", 250, 10, 128))))
    wanted = Image.alpha_composite(Image.new("RGBA", image.size, (250, 10, 128)), image)
    assert hidden is None and len(pictures) == len(plain) + 1
    assert near(pictures, wanted, 1)


def icc(curve: list[int], space: bytes = b"RGB ") -> bytes:
    """Return a profile of sRGB's primaries with a curve of its own."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65_536)) for value in values)

    table = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + b"".join(struct.pack(">H", each) for each in curve)
    tags = {
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": table,
        b"gTRC": table,
        b"bTRC": table,
    }
    if space == b"GRAY":
        tags = {b"wtpt": tags[b"wtpt"], b"kTRC": table}
    offset, index, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        index += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 24
    head += struct.pack(">I", 0) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body


SRGB = [
    round(65_535 * (n / 255 / 12.92 if n < 11 else ((n / 255 + 0.055) / 1.055) ** 2.4)) for n in range(256)
]  # its curve
LINEAR = [round(65_535 * (n / 255) ** 2.2) for n in range(256)]


def test_a_profile_that_undoes_a_change_of_the_pixels_is_applied() -> None:
    image = picture(3, 96, 64)
    stored = ImageOps.invert(image)
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        plain, hidden = looked_at(encoded(stored, kind))
        assert len(plain) == 1 and hidden is None
        pictures, hidden = looked_at(encoded(stored, kind, icc_profile=icc(LINEAR[::-1])))
        assert hidden is None and len(pictures) == 2, kind
        assert near(pictures, image) and near(pictures, stored), kind
    same, hidden = looked_at(encoded(image, "PNG", icc_profile=icc(SRGB)))
    assert (len(same), hidden) == (1, None), "a profile that changes nothing costs nothing"
    grey = ImageOps.grayscale(stored)
    pictures, hidden = looked_at(encoded(grey, "PNG", icc_profile=icc(LINEAR[::-1], b"GRAY")))
    assert hidden is None and near(pictures, ImageOps.grayscale(image))


def test_a_gamma_that_undoes_a_change_of_the_pixels_is_applied() -> None:
    image = picture(4, 96, 64)
    dark = Image.fromarray((255 * (np.asarray(image) / 255) ** 4).round().astype(np.uint8))
    pictures, hidden = looked_at(with_chunks(dark, chunk(b"gAMA", struct.pack(">I", 181_818))))
    assert hidden is None and len(pictures) == 2 and near(pictures, image, 20)
    plain, hidden = looked_at(with_chunks(image, chunk(b"gAMA", struct.pack(">I", 45_455))))
    assert (len(plain), hidden) == (1, None)


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))], "colour profile cannot be applied"),
        ([chunk(b"iCCP", b"x\0\0" + zlib.compress(icc(LINEAR, b"CMYK")))], "colour profile"),
        ([chunk(b"gAMA", struct.pack(">I", 0))], "states no gamma"),
        ([chunk(b"cICP", bytes((9, 16, 0, 1)))], "cICP"),
        ([chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 15000, 6000, 30000, 60000, 64000, 33000))], "cHRM"),
    ],
)
def test_colours_that_cannot_be_applied_hide_something(chunks: list[bytes], reason: str) -> None:
    pictures, hidden = looked_at(with_chunks(picture(5, 64, 48), *chunks))
    assert hidden is not None and reason in hidden
    assert len(pictures) == 1
    plain = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    assert looked_at(with_chunks(picture(5, 64, 48), plain, chunk(b"cICP", bytes((1, 13, 0, 1)))))[1] is None


def test_no_broken_animation_is_taken_as_whole() -> None:
    data = saved(picture(1, 64, 48), "GIF", picture(2, 64, 48), picture(3, 64, 48))
    for end in range(len(data) // 3, len(data) - 40, 97):
        seen = None
        try:
            seen = everything(data[:end], ROOM, 8)
        except ValueError:
            continue
        whole = len(seen.pictures) >= 3
        assert whole or seen.hidden is not None or Image.open(io.BytesIO(data[:end])).n_frames < 3


def test_what_follows_the_first_picture_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks as it does at its own size: grounds, what lies under the transparency, and frames, equal ones once."""
    monkeypatch.setattr(shown, "FURTHER", 5_000)
    image = picture(1, 240, 180).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    first, *others = shown.everything(encoded(image, "PNG"), ROOM, 8).pictures
    grounds = [Image.alpha_composite(Image.new("RGBA", image.size, each), image) for each in ("white", "black")]
    assert first.shape == (180, 240, 3) and [each.shape for each in others] == [(60, 80, 3)] * 2
    small = [each.convert("RGB").reduce(3) for each in (*grounds, image)]
    assert all(any(near([other], each, 2) for each in small) for other in others)
    image.putalpha(0)
    under = [each for each in shown.everything(encoded(image, "PNG"), ROOM, 8).pictures if each.max() > each.min()]
    assert near(under, image, 1) or near(under, image.convert("RGB").reduce(3), 1)
    frames = [picture(seed, 240, 180) for seed in (1, 2, 1)]
    seen = shown.everything(saved(frames[0], "WEBP", *frames[1:], lossless=True), ROOM, 8)
    assert [each.shape for each in seen.pictures] == [(180, 240, 3), (60, 80, 3)] and seen.hidden is None

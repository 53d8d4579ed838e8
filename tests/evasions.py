"""Changes that might carry a copy past the guard, as files: what the table of the guard's page counts.

What belongs here: the changes, each of one picture. What does not: counting (`benchmarks/guard_evasion.py`), a small
part of it that is always held (`test_guard_evasion.py`).
"""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFilter, ImageOps

type Change = Callable[[Image.Image], bytes]
_SEED = 5


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return the file of an image."""
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def _drawn(change: Callable[[Image.Image], Image.Image]) -> Change:
    return lambda image: encoded(change(image))


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def _crop(share: float) -> Change:
    def cut(image: Image.Image) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, top = (image.width - width) // 3, (image.height - height) // 3
        return image.crop((left, top, left + width, top + height))

    return _drawn(cut)


def _inset(share: float) -> Change:
    def lay(image: Image.Image) -> Image.Image:
        ground = Image.radial_gradient("L").resize(image.size).convert("RGB")
        small = _scaled(image, share)
        ground.paste(small, (round(0.55 * (image.width - small.width)), round(0.4 * (image.height - small.height))))
        return ground

    return _drawn(lay)


def _mosaic(cells: int) -> Change:
    return _drawn(lambda image: image.resize((cells, cells), Image.Resampling.BOX).resize(image.size, 0))


def _noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(_SEED).normal(0, 80, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _beside_mirror(image: Image.Image) -> Image.Image:
    half = image.crop((0, 0, image.width // 2, image.height))
    made = Image.new("RGB", (2 * half.width, image.height))
    made.paste(half, (0, 0))
    made.paste(ImageOps.mirror(half), (half.width, 0))
    return made


def _perspective(image: Image.Image) -> Image.Image:
    width, height = image.size
    corners = (0, 0, 0.05 * width, height, 0.95 * width, height, width, 0)
    return image.transform(image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


def _hue(image: Image.Image) -> Image.Image:
    hsv = np.asarray(image.convert("HSV")).copy()
    hsv[..., 0] += 90
    return Image.fromarray(hsv, "HSV").convert("RGB")


def _turned_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encoded(image.rotate(90, expand=True), "JPEG", exif=exif, quality=85)


def _by_profile(image: Image.Image) -> bytes:
    """Store a negative beside a profile whose curves fall, which shows the picture."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    fall = b"curv\0\0\0\0" + struct.pack(">I", 256)
    fall += b"".join(struct.pack(">H", round(65_535 * (1 - n / 255) ** 2.2)) for n in range(256))
    count, place = struct.unpack_from(">I", profile, 128)[0], len(profile)
    profile += fall
    for number in range(count):
        at = 132 + 12 * number
        if profile[at : at + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">II", profile, at + 4, place, len(fall))
    struct.pack_into(">I", profile, 0, len(profile))
    return encoded(ImageOps.invert(image), icc_profile=bytes(profile))


def _by_gamma(image: Image.Image) -> bytes:
    dark = Image.fromarray((255 * (np.asarray(image) / 255) ** 4).round().astype(np.uint8))
    data = encoded(dark)
    body = b"gAMA" + struct.pack(">I", 4 * 45_455)
    return data[:33] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def _later_frame(image: Image.Image) -> bytes:
    first = Image.linear_gradient("L").resize(image.size).convert("RGB")
    return encoded(first, "GIF", save_all=True, append_images=[image])


def _later_page(image: Image.Image) -> bytes:
    first = Image.radial_gradient("L").resize((300, 200)).convert("RGB")
    return encoded(first, "TIFF", save_all=True, append_images=[image])


def _under_transparency(image: Image.Image) -> bytes:
    shown = image.convert("RGBA")
    shown.putalpha(0)
    return encoded(shown)


def _bordered(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, round(0.1 * image.width), "orange")


def _lettered(image: Image.Image) -> Image.Image:
    made = image.copy()
    drawn = ImageDraw.Draw(made)
    for row in range(0, image.height, max(1, image.height // 6)):
        drawn.text((4, row), "a watermark all over it " * 6, fill="white", font_size=max(10, image.height // 18))
    return made


CHANGES: dict[str, Change] = {
    "negative": _drawn(ImageOps.invert),
    "edges only": _drawn(lambda image: image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")),
    "crop of 35% a side": _crop(0.35),
    "crop of half a side": _crop(0.5),
    "inset of a quarter of the side": _inset(0.25),
    "inset of a third": _inset(1 / 3),
    "two levels a channel": _drawn(lambda image: ImageOps.posterize(image, 1)),
    "solarised": _drawn(lambda image: ImageOps.solarize(image, 128)),
    "mosaic of 8 × 8": _mosaic(8),
    "turned by 25°, expanded": _drawn(lambda image: image.rotate(25, expand=True)),
    "turned by 45°, expanded": _drawn(lambda image: image.rotate(45, expand=True)),
    "four colours": _drawn(lambda image: image.quantize(4).convert("RGB")),
    "strong noise": _drawn(_noisy),
    "blur of 8 pixels": _drawn(lambda image: image.filter(ImageFilter.GaussianBlur(8))),
    "half beside its mirror image": _drawn(_beside_mirror),
    "negative undone by an ICC profile": _by_profile,
    "darkness undone by gAMA": _by_gamma,
    "second frame of a GIF": _later_frame,
    "second page of a TIFF": _later_page,
    "under full transparency": _under_transparency,
    "turned by 5°": _drawn(lambda image: image.rotate(5)),
    "border of a tenth": _drawn(_bordered),
    "mirrored, 80% of a side": lambda image: _crop(0.8)(ImageOps.mirror(image)),
    "hue turned": _drawn(_hue),
    "grey": _drawn(lambda image: image.convert("L").convert("RGB")),
    "turned by EXIF": _turned_by_exif,
    "256 colours": _drawn(lambda image: image.quantize(256)),
    "perspective": _drawn(_perspective),
    "half as wide": _drawn(lambda image: image.resize((image.width // 2, image.height))),
    "64 pixels": _drawn(lambda image: _scaled(image, 64 / max(image.size))),
    "watermark": _drawn(_lettered),
    "JPEG of quality 20": lambda image: encoded(image, "JPEG", quality=20),
}

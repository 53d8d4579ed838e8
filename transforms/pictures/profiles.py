"""What a file says of its colours, applied to its pixels as a viewer does that heeds it.

What belongs here: ICC profiles, and `gAMA`, `cHRM` and `cICP` of PNG. What does not: which renderings there are
(`pictures/shown.py`). Hashes and embeddings of the warehouse are of the stored samples, so this is for the guard alone:
a profile can undo a change of the stored pixels.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from transforms.pictures import png

Pixels = npt.NDArray[np.uint8]
_ALIKE = 6  # levels of 256 up to which two renderings are the same to any fingerprint
_ICC = 4_000_000  # bytes of a profile; those of printers have one or two million
_SRGB_GAMMA, _EXPONENT = 2.2, 0.02
_SRGB = (0.3127, 0.329, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # white, red, green, blue: x and y of each
_CHROMATICITY = 0.04  # in x or y, up to which primaries are those of sRGB
_CICP = ({1, 2}, {1, 2, 6, 13})  # primaries and transfers that are those of sRGB, or nearly


class NotApplied(ValueError):
    """What a file says of its colours cannot be applied; the message says what."""


def applied(image: Image.Image, data: bytes, picture: Pixels) -> Pixels | None:
    """Return a picture as it looks by what its file says of its colours, or None if that is as it was.

    Args:
        image: The opened file, for what it says.
        data: The file.
        picture: Its pixels, uint8 of shape (height, width, 3).

    Raises:
        NotApplied: If that cannot be told.
    """
    change = _change(image, data)
    if change is None:
        return None
    shown = change(picture)
    differs = np.abs(shown.astype(np.int16) - picture).max(initial=0) > _ALIKE
    return shown if differs else None


def _change(image: Image.Image, data: bytes) -> Callable[[Pixels], Pixels] | None:
    profile = image.info.get("icc_profile")
    if profile:
        if not isinstance(profile, bytes) or len(profile) > _ICC:
            raise NotApplied("its colour profile is too long")
        return lambda picture: _by_profile(profile, picture, image.mode)
    if not data.startswith(png.SIGNATURE):
        return None
    said = {chunk.kind: chunk.body for chunk in _before_pixels(data)}
    if b"cICP" in said:
        _require_plain_cicp(said[b"cICP"])
        return None
    if b"sRGB" in said:
        return None
    if b"cHRM" in said:
        _require_plain_primaries(image.info.get("chromaticity"))
    gamma: Any = image.info.get("gamma")
    if b"gAMA" in said and not (isinstance(gamma, float) and gamma > 0):
        raise NotApplied("its gAMA chunk states no gamma")
    if b"gAMA" not in said or abs(1 / (gamma * _SRGB_GAMMA) - 1) < _EXPONENT:
        return None
    return lambda picture: _by_gamma(1 / (gamma * _SRGB_GAMMA), picture)


def _before_pixels(data: bytes) -> list[png.Chunk]:
    found = []
    for chunk in png.chunks(data):
        if chunk.kind == b"IDAT":
            break
        found.append(chunk)
    return found


def _by_profile(profile: bytes, picture: Pixels, mode: str) -> Pixels:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        target = ImageCms.createProfile("sRGB")
        if space == "GRAY":
            stored = Image.fromarray(np.ascontiguousarray(picture[:, :, 0]))
            if mode not in ("1", "L", "LA", "I;16", "I;16B", "I"):
                raise NotApplied("its colour profile is one of grey, and the picture is not grey")
            shown = ImageCms.profileToProfile(stored, source, target, outputMode="RGB")
        elif space == "RGB":
            shown = ImageCms.profileToProfile(Image.fromarray(picture), source, target, outputMode="RGB")
        else:  # the inks are not in the picture any more
            raise NotApplied(f"its colour profile is one of {space[:20]}, and is not applied")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        if isinstance(error, NotApplied):
            raise
        raise NotApplied(f"its colour profile cannot be applied: {str(error)[:100]}") from None
    if shown is None:
        raise NotApplied("its colour profile cannot be applied")
    return np.asarray(shown)


def _by_gamma(exponent: float, picture: Pixels) -> Pixels:
    table = (255 * (np.arange(256) / 255) ** exponent).round().clip(0, 255).astype(np.uint8)
    shown: Pixels = table[picture]
    return shown


def _require_plain_primaries(stated: Any) -> None:  # noqa: ANN401 -- as Pillow gives it
    places = tuple(stated) if isinstance(stated, tuple) else ()
    if len(places) != len(_SRGB) or any(
        abs(each - plain) > _CHROMATICITY for each, plain in zip(places, _SRGB, strict=False)
    ):
        raise NotApplied("its primaries (cHRM) are not those of sRGB, and are not applied")


def _require_plain_cicp(body: bytes) -> None:
    if len(body) < 2 or body[0] not in _CICP[0] or body[1] not in _CICP[1]:
        raise NotApplied("its colour space (cICP) is not that of sRGB, and is not applied")

"""Texts within a picture: PNG text chunks, EXIF, comments and XMP, without decoding a pixel.

What belongs here: finding and inflating the texts, within limits. What does not: what they mean
(`generations/dialects.py`).
"""

import html
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PIL import Image

from transforms.pictures import FORMATS
from transforms.pictures.decoder import PILLOW_ERRORS

TEXT_BYTES = 4 << 20  # of one text, inflated; a workflow of ComfyUI takes up to 1 MB
_TEXTS = 64  # of one picture
_ALL = 4 * TEXT_BYTES  # characters of all of them
_PNG = b"\x89PNG\r\n\x1a\n"
_XMP_CHUNK = "XML:com.adobe.xmp"
_IFD, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C
_TAGS = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x9C9C: "XPComment"}
_XMP_TEXTS = ("exif:UserComment", "dc:description", "tiff:ImageDescription")
# What Pillow raises on broken input: as of decoding, a text is then not read
_BROKEN = (*PILLOW_ERRORS, AttributeError, Image.DecompressionBombError)


@dataclass(frozen=True)
class EmbeddedText:
    """A text within a picture.

    Attributes:
        place: `PNG`, `EXIF`, `XMP` or `comment`.
        key: Its keyword, tag or property; empty for a comment.
        text: The text.
    """

    place: str
    key: str
    text: str

    @property
    def name(self) -> str:
        """Its place and key, as a table shows it."""
        return f"{self.place} {self.key}".strip()


def texts(data: bytes) -> list[EmbeddedText]:
    """Return the texts of a picture, at most 64 of TEXT_BYTES each, four times that together; a broken one has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd EXIF and of many pixels, which are not decoded
        found = _png(data) if data.startswith(_PNG) else _other(data)
        return list(islice(_fitting(each for each in found if each.text.strip()), _TEXTS))


def _fitting(found: Iterable[EmbeddedText]) -> Iterator[EmbeddedText]:
    left = _ALL
    for each in found:
        left -= len(each.text)
        if left < 0:
            return
        yield each


def _png(data: bytes) -> Iterator[EmbeddedText]:
    place = len(_PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = memoryview(data)[place + 8 : place + 8 + length]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, text = _chunk(kind, bytes(body[: TEXT_BYTES + 200]))
            if text is not None and key == _XMP_CHUNK:
                yield from _xmp(text)
            elif text is not None:
                yield EmbeddedText("PNG", key, text)
        elif kind == b"eXIf":
            yield from _exif(bytes(body[:TEXT_BYTES]))
        elif kind == b"IEND":
            return
        place += 12 + length


def _chunk(kind: bytes, body: bytes) -> tuple[str, str | None]:
    key, _, rest = body.partition(b"\0")
    name = key.decode("latin-1")
    if kind == b"tEXt":
        return name, _decoded(rest)
    if kind == b"zTXt":
        return name, _inflated(rest[1:])
    packed, rest = rest[:1] == b"\x01", rest[2:]
    _, _, rest = rest.partition(b"\0")  # its language
    _, _, rest = rest.partition(b"\0")  # its keyword in that language
    return name, _inflated(rest) if packed else _decoded(rest)


def _inflated(data: bytes) -> str | None:
    try:
        return _decoded(zlib.decompressobj().decompress(data, TEXT_BYTES))
    except zlib.error:
        return None


def _decoded(data: bytes) -> str:
    """Return text that should be Latin-1 or UTF-8, and often is the other one."""
    try:
        return data[:TEXT_BYTES].decode()
    except UnicodeDecodeError as error:
        cut = error.start >= TEXT_BYTES - 4  # in the middle of a character
        return data[: error.start].decode() if cut else data[:TEXT_BYTES].decode("latin-1")


def _other(data: bytes) -> Iterator[EmbeddedText]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            info = dict(image.info)
    except _BROKEN:
        return
    yield from _exif(_bytes(info.get("exif")))
    for key in ("xmp", "XML:com.adobe.xmp"):
        yield from _xmp(_decoded(_bytes(info.get(key))))
    comment = info.get("comment")
    yield EmbeddedText("comment", "", comment if isinstance(comment, str) else _decoded(_bytes(comment)))


def _bytes(value: object) -> bytes:
    return value[:TEXT_BYTES] if isinstance(value, bytes) else b""


def _exif(data: bytes) -> Iterator[EmbeddedText]:
    if not data:
        return
    exif = Image.Exif()
    try:
        exif.load(data if data.startswith(b"Exif\0\0") else b"Exif\0\0" + data)
        first, more = dict(exif), exif.get_ifd(_IFD)
    except _BROKEN:
        return
    if _USER_COMMENT in more:
        yield EmbeddedText("EXIF", "UserComment", _comment(more[_USER_COMMENT]))
    for tag, name in _TAGS.items():
        if tag in first:
            yield EmbeddedText("EXIF", name, _value(first[tag], wide=name.startswith("XP")))
    if _MAKER_NOTE in more:  # Fooocus notes the language of its comment here
        yield EmbeddedText("EXIF", "MakerNote", _value(more[_MAKER_NOTE], wide=False)[:100])


def _value(value: Any, *, wide: bool) -> str:  # noqa: ANN401 -- any value of a tag
    if isinstance(value, bytes):
        return _wide(value) if wide else _decoded(value.rstrip(b"\0"))
    return value[:TEXT_BYTES] if isinstance(value, str) else ""


def _comment(value: Any) -> str:  # noqa: ANN401 -- any value of a tag
    if not isinstance(value, bytes):
        return _value(value, wide=False)
    kind, text = value[:8], value[8:]
    if kind == b"UNICODE\0":
        return _wide(text)
    known = kind in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8))
    return _decoded((text if known else value).strip(b"\0"))


def _wide(text: bytes) -> str:
    """Return UTF-16 of either order of bytes: programs write it whatever the order of the block's numbers is."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text.decode("utf-16", errors="replace").rstrip("\0")
    high, low = text[0::2].count(0), text[1::2].count(0)
    return text.decode("utf-16-le" if low > high else "utf-16-be", errors="replace").rstrip("\0")


def _xmp(packet: str) -> Iterator[EmbeddedText]:
    """Yield what XMP holds, read without a parser of XML, whose entities can be of any size."""
    for name in _XMP_TEXTS:
        for start in (f"<{name}>", f"<{name} "):
            at = packet.find(start)
            end = packet.find(f"</{name}>", at)
            if at >= 0 and end >= 0:
                inside = packet[packet.find(">", at) + 1 : end]
                yield EmbeddedText("XMP", name, html.unescape(re.sub(r"<[^<>]*>", "", inside)).strip())
        at = packet.find(f'{name}="')
        end = packet.find('"', at + len(name) + 2)
        if at >= 0 and end >= 0:
            yield EmbeddedText("XMP", name, html.unescape(packet[at + len(name) + 2 : end]))

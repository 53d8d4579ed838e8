"""Where a picture's file keeps its metadata: the blocks of each kind, found without decoding a pixel.

What belongs here: JPEG, PNG, WebP, TIFF and GIF; the budget of bytes and parts. What does not: files made of boxes
(`rights/boxes.py`), reading the blocks (`rights/statements.py`).
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from transforms.pictures import exif, jpeg, png

BYTES = 16 << 20
"""Most bytes of metadata that are read of a file, inflated."""
PARTS = 100_000
"""Most parts of a file, such as chunks or boxes, that are looked at."""
_UNREAD = 8  # reasons that are kept
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_JUMBF = b"JP"
_SEGMENTS: Mapping[int, Mapping[bytes, str]] = {  # of a JPEG: how the contents begin, by marker
    0xE1: {jpeg.EXIF: "EXIF", _XMP: "XMP", _MORE_XMP: "XMP"},
    0xEB: {_JUMBF: "C2PA"},
    0xED: {_PHOTOSHOP: "IPTC"},
}
_TAGS = {700: "xmp", 33723: "iptc", 34377: "resources"}  # of a TIFF
_TIFF_MANIFEST = 52545
_PNG_XMP = b"XML:com.adobe.xmp"
_PROFILES = {
    b"xmp": "xmp",
    b"exif": "exif",
    b"APP1": "app1",
    b"app1": "app1",
    b"iptc": "resources",
    b"8bim": "resources",
}
_PROFILE = (
    b"Raw profile type "  # as ImageMagick writes other blocks into a PNG: hexadecimal, below a line of its length
)
_PNG_FIELDS = {b"Author": "creator", b"Copyright": "notice"}

_GIF_XMP, _GIF_C2PA = b"XMP DataXMP", b"C2PA_GIF\1\0\0"
_GIF_TRAILER = b"\1\xff\xfe\xfd"  # how that of a packet begins which lies in the file as it is, not in sub-blocks
_SUB_BLOCKS = 1 << 20  # of a GIF, 267 MB where they are full
_EXTENSION, _IMAGE, _APPLICATION, _COMMENT = 0x21, 0x2C, b"\xff", b"\xfe"
_NOTICE = re.compile(rb"copyright|\xc2?\xa9|\(c\)", re.IGNORECASE)


@dataclass
class MetadataBlocks:
    """The blocks of metadata of one file.

    Attributes:
        xmp: Packets of XMP, the main one first.
        iptc: Records of IPTC.
        resources: Photoshop's resources, which may hold such records.
        exif: Blocks of EXIF, or the TIFF itself.
        texts: Texts of a PNG, and comments of a GIF that are a notice: the field that it states, and the text.
        manifest: Where a C2PA manifest lies, or None.
        unread: Blocks that are not read, and why.
        left: Bytes that may be read still.
    """

    xmp: list[bytes] = field(default_factory=list)
    iptc: list[bytes] = field(default_factory=list)
    resources: list[bytes] = field(default_factory=list)
    exif: list[bytes] = field(default_factory=list)
    texts: list[tuple[str, bytes]] = field(default_factory=list)
    manifest: str | None = None
    unread: list[str] = field(default_factory=list)
    left: int = BYTES

    @property
    def empty(self) -> bool:
        """Whether the file has no metadata that could say something, and none that is not read."""
        blocks = self.xmp or self.iptc or self.resources or self.exif or self.texts
        return not (blocks or self.manifest or self.unread)

    def afford(self, what: str, size: int) -> bool:
        """Return whether a block of a size may be read. One that may not is noted.

        Args:
            what: The kind of the block, in the words of the note.
            size: Its bytes.
        """
        if size <= self.left:
            self.left -= size
            return True
        self.note(f"{what}: {size} bytes are more than the {BYTES} that are read of a file's metadata")
        return False

    def note(self, reason: str) -> None:
        """Note why something is not read."""
        if len(self.unread) < _UNREAD and reason not in self.unread:
            self.unread.append(reason)


def is_manifest(store: bytes | bytearray | memoryview) -> bool:
    """Return whether a box of JUMBF is a C2PA manifest store."""
    return bytes(store[4:8]) == b"jumb" and bytes(store[16:20]) == b"c2pa"


def of_jpeg(data: bytes, found: MetadataBlocks) -> None:
    """Find the blocks of a JPEG, in the segments before its first scan.

    Args:
        data: The file.
        found: Receives them.
    """
    resources: list[bytes] = []
    more: dict[bytes, list[tuple[int, bytes]]] = {}
    for marker, start, end in _bounded(jpeg.spans(data), found):
        head = next((each for each in _SEGMENTS.get(marker, ()) if data.startswith(each, start)), None)
        if head is None:
            continue
        if head == _JUMBF:
            if is_manifest(data[start + 8 : start + 28]):
                found.manifest = "JPEG APP11"
            continue
        if not found.afford(_SEGMENTS[marker][head], end - start):
            continue
        body = data[start + len(head) : end]
        if head == _MORE_XMP and len(body) >= 40:  # the name of all of them, their length, and where this one belongs
            more.setdefault(body[:32], []).append((int.from_bytes(body[36:40]), body[40:]))
        elif head != _MORE_XMP:
            {jpeg.EXIF: found.exif, _XMP: found.xmp, _PHOTOSHOP: resources}[head].append(body)
    if resources:
        found.resources.append(b"".join(resources))
    for name, parts in more.items():
        if any(name in packet for packet in found.xmp[:1]):  # else it is left over from another version of the file
            found.xmp.append(b"".join(part for _, part in sorted(parts)))


def of_png(data: bytes, found: MetadataBlocks) -> None:
    """Find the blocks of a PNG, those behind its pixels too.

    Args:
        data: The file.
        found: Receives them.
    """
    for kind, start, end in _bounded(_chunks(data), found):
        if kind == b"eXIf":
            if found.afford("EXIF", end - start):
                found.exif.append(data[start:end])
        elif kind == b"caBX" and is_manifest(data[start : start + 20]):
            found.manifest = "PNG caBX"
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            key = data[start : min(end, start + 80)].partition(b"\0")[0]
            if key in _PNG_FIELDS and (text := _text(data, kind, start, end, found)) is not None:
                found.texts.append((_PNG_FIELDS[key], text))
            elif key == _PNG_XMP and (text := _text(data, kind, start, end, found)) is not None:
                found.xmp.append(text)
            elif key.startswith(_PROFILE) and key.removeprefix(_PROFILE) in _PROFILES:
                _add_profile(_PROFILES[key.removeprefix(_PROFILE)], _text(data, kind, start, end, found), found)


def of_webp(data: bytes, found: MetadataBlocks) -> None:
    """Find the blocks of a WebP.

    Args:
        data: The file.
        found: Receives them.
    """
    for kind, start, end in _bounded(_riff(data), found):
        if kind == b"EXIF" and found.afford("EXIF", end - start):
            found.exif.append(data[start:end])
        elif kind == b"XMP " and found.afford("XMP", end - start):
            found.xmp.append(data[start:end])
        elif kind == b"C2PA" and is_manifest(data[start : start + 20]):
            found.manifest = "WebP C2PA"


def of_tiff(data: bytes, found: MetadataBlocks) -> None:
    """Find the blocks of a TIFF, which is a block of EXIF itself.

    Args:
        data: The file.
        found: Receives them.
    """
    found.exif.append(data)
    tags = exif.values(data, {*_TAGS, _TIFF_MANIFEST})
    for tag, name in _TAGS.items():
        if tag in tags and found.afford("XMP" if name == "xmp" else "IPTC", len(tags[tag])):
            getattr(found, name).append(bytes(tags[tag]))
    if _TIFF_MANIFEST in tags and is_manifest(tags[_TIFF_MANIFEST]):
        found.manifest = "TIFF 52545"


def of_gif(data: bytes, found: MetadataBlocks) -> None:
    """Find the blocks of a GIF: the extension of XMP, that of C2PA, and comments that are a copyright notice.

    Args:
        data: The file.
        found: Receives them.
    """
    for kind, raw, contents in _bounded(_gif(data, found), found):
        if kind == _GIF_XMP and found.afford("XMP", raw.stop - raw.start):
            packet, mark, _ = data[raw].rpartition(_GIF_TRAILER)
            found.xmp.append(packet if mark else bytes(contents))
        elif kind == _GIF_C2PA and is_manifest(contents):
            found.manifest = "GIF application extension"
        elif kind == _COMMENT and found.afford("GIF comment", len(contents)) and _NOTICE.search(contents):
            found.texts.append(("notice", bytes(contents)))


def _gif(data: bytes, found: MetadataBlocks) -> Iterator[tuple[bytes, slice, bytearray]]:
    """Yield the name of each extension, where its sub-blocks lie, and of those that are read the contents."""
    left = _SUB_BLOCKS
    place = 13 + _colours(data, 10)
    while place < len(data):
        name = b""
        if data[place] == _IMAGE:
            place += 11 + _colours(data, place + 9)
        elif data[place] == _EXTENSION:
            name, place = data[place + 1 : place + 2], place + 2
            if name == _APPLICATION and data[place : place + 1] == b"\x0b":
                name, place = data[place + 1 : place + 12], place + 12
        else:
            return
        start, contents = place, bytearray()
        while place < len(data) and (size := data[place]):
            if name in (_GIF_XMP, _GIF_C2PA, _COMMENT):
                contents += data[place + 1 : place + 1 + size]
            place += 1 + size
            left -= 1
            if not left:
                found.note(f"metadata behind its first {_SUB_BLOCKS} sub-blocks")
                return
        yield name, slice(start, min(place, len(data))), contents
        place += 1


def _colours(data: bytes, place: int) -> int:
    """Return the bytes of the table of colours that a packed field announces."""
    packed = data[place] if place < len(data) else 0
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _bounded[Part](parts: Iterator[Part], found: MetadataBlocks) -> Iterator[Part]:
    yield from islice(parts, PARTS)
    if next(parts, None) is not None:
        found.note(f"metadata behind its first {PARTS} parts")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    place = len(png.SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, place + 8, place + 8 + length
        if kind == b"IEND":
            return
        place += 12 + length


def _riff(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, place + 8, place + 8 + length
        place += 8 + length + length % 2


def _text(data: bytes, kind: bytes, start: int, end: int, found: MetadataBlocks) -> bytes | None:
    """Return the text of a chunk, inflated, or None if it cannot be read or is too long."""
    if not found.afford("PNG text", min(end, len(data)) - start):
        return None
    _, _, rest = data[start:end].partition(b"\0")
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        packed, rest = True, rest[1:]
    else:
        packed = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]  # behind its language, and its keyword in that language
    return _inflated(rest, found) if packed else rest


def _inflated(packed: bytes, found: MetadataBlocks) -> bytes | None:
    inflater, most = zlib.decompressobj(), max(1, found.left // 2)  # so that something is left after one too many
    try:
        text = inflater.decompress(packed, most)
    except zlib.error as error:
        found.note(f"PNG text: {error}")
        return None
    if inflater.unconsumed_tail:
        found.note(f"PNG text: inflated, more than {most} of the {BYTES} bytes that are read of a file's metadata")
    found.left -= len(text)
    return None if inflater.unconsumed_tail else text


def _add_profile(kind: str, text: bytes | None, found: MetadataBlocks) -> None:
    if text is None:
        return
    try:
        block = bytes.fromhex("".join(text.decode("ascii").split("\n", 3)[3:]).replace("\n", ""))
    except ValueError:
        found.note("PNG text: a raw profile that is not hexadecimal")
        return
    if kind == "app1":
        kind = "xmp" if block.startswith(_XMP) else "exif"
    if kind == "resources" and block[:1] == b"\x1c":
        kind = "iptc"
    getattr(found, kind).append(block.removeprefix(_XMP).removeprefix(_PHOTOSHOP))

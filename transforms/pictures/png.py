"""A PNG rebuilt from the chunks that hold its pixels.

What belongs here: which chunks decide what a PNG shows, and whether its pixels are all there. What does not: other
formats (`pictures/containers.py`), decoding (`pictures/decoder.py`).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS, _FRAMES = frozenset({b"IHDR", b"PLTE", b"IDAT", b"tRNS"}), frozenset({b"acTL", b"fcTL", b"fdAT"})
_TURNS = (b"XML:com.adobe.xmp", b"Raw profile type exif")  # texts that state an orientation
_KEPT = 65_536  # bytes of such a text, and, as it is inflated, 16 times as much
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE = 1 << 20
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7


@dataclass(frozen=True)
class Chunk:
    """A chunk of a PNG. `whole`: whether all of it is there and its checksum is right."""

    kind: bytes
    body: bytes
    whole: bool


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG up to its end mark, a cut one last."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if not kind.isalpha():
            return
        body, crc = data[place + 8 : place + 8 + length], data[place + 8 + length : place + 12 + length]
        yield Chunk(kind, body, len(crc) == 4 and int.from_bytes(crc) == zlib.crc32(body, zlib.crc32(kind)))
        if kind == b"IEND":
            return
        place += 12 + length


def rebuilt(data: bytes, max_pixels: int, *, animated: bool) -> bytes | None:
    """Return a PNG with the chunks that decide what it shows, and nothing else.

    Args:
        data: The file.
        max_pixels: Most pixels it may have; they bound how much is inflated.
        animated: Whether the frames of an animation are kept.

    Returns:
        The file, or None if pixels are missing or what describes them is broken.
    """
    kept: list[Chunk] = []
    after: list[Chunk] = []
    stream: list[bytes] = []
    header: bytes | None = None
    for chunk in chunks(data):
        if chunk.kind == b"IHDR" and header is None:
            header = chunk.body if chunk.whole and len(chunk.body) == 13 else None
        if chunk.kind == b"IDAT":
            stream.append(chunk.body)
        elif chunk.kind in (b"IHDR", b"PLTE") and not chunk.whole:
            return None
        elif header and chunk.whole and _decides(chunk, header, animated=animated):
            (after if stream else kept).append(chunk)
    if header is None or not stream or header[9] not in _CHANNELS:
        return None
    width, height = struct.unpack_from(">II", header)
    if width * height > max_pixels:
        return None
    pixels = _whole_stream(stream, expected_bytes(header))
    if pixels is None:
        return None
    return b"".join(
        [
            SIGNATURE,
            *(_written(chunk.kind, chunk.body) for chunk in kept),
            *(_written(b"IDAT", piece) for piece in pixels),
            *(_written(chunk.kind, chunk.body) for chunk in after),
            _written(b"IEND", b""),
        ]
    )


def expected_bytes(header: bytes) -> int:
    """Return the count of bytes that the pixels of a PNG with this IHDR inflate to."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS[colour]
    size = 0
    for x, y, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = max(0, -(-(width - x) // across)), max(0, -(-(height - y) // down))
        size += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return size


def _decides(chunk: Chunk, header: bytes, *, animated: bool) -> bool:
    if chunk.kind in _FRAMES:
        return animated
    if chunk.kind == b"tRNS":  # a value that is cut off is left out, as libpng does
        return len(chunk.body) >= {0: 2, 2: 6, 3: 1}.get(header[9], _PIECE)
    if chunk.kind in (b"tEXt", b"zTXt", b"iTXt"):
        return chunk.body.startswith(_TURNS) and len(chunk.body) <= _KEPT and _inflates_little(chunk)
    return chunk.kind in _PIXELS or chunk.kind == b"eXIf"


def _inflates_little(chunk: Chunk) -> bool:
    if chunk.kind == b"tEXt":
        return True
    name, _, rest = chunk.body.partition(b"\0")
    if chunk.kind == b"iTXt" and rest[:1] != b"\1":
        return True
    packed = rest[1:] if chunk.kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    try:
        inflater = zlib.decompressobj()
        inflater.decompress(packed, 16 * _KEPT)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail and bool(name)


def _whole_stream(stream: list[bytes], expected: int) -> list[bytes] | None:
    """Return the compressed pixels, closed where the end of the stream is cut off, or None if pixels are missing."""
    inflater, closed, count = zlib.decompressobj(), zlib.compressobj(1), 0
    made: list[bytes] = []
    try:
        for part in stream:
            while part and not inflater.eof:
                piece = inflater.decompress(part, _PIECE)
                part = inflater.unconsumed_tail
                count += len(piece)
                if count > expected:  # the checksum is far, and nothing of the rest is a pixel
                    return stream
                made.append(closed.compress(piece))
    except zlib.error:
        return None
    if inflater.eof:
        return stream if count >= expected else None
    return [b"".join([*made, closed.flush()])] if count == expected else None


def _written(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)

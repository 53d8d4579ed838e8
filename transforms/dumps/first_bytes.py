"""What a file is by its first bytes, whatever it is called.

What belongs here: telling pictures from other files, and naming the others. What does not: decoding (`pictures/`).
"""

from transforms.pictures import begins_as_picture

HEAD = 264  # a tar has its mark at byte 257
"""Bytes that are looked at."""
NO_PICTURE = "no picture: its first bytes are of no picture format"
EMPTY = "no picture: an empty file"
_WITHIN = "an archive or parquet within a dump, which is not opened; name it in `images` if it is a dump"
_PARQUET = b"PAR1"
_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive within a dump, which is not opened; unpack it"),
    (b"\x1f\x8b", "a compressed file within a dump, which is not opened; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a compressed file within a dump, which is not opened; unpack it"),
    (b"Rar!", "a RAR archive within a dump, which is not opened; unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive within a dump, which is not opened; unpack it"),
    (b"8BPS", "a Photoshop file, which no training reads"),
    (b"%PDF", "a PDF"),
    (b"<svg", "a vector drawing (SVG)"),
    (b"<?xml", "XML, or a vector drawing (SVG)"),
    (b"<!do", "a web page, not a picture"),
    (b"<htm", "a web page, not a picture"),
    (b"\x1aE\xdf\xa3", "a film, not a picture"),
)
_COMPRESSED = {
    b"\x1f\x8b": "gzip compressed it; decompress it with gunzip",
    b"\x28\xb5\x2f\xfd": "zstd compressed it; decompress it with unzstd",
    b"BZh": "bzip2 compressed it; decompress it with bunzip2",
    b"\xfd7zXZ": "xz compressed it; decompress it with unxz",
    b"\x04\x22\x4d\x18": "lz4 compressed it; decompress it with unlz4",
    b"PK\x03\x04": "it is a ZIP archive; unpack it into a folder and name the folder in `images`",
    b"7z\xbc\xaf": "it is a 7-Zip archive; unpack it into a folder and name the folder in `images`",
    b"Rar!": "it is a RAR archive; unpack it into a folder and name the folder in `images`",
}


def is_picture(head: bytes) -> bool:
    """Return whether a file with these first HEAD bytes is a picture, also one that needs a plug-in to be decoded."""
    if head[:1] in {b"{", b"["}:  # a record, and so are most files that are no pictures
        return False
    if head.startswith(b"BM"):  # so do many words
        return head[6:10] == bytes(4) and begins_as_picture(head)
    return begins_as_picture(head)


def is_archive(head: bytes) -> bool:
    """Return whether a file with these first HEAD bytes is a tar or a parquet."""
    return head.startswith(_PARQUET) or head[257:262] == b"ustar"


def is_compressed(head: bytes) -> bool:
    """Return whether a file with these first HEAD bytes must be decompressed or unpacked to be read."""
    return head.startswith(tuple(_COMPRESSED))


def no_picture(head: bytes) -> str:
    """Return why a file with these first bytes is not taken for a picture."""
    if not head:
        return EMPTY
    if is_archive(head):
        return _WITHIN
    if head[4:8] == b"ftyp" or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return "a film, not a picture"
    return next((why for magic, why in _OTHERS if head.lower().startswith(magic.lower())), NO_PICTURE)


def no_tar(head: bytes) -> str | None:
    """Return what a file is that was taken for a tar, with the fix, or None if its first bytes do not tell."""
    if is_picture(head):
        return "it is a picture; name the folder that holds it in `images`"
    return next((why for magic, why in _COMPRESSED.items() if head.startswith(magic)), None)

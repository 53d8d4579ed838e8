"""Reading what pictures' files say of their use: its cost beside hashing the same files.

The files are a mix: most of what is crawled says nothing, many have XMP or EXIF of another kind, some say all.
"""

import struct
import time
from collections.abc import Callable
from random import Random

from tests import rights_files
from tests.benchmarks import hash as hash_group
from tests.benchmarks.data import RULES
from tests.benchmarks.figures import Figure, Measured, fastest
from transforms.fingerprints.fingerprint import of_pixels
from transforms.hashing.hashes import sha256
from transforms.pictures.renderings import look
from transforms.pictures.rights.statements import read

_SAYING = {
    "creator": "Ann Maker",
    "credit": "An agency",
    "notice": "(c) Ann Maker",
    "terms": "Ask first",
    "web_statement": "https://example.org/rights",
    "license_url": "https://example.org/licence",
    "data_mining": f"{rights_files.VOCABULARY}DMI-PROHIBITED-AIMLTRAINING",
}
_STEP = '<rdf:li xmp:action="saved" xmp:when="2020-01-01T00:00:00" xmp:softwareAgent="An editor" xmp:changed="/"/>'
_HISTORY = f"<xmpMM:History><rdf:Seq>{_STEP * 20}</rdf:Seq></xmpMM:History>"  # of an editor, 3 kB
_END = "</rdf:Description></rdf:RDF>"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", 0xFF00 | marker, len(body) + 2) + body


def _with(data: bytes, packet: bytes, *more: bytes) -> bytes:
    exif = _segment(0xE1, rights_files.exif({}).tobytes())
    return data[:2] + exif + _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet) + b"".join(more) + data[2:]


def _silent(data: bytes) -> bytes:
    return _with(data, rights_files.packet(_HISTORY))


def _saying(data: bytes) -> bytes:
    packet = rights_files.xmp(_SAYING, Random(3)).decode().replace(_END, _HISTORY + _END).encode()  # noqa: S311
    records = rights_files.resources(rights_files.iim({"creator": "Ann Maker", "credit": "An agency"}))
    return _with(data, packet, _segment(0xED, b"Photoshop 3.0\0" + records))


def _cost() -> Measured:
    photos = hash_group.photos()
    kinds: list[Callable[[bytes], bytes]] = [_saying, *[_silent] * 3, *[bytes] * 6]
    files = [kinds[at % len(kinds)](data) for at, data in enumerate(photos)]
    alone = {"silent": [_silent(data) for data in photos], "saying": [_saying(data) for data in photos]}
    best = fastest(
        {
            "hashing": lambda: [(sha256(data), of_pixels(look(data, RULES.bounds).picture, RULES)) for data in files],
            "reading": lambda: [read(data) for data in files],
            "reading files that say nothing": lambda: [read(data) for data in photos],
            "reading files with other metadata": lambda: [read(data) for data in alone["silent"]],
            "reading files that say all": lambda: [read(data) for data in alone["saying"]],
        },
        rounds=9,
        clock=time.process_time,
    )
    hashing, mixed, bare, silent, saying = (each / len(files) for each in best.values())
    parts = {"hashing_us": hashing, "bare_us": bare, "other_metadata_us": silent, "saying_us": saying}
    return Measured(mixed / hashing, {name: 1e6 * each for name, each in parts.items()})


FIGURES = (
    Figure(
        "rights_cost",
        "ratio",
        "<= 0.05",
        "decoding and hashing the same 150 JPEGs at 500 pixels, by processor time, both in one process: six in ten "
        "have no metadata, three EXIF and 3 kB of XMP that say nothing of rights, one EXIF, XMP and IPTC that do",
        _cost,
    ),
)

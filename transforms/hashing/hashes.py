"""Byte hash, pixel hash and perceptual hash of a picture.

What belongs here: computing hashes. What does not: comparing them (`joins/hamming/join.py`), scaling pictures for PDQ
(`hashing/pdq_scaling.py`).

The PDQ library scales a picture to 64 x 64 before it hashes it. That takes 95% of its time and holds the interpreter
lock, so it is done here by the same filter, and the library gets the small picture.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pdqhash

from transforms.pictures import Pixels

PDQ_BYTES = 32
_SIDE = 64


@dataclass(frozen=True)
class Pdq:
    """A PDQ hash as 32 bytes in the reference's bit order, and its quality from 0 to 100.

    Source: Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019.
    """

    bits: npt.NDArray[np.uint8]
    quality: int

    @property
    def hex(self) -> str:
        """64 hexadecimal digits, as other PDQ tools write them."""
        return self.bits.tobytes().hex()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pixel_sha256(picture: Pixels) -> str:
    """Return the SHA-256 of the decoded pixels and their shape: equal for equal pictures in different containers."""
    digest = hashlib.sha256(f"{picture.shape[0]}x{picture.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(picture))
    return digest.hexdigest()


def pdq(picture: Pixels) -> Pdq:
    """Return the PDQ hash of a picture, uint8 of shape (height, width, 3)."""
    bits, quality = pdqhash.compute(small(picture))
    return Pdq(np.packbits(bits), int(quality))


def pdq_turned(picture: Pixels) -> tuple[Pdq, npt.NDArray[np.uint8]]:
    """Return the PDQ hash of a picture, and those of its 8 rotations and reflections, itself first: uint8 (8, 32).

    All are of one transform, so that they cost twice as much as the first alone.
    """
    variants, quality = pdqhash.compute_dihedral(small(picture))
    turns = np.stack([np.packbits(bits) for bits in variants])
    return Pdq(turns[0], int(quality)), turns


def pdq_dihedral(picture: Pixels) -> npt.NDArray[np.uint8]:
    """Return the PDQ hashes of a picture's 8 rotations and reflections, itself first: uint8 of shape (8, 32)."""
    return pdq_turned(picture)[1]


def load() -> None:
    """Load what hashing needs, and compile it where it never was, so that other processes find it compiled."""
    import transforms.hashing.pdq_scaling  # noqa: F401


def from_hex(hashes: list[str]) -> npt.NDArray[np.uint8]:
    """Return hexadecimal PDQ hashes as uint8 of shape (n, 32)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, PDQ_BYTES)


def small(picture: Pixels) -> Pixels:
    """Return the picture that has the same PDQ hashes: scaled by the library's own filter, or itself if it is small."""
    if min(picture.shape[:2]) <= _SIDE:  # the library refuses less than 5 pixels a side and filters nothing up to 128
        return picture
    from transforms.hashing.pdq_scaling import scale  # Numba takes half a second to import

    return scale(np.ascontiguousarray(picture))

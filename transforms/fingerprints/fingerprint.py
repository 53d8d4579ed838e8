"""The fingerprints of pictures: decode and hash, every picture with a status.

What belongs here: turning raw pictures into fact rows. What does not: finding pictures (`dumps/dump.py`,
`generations/`), embedding them (`fingerprints/embeddings.py`), storing rows (Lance tables), interpreting them
(`sql/fingerprints/`). The processes that decode import this: nothing that it does without comes with it.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from transforms.hashing import hashes
from transforms.pictures import Bounds, DecodeError, Look, Pixels, RightsStatement, look

OK, LOW_QUALITY, FAILED = "ok", "low_quality", "failed"


@dataclass(frozen=True)
class Fingerprint:
    """The hashes of one picture. If `status` is failed, `failure` says why, and the rest is None.

    Attributes:
        status: OK, FAILED, or LOW_QUALITY if only the PDQ hash is meaningless, as of a flat picture.
        failure: Why it could not be decoded.
        note: What is odd about the file although its pixels are whole, such as broken metadata.
        sha256: Of its bytes.
        pixel_sha256: Of its pixels, and of all else that it may show: transparency, frames, samples of 16 bits.
        pdq: Its PDQ hash, in hexadecimal.
        pdq_quality: 0 to 100.
        width: In pixels.
        height: In pixels.
        dihedral: PDQ hashes of its 8 rotations and reflections, uint8 of shape (8, 32), if they were requested.
        unsearched: What the file may show that its fingerprints are not of, or None.
        rights: What the file says of its use, as it was read while it was decoded, or None.
    """

    status: str
    failure: str | None = None
    sha256: str | None = None
    pixel_sha256: str | None = None
    pdq: str | None = None
    pdq_quality: int | None = None
    width: int | None = None
    height: int | None = None
    dihedral: npt.NDArray[np.uint8] | None = None
    note: str | None = None
    unsearched: str | None = None
    rights: RightsStatement | None = None

    def row(self) -> dict[str, object]:
        """Return its columns in a fact table."""
        return {name: getattr(self, name) for name in STORED}


DIGESTS = ("sha256", "pixel_sha256", "pdq")
STORED = ("status", "failure", "note", "sha256", "pixel_sha256", "pdq", "pdq_quality", "width", "height")


@dataclass(frozen=True)
class Rules:
    """The rules for pictures.

    Attributes:
        max_pixels: Largest decoded size.
        member_bytes: Largest size as delivered.
        pdq_quality: 0 to 100. Below it a PDQ hash is meaningless.
        max_side: As of `Bounds`; likewise the rest.
        max_aspect: Times that one side may be as long as the other.
        picture_memory: Bytes that decoding may take.
        picture_seconds: Seconds of a processor that decoding may take.
    """

    max_pixels: int
    member_bytes: int
    pdq_quality: int
    max_side: int = Bounds.side
    max_aspect: int = Bounds.aspect
    picture_memory: int = Bounds.memory
    picture_seconds: float = Bounds.seconds

    @property
    def bounds(self) -> Bounds:
        """What a picture may have, and what decoding it may need."""
        return Bounds(self.max_pixels, self.max_side, self.max_aspect, self.picture_memory, self.picture_seconds)

    def status(self, pdq_quality: int) -> str:
        """Return the status of a picture that could be decoded, by the quality of its PDQ hash."""
        return OK if pdq_quality >= self.pdq_quality else LOW_QUALITY


def fingerprint(data: bytes, rules: Rules, *, dihedral: bool = False) -> tuple[Fingerprint, Pixels | None]:
    """Decode and hash one picture. Bad bytes do not raise; the fingerprint then has the reason.

    Args:
        data: Its bytes.
        rules: What it must satisfy.
        dihedral: Whether to hash its rotations and reflections too.

    Returns:
        The fingerprint, and the pixels unless it failed.
    """
    byte_hash = hashes.sha256(data)
    try:
        seen = look(data, rules.bounds)
    except DecodeError as error:
        return Fingerprint(FAILED, str(error)), None
    return replace(of_look(seen, rules, dihedral=dihedral), sha256=byte_hash), seen.picture


def of_look(seen: Look, rules: Rules, *, dihedral: bool = False) -> Fingerprint:
    """Hash what was decoded of a file, but for its bytes.

    Args:
        seen: What was decoded.
        rules: What it must satisfy.
        dihedral: Whether to hash its rotations and reflections too.
    """
    of_picture = of_pixels(seen.picture, rules, dihedral=dihedral)
    pixels = seen.identity or of_picture.pixel_sha256
    return replace(of_picture, pixel_sha256=pixels, note=seen.note, unsearched=seen.unsearched, rights=seen.rights)


def of_pixels(picture: Pixels, rules: Rules, *, dihedral: bool = False) -> Fingerprint:
    """Hash a decoded picture without a file.

    Args:
        picture: Its pixels.
        rules: What it must satisfy.
        dihedral: Whether to hash its rotations and reflections too.
    """
    small = hashes.small(picture)
    pdq, turns = hashes.pdq_turned(small) if dihedral else (hashes.pdq(small), None)
    return Fingerprint(
        status=rules.status(pdq.quality),
        pixel_sha256=hashes.pixel_sha256(picture),
        pdq=pdq.hex,
        pdq_quality=pdq.quality,
        width=picture.shape[1],
        height=picture.shape[0],
        dihedral=turns,
    )

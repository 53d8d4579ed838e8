"""Look-ups of hashes that a client computed: what one is, and reading it.

What belongs here: the fields of a look-up and their form. What does not: searching (`guard/check.py`), HTTP
(`orchestration/guard/service/`).
"""

from collections.abc import Mapping
from typing import Any

from transforms.fingerprints.fingerprint import LOW_QUALITY, OK, Fingerprint
from transforms.hashing.hashes import from_hex

_FIELDS = ("sha256", "pixel_sha256", "pdq", "pdq_quality")
_DIGITS, _TURNS, _QUALITY = 64, 8, 100


class UnreadableLookup(ValueError):
    """A look-up cannot be read; the message says why."""


def fingerprint(fields: Any, least_quality: int) -> Fingerprint:  # noqa: ANN401 -- any value of JSON
    """Return what is to be looked up.

    Args:
        fields: `sha256` of the file, `pixel_sha256`, `pdq` (one hash, or up to 8, of the picture's rotations and
            reflections), `pdq_quality`.
        least_quality: That of a hash that says something.

    Raises:
        UnreadableLookup: If it is none.
    """
    if not isinstance(fields, Mapping) or (unknown := sorted(fields.keys() - {*_FIELDS, "id"})):
        said = "it is no object" if not isinstance(fields, Mapping) else f"it has no field {unknown[0][:60]!r}"
        raise UnreadableLookup(f"{said}; a look-up has {', '.join(_FIELDS)}")
    pdq = fields.get("pdq", [])
    turns = [pdq] if isinstance(pdq, str) else pdq
    digests = {name: _hex(name, fields[name]) for name in ("sha256", "pixel_sha256") if fields.get(name) is not None}
    if not isinstance(turns, list) or len(turns) > _TURNS:
        raise UnreadableLookup(f"pdq is no hash, and no list of up to {_TURNS}")
    if not turns and not digests:
        raise UnreadableLookup("it has no hash to look up")
    quality = fields.get("pdq_quality", _QUALITY)
    if not isinstance(quality, int) or isinstance(quality, bool) or not 0 <= quality <= _QUALITY:
        raise UnreadableLookup(f"pdq_quality is no whole number from 0 to {_QUALITY}")
    hashes = [_hex("pdq", turn) for turn in turns]
    return Fingerprint(
        OK if quality >= least_quality else LOW_QUALITY,
        sha256=digests.get("sha256"),
        pixel_sha256=digests.get("pixel_sha256"),
        pdq=hashes[0] if hashes else None,
        pdq_quality=quality,
        dihedral=from_hex(hashes) if hashes else None,
    )


def _hex(name: str, value: Any) -> str:  # noqa: ANN401 -- any value of JSON
    if not isinstance(value, str) or len(value) != _DIGITS or set(value.lower()) - set("0123456789abcdef"):
        raise UnreadableLookup(f"{name} has not {_DIGITS} hexadecimal digits")
    return value.lower()

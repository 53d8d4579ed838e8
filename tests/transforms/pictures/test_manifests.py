"""C2PA manifests made by the library: valid, signed by an unknown, broken by one byte, or merely present."""

import pytest

from tests.rights_files import FORMATS, packet, written
from transforms.pictures import Bounds, RightsStatement, read_rights
from transforms.pictures.rights.statements import read

pytest.importorskip("c2pa")

from tests.c2pa_files import TRAINED, Authority

_KNOWN, _UNKNOWN = Authority("somebody known"), Authority("somebody else")
_USES = {"cawg.ai_generative_training": "notAllowed", "cawg.data_mining": "allowed"}
_MINING = "cawg.ai_generative_training=notAllowed; cawg.data_mining=allowed"


def _states(data: bytes, anchors: str) -> RightsStatement:
    found = read_rights(data, Bounds(), anchors)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", FORMATS)
def test_a_manifest_is_valid_untrusted_broken_or_merely_present(kind: str) -> None:
    plain = written(kind, packet("<photoshop:Credit>C</photoshop:Credit>"))
    mime = f"image/{kind.lower()}"
    valid = _states(_KNOWN.signed(plain, mime, _USES), _KNOWN.anchor)
    assert (valid.c2pa, valid.c2pa_mining, valid.digital_source_type) == ("valid", _MINING, TRAINED)
    assert (valid.credit, valid.unread, valid.stated_in) == ("C", None, ("XMP", "C2PA"))
    stranger = _UNKNOWN.signed(plain, mime, _USES)
    assert _states(stranger, _KNOWN.anchor).c2pa == _states(stranger, "").c2pa == "untrusted"
    assert _states(stranger, _KNOWN.anchor).c2pa_mining == _MINING
    place = stranger.index(b"notAllowed")
    for at in (place, len(stranger) - 9):
        changed = stranger[:at] + bytes([stranger[at] ^ 0x55]) + stranger[at + 1 :]
        assert _states(changed, _UNKNOWN.anchor).c2pa == "broken"
    present = read(stranger)
    assert present is not None and (present.c2pa, present.c2pa_mining) == ("present", None)
    places = {"JPEG": "JPEG APP11", "PNG": "PNG caBX", "WEBP": "WebP C2PA", "TIFF": "TIFF 52545"}
    places |= {"GIF": "GIF application extension", "AVIF": "a box uuid"}
    assert present.c2pa_place == places[kind]


def test_a_manifest_that_is_none_is_broken_and_says_why() -> None:
    store = _UNKNOWN.signed(written("PNG"), "image/png", _USES)
    place = store.index(b"caBX")
    emptied = store[: place + 40] + bytes(60) + store[place + 100 :]
    found = _states(emptied, "")
    assert found.c2pa == "broken" and found.unread is not None and found.unread.startswith("C2PA: ")

"""C2PA manifests, verified by the library of the extra `c2pa`.

What belongs here: the state of a manifest, and what it says of training and of how the picture came to be. What does
not: finding one (`rights/blocks.py`). Nothing is fetched: neither a manifest elsewhere, nor news of certificates.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from transforms.pictures.rights.statements import LONGEST, PLACES, PRESENT, RightsStatement
from transforms.readable import bare, first_line

_STATES = {"Trusted": "valid", "Valid": "untrusted", "Invalid": "broken"}
_MINING, _ACTIONS = ("cawg.training-mining", "c2pa.training-mining"), ("c2pa.actions",)
_ENTRIES = 32  # that are read of an assertion
_WORD = 80  # characters of a use and of what is allowed


def is_installed() -> bool:
    """Return whether the library is installed."""
    return find_spec("c2pa") is not None


def verified(data: bytes, said: RightsStatement, anchors: str) -> RightsStatement:
    """Return what a file says, with the state of its manifest and what that says.

    Args:
        data: The file.
        said: What it says, a manifest that is present among it; any other is returned as it is.
        anchors: Certificates of those who vouch for signers, PEM. Empty: whoever signed is unknown.
    """
    if said.c2pa != PRESENT:
        return said
    import c2pa  # of an extra, and 40 MB

    settings: dict[str, Any] = {"verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}}
    if anchors:
        settings["trust"] = {"trust_anchors": anchors}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(None, io.BytesIO(data), context=context) as reader,
        ):
            state = str(reader.get_validation_state())
            manifest = reader.get_active_manifest() or {}
    except (c2pa.C2paError, ValueError) as error:
        unread = "; ".join(filter(None, (said.unread, f"C2PA: {first_line(error)}")))
        return replace(said, c2pa="broken", unread=bare(unread, LONGEST))
    mining = "; ".join(_mining(manifest))
    return replace(
        said,
        c2pa=_STATES.get(state, "broken"),
        c2pa_mining=bare(mining, LONGEST) or None,
        digital_source_type=said.digital_source_type or _source_type(manifest),
        stated_in=tuple(place for place in PLACES if place in {*said.stated_in, "C2PA"}),
    )


def _assertions(manifest: Mapping[str, Any], labels: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    for each in manifest.get("assertions", ())[:1_000]:
        if str(each.get("label")).startswith(labels) and isinstance(each.get("data"), dict):
            yield each["data"]


def _mining(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is said of each use: `cawg.ai_training=notAllowed`."""
    for data in _assertions(manifest, _MINING):
        entries = data.get("entries")
        for use, entry in list(entries.items())[:_ENTRIES] if isinstance(entries, dict) else ():
            allowed = entry.get("use") if isinstance(entry, dict) else entry
            yield f"{bare(str(use), _WORD)}={bare(str(allowed), _WORD)}"


def _source_type(manifest: Mapping[str, Any]) -> str | None:
    for data in _assertions(manifest, _ACTIONS):
        actions = data.get("actions")
        for action in actions[:_ENTRIES] if isinstance(actions, list) else ():
            if isinstance(action, dict) and isinstance(action.get("digitalSourceType"), str):
                return bare(action["digitalSourceType"], LONGEST) or None
    return None

"""What every page is made with: one look, one way of escaping, one policy, and data that a page loads from a folder.

What belongs here: rendering a template with the shared style, its filters, and how data is written for scripts. What
does not: text, numbers and shares as people read them (`readable.py`), what a page says (`reports/duplicate_report.py`,
`reports/provenance_report.py`, `reports/case_page.py`).

Pages show text that strangers wrote, so these rules hold. Jinja2 escapes every value, and scripts set text, never
markup. Characters that change how their neighbours read (bidirectional overrides, controls) are printed by name. Only
http and https become links. A Content-Security-Policy admits the page's own style and script by hash, `data:` pictures,
and nothing from any network; a page that loads data admits what its own script asks for (`strict-dynamic`), and where
the browser knows Trusted Types that can only be a file of its data folder. Pages must work from a folder on disk, where
`fetch` is refused: data lies in small scripts, each one call with one JSON value.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from transforms.readable import count, legible, percent

VERDICTS = {
    "exact": "the same bytes or pixels as a training picture",
    "copy": "a whole training picture, confirmed by aligned pixels",
    "partial_copy": "a region of a training picture, confirmed by aligned pixels",
    "similar": "close to a training picture, not confirmed by pixels",
    "no_match_found": "nothing found among the training rows that were searched",
    "not_searched": "the generation could not be read, so nothing was searched for it",
}
"""The words of a verdict, strongest first, with what each one says."""

FINGERPRINTS = {
    "sha256": "finds equal files",
    "pdq": "a perceptual hash: finds a picture that was re-encoded, resized or slightly changed",
    "sscd": "an embedding for copies: finds pictures that were cropped, edited or pasted into others",
    "sscd_distilled": "an embedding for copies: finds pictures that were cropped, edited or pasted into others",
    "open_clip": "an embedding of what a picture shows; kept, and no count or verdict rests on it",
}
"""What each fingerprint finds, by its name up to the first colon."""

# The host is letters, digits, dots and the like, at once after the slashes: "https://bank.example@evil.example" and
# signs that look like a slash or a dot read as another host than they lead to.
_LINK = re.compile(r"https?://[\w.:\[\]-]+([/?#][^\s\\\x00-\x20\"'<>]*)?", re.IGNORECASE)
_LONGEST_LINK = 2_000  # characters; browsers and servers refuse longer ones, and pages hold thousands
_STYLE = "pages.css"


def render(template: str, scripts: Sequence[str], data: object = None, *, loads: bool = False, **values: object) -> str:
    """Render a template as one HTML page.

    scripts: files beside the template, joined into the page's one script. data: any JSON value for them. loads: whether
    they load files of the data folder.
    """
    made = _environment()
    source = "\n".join(['"use strict";', *(_source(made, name) for name in scripts)])
    return made.get_template(template).render(
        style=Markup(_source(made, _STYLE)),  # noqa: S704 -- our own
        script=Markup(source) if scripts else None,  # noqa: S704 -- our own
        data=None if data is None else Markup(_json(data)),  # noqa: S704 -- without <, > and &
        loads=loads,
        meanings=VERDICTS,
        finds=FINGERPRINTS,
        **values,
    )


def data_file(name: str, value: object) -> str:
    """Return a script that delivers a JSON value under a name to the page that loads it.

    ASCII, and nothing in it ends a script element. Keys are the caller's own words, never strangers'. Raises ValueError
    for a number that is none.
    """
    return f"deliver({_json(name)},{_json(value)});\n"


def link(url: str | None) -> str | None:
    """Return the URL if following it can only open a web page, and it reads as it leads, else None."""
    if url is None or len(url) > _LONGEST_LINK or not _LINK.fullmatch(url) or legible(url) != url:
        return None
    return url


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("transforms.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": count,
        "csp_hash": _csp_hash,
        "legible": legible,
        "link": link,
        "percent": percent,
        "range": _range,
        "verdict": lambda verdict: verdict.replace("_", " "),
    }
    return made


def _source(made: jinja2.Environment, name: str) -> str:
    loader: Any = made.loader
    return loader.get_source(made, name)[0].strip()


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _csp_hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _range(band: str) -> str:
    return legible(re.sub(r"\d+", lambda number: f"{int(number[0]):,}", band.replace("-", "–")))

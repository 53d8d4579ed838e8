"""The shared parts of all pages: look, escaping, security policy, and data that a page loads from a folder.

What belongs here: rendering a template with the shared style and filters, and encoding data for scripts. What does not:
text, numbers and shares as people read them (`readable.py`), what a page says (`reports/duplicate_report.py`,
`reports/provenance_report.py`, `reports/case_page.py`).

Pages show text that strangers wrote, so these rules hold:

- Jinja2 escapes every value, and scripts set text, never markup.
- Characters that change how their neighbours read (bidirectional overrides, controls) are printed by name.
- Only http and https URLs become links.
- A Content-Security-Policy admits the page's own style and script by hash and `data:` pictures, and nothing from any
  network. A page that loads data admits what its own script asks for (`strict-dynamic`). In a browser with Trusted
  Types that can only be a file of its data folder.
- The page of the desk asks its own server, and nobody else.
- All others work from a folder on disk, where browsers refuse `fetch`. Data is therefore in small scripts, each one
  call with one JSON value.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from transforms.readable import count, legible, percent

VERDICTS = {
    "exact": "the same bytes or pixels as a training picture",
    "copy": "a whole training picture, confirmed by aligned pixels",
    "partial_copy": "a region of a training picture, confirmed by aligned pixels",
    "altered_copy": "a training picture or a region of it, moved, recoloured, relit or covered; confirmed by structure",
    "similar": "close to a training picture, not confirmed",
    "no_match_found": "nothing found among the training rows that were searched",
    "not_searched": "the generation could not be read, so nothing was searched for it",
}
"""The words of a verdict with their meanings, strongest first."""

CONFIRMED = ("exact", "copy", "partial_copy", "altered_copy")
"""The verdicts that a report counts as confirmed copies."""

FINGERPRINTS = {
    "sha256": "finds equal files",
    "pdq": "a perceptual hash: finds a picture that was re-encoded, resized or slightly changed",
    "sscd": "an embedding for copies: finds pictures that were cropped, edited or pasted into others",
    "sscd_distilled": "an embedding for copies: finds pictures that were cropped, edited or pasted into others",
    "open_clip": "an embedding of what a picture shows; kept, and no count or verdict rests on it",
}
"""What each fingerprint finds, by the fingerprint's name up to the first colon."""

GLOSSARY = (
    ("pair", "two different pictures that a test brought together"),
    ("cluster", "training rows that show copies of one picture; one of them stands for it"),
    ("case", "a generated image and a training picture that it likely comes from"),
    (
        "perceptual hash",
        "what a picture looks like: nearly identical where it was re-encoded or resized, different after a crop",
    ),
    (
        "exact, copy, partial copy",
        "equal files or pixels; a whole picture, or a region, confirmed by aligned pixels",
    ),
    ("altered copy", "moved, recoloured, relit or covered; confirmed by structure where aligned pixels refuse"),
    ("similar", "close in embedding and not confirmed: a lead, not a finding"),
    ("embedding, cosine", "numbers that say what a picture shows; a cosine of 1 is the same, 0 unrelated"),
    ("aligned pixels", "the pictures laid over each other and compared point by point"),
    ("p-value", "how often a picture that was never trained on would look this close by chance"),
    ("sampled", "drawn at random, so that the answers say how often the warehouse is right"),
    ("recalled", "withdrawn by an opt-out list, or by what the picture's file says"),
)
"""The words of the reports and of the desk."""

# The host follows the slashes at once and holds only letters, digits, dots and the like. Otherwise a URL such as
# "https://bank.example@evil.example", or one with a sign that looks like a slash, reads as another host.
_LINK = re.compile(r"https?://[\w.:\[\]-]+([/?#][^\s\\\x00-\x20\"'<>]*)?", re.IGNORECASE)
_LONGEST_LINK = 2_000  # characters; browsers and servers refuse longer ones, and pages hold thousands
_STYLE = "pages.css"


def render(
    template: str,
    scripts: Sequence[str],
    data: object = None,
    *,
    loads: bool = False,
    served: bool = False,
    **values: object,
) -> str:
    """Render a template as one HTML page.

    Args:
        template: File name of the template.
        scripts: Files beside the template, joined into the page's one script.
        data: a JSON value for the scripts.
        loads: Whether the scripts load files of the data folder.
        served: Whether a server of its own answers what the page asks for.
        values: Values for the template.
    """
    environment = _environment()
    source = "\n".join(['"use strict";', *(_source(environment, name) for name in scripts)])
    return environment.get_template(template).render(
        style=Markup(_source(environment, _STYLE)),  # noqa: S704 -- our own
        script=Markup(source) if scripts else None,  # noqa: S704 -- our own
        data=None if data is None else Markup(_json(data)),  # noqa: S704 -- without <, > and &
        loads=loads,
        served=served,
        meanings=VERDICTS,
        confirmed_kinds=CONFIRMED,
        finds=FINGERPRINTS,
        **values,
    )


def data_file(name: str, value: object) -> str:
    """Return a script that delivers a JSON value to the page that loads it.

    The script is ASCII, and nothing in it ends a script element.

    Args:
        name: The name under which the page asks for the value.
        value: The value; its keys are never text from outside.

    Raises:
        ValueError: If the value holds a number that JSON cannot express.
    """
    return f"deliver({_json(name)},{_json(value)});\n"


def list_file(name: str, items: Iterable[str]) -> str:
    """Return what `data_file` returns of a list, with a line for each of its values.

    Args:
        name: The name under which the page asks for the list.
        items: The values, each as `item` returns it.
    """
    lines = ",\n".join(items)
    return f"deliver({_json(name)},[\n{lines}\n]);\n"


def item(value: object) -> str:
    """Return a JSON value as the line of a `list_file`. Raises as `data_file`."""
    return _json(value)


def link(url: str | None) -> str | None:
    """Return the URL if it can only open a web page, and opens the page that it seems to; else None."""
    if url is None or len(url) > _LONGEST_LINK or not _LINK.fullmatch(url) or legible(url) != url:
        return None
    return url


@cache  # compiling the templates takes longer than filling them for a small warehouse
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("transforms.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "csp_hash": _csp_hash,
        "legible": legible,
        "link": link,
        "percent": percent,
        "range": _range,
        "verdict": lambda verdict: verdict.replace("_", " "),
    }
    environment.globals["glossary"] = GLOSSARY
    return environment


def _source(environment: jinja2.Environment, name: str) -> str:
    loader: Any = environment.loader
    return loader.get_source(environment, name)[0].strip()


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _csp_hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _range(band: str) -> str:
    return legible(re.sub(r"\d+", lambda number: f"{int(number[0]):,}", band.replace("-", "–")))

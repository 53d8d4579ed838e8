"""The domain that somebody registered, of each host: `example.co.uk` of `img7.photos.example.co.uk`.

What belongs here: reading hosts by the Public Suffix List, as it was when the installed `publicsuffixlist` was made.
What does not: counting by domain (`sql/queries/disclosures/`). Nothing is asked of a network.

Domains are written in ASCII, as servers are asked for them: one with letters of another script cannot pass for another.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from publicsuffixlist import PublicSuffixList

_PACKAGE = "publicsuffixlist"
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}|\[.*")  # hosts of URLs are cut at their first colon

_KEPT = set("ßς\u200c\u200d")
"""Letters that names of today keep, and that Python's codec, of the IDNA of 2003, replaces by others."""


def snapshot() -> str:
    """Return which release of the Public Suffix List is read, by the package that holds it; its end is a date."""
    return f"{_PACKAGE} {version(_PACKAGE)}"


def registrable_domains(hosts: Iterable[str]) -> list[str]:
    """Return the registrable domain of each host, in order.

    A host without one stands for itself: an IP address, a public suffix such as `github.io`, a single word.

    Args:
        hosts: In lower case, without port.
    """
    return [_domain(host) for host in hosts]


def _domain(host: str) -> str:
    host = host.rstrip(".")
    if _ADDRESS.fullmatch(host):
        return host
    if not host.isascii():
        try:
            host = ".".join(map(_label, host.split(".")))
        except UnicodeError:
            return host  # no name that a server could have
    return _suffixes().privatesuffix(host) or host


def _label(text: str) -> str:
    """Return a part of a name in ASCII. Raises UnicodeError for one that no server can have."""
    if _KEPT.isdisjoint(text):
        return text.encode("idna").decode("ascii")
    return f"xn--{text.encode('punycode').decode('ascii')}"


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()

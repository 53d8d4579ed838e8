"""XMP: properties of rights in a packet of RDF, read as it streams by.

What belongs here: which properties count, and where in a packet they must stand to be of this picture. What does not:
finding the packet (`rights/blocks.py`).

A packet is XML by anybody, so document types and entities are refused, and nothing is kept of it but the values that
are asked for. Only properties of the picture itself count: what stands within another, such as the history or an
ingredient, is of another picture.
"""

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from transforms.readable import first_line

# Namespaces as the parser writes them before a name.
_DC, _RDF = "http://purl.org/dc/elements/1.1/}", "http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PHOTOSHOP, _XMP_RIGHTS = "http://ns.adobe.com/photoshop/1.0/}", "http://ns.adobe.com/xap/1.0/rights/}"
_PLUS, _TIFF = "http://ns.useplus.org/ldf/xmp/1.0/}", "http://ns.adobe.com/tiff/1.0/}"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
# Each property by the field that it states. Of several, the first counts.
_PROPERTIES = {
    f"{_DC}creator": ("creator", 0),
    f"{_TIFF}Artist": ("creator", 2),
    f"{_PHOTOSHOP}Credit": ("credit", 0),
    f"{_DC}rights": ("notice", 0),
    f"{_TIFF}Copyright": ("notice", 1),
    f"{_XMP_RIGHTS}UsageTerms": ("terms", 0),
    f"{_PLUS}OtherConstraints": ("constraints", 0),
    "http://creativecommons.org/ns#}license": ("license_url", 0),
    f"{_XMP_RIGHTS}WebStatement": ("web_statement", 0),
    f"{_PLUS}DataMining": ("data_mining", 0),
    f"{_IPTC_EXT}DigitalSourceType": ("digital_source_type", 0),
    "http://purl.org/dc/terms/}provenance": ("provenance", 0),
}
_PARTS = {  # likewise, but of the parts of a structure
    f"{_PLUS}ImageCreator": {f"{_PLUS}ImageCreatorName": ("creator", 1)},
    f"{_PLUS}Licensor": {f"{_PLUS}LicensorURL": ("license_url", 1)},
}
_NAMES = tuple(
    f":{name.rpartition('}')[2]}".encode()
    for name in (*_PROPERTIES, *(part for parts in _PARTS.values() for part in parts))
)
_PROHIBITED = re.compile(rb"DMI-PROHIBITED[A-Z-]*")
_LANGUAGE = "http://www.w3.org/XML/1998/namespace}lang"
_RDF_ROOT, _DESCRIPTION, _RESOURCE = f"{_RDF}RDF", f"{_RDF}Description", f"{_RDF}resource"
_VALUE, _SINGLE = f"{_RDF}value", (f"{_RDF}li", f"{_RDF}value")
_ELEMENTS, _DEPTH = 50_000, 64
_VALUES, _CHARACTERS = 16, 4_000  # of a property, and of a value
type Value = tuple[str, bool]  # and whether it is the one for any language


_NONE: Mapping[str, tuple[str, int]] = {}


class _Excess(ValueError):
    """A packet has more than is read."""


def properties(packet: bytes) -> tuple[Mapping[str, list[str]], str | None]:
    """Return what a packet states, by field, and why not all of it could be read, or None.

    Args:
        packet: XML in UTF-8 or UTF-16. Broken bytes of UTF-8 are read as U+FFFD.
    """
    wide = b"\0" in packet[:4]
    if not wide and b"xmlns=" not in packet and not any(name in packet for name in _NAMES):
        return {}, None  # as most packets: it is not parsed
    text = packet.rstrip(b"\0") if not wide else packet
    found, failure = _read(text.strip() if not wide else text)
    if failure is not None and not wide and (repaired := text.decode(errors="replace").encode()) != text:
        found, failure = _read(repaired.strip())
    if failure is not None and "data_mining" not in found and (value := _PROHIBITED.search(packet)):
        found = {**found, "data_mining": [value[0].decode()]}  # who says no is heard, however badly it is written
    return found, failure


def _read(packet: bytes) -> tuple[Mapping[str, list[str]], str | None]:
    target = _Properties()
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    # past its own, which build names and mappings that are not needed, in twice the time
    parser.parser.StartElementHandler, parser.parser.EndElementHandler = target.start, target.end
    try:
        parser.feed(packet)
        parser.close()
    except DefusedXmlException:
        return target.stated(), "it has a document type, which is refused"
    except _Excess as error:
        return target.stated(), str(error)
    except ParseError as error:
        return target.stated(), f"not well-formed: {first_line(error)}"
    except (ValueError, LookupError) as error:  # an encoding that is none
        return target.stated(), first_line(error)
    return target.stated(), None


def _attribute(attributes: Sequence[str], name: str) -> str:
    """Return the value of an attribute; empty where there is none."""
    return attributes[attributes.index(name) + 1] if name in attributes[::2] else ""


class _Properties:
    """The target of a parser: keeps the values of properties, and nothing else."""

    def __init__(self) -> None:
        self._depth = self._elements = 0
        self._rdf: int | None = None  # the depth of the RDF that describes the picture
        self._parts: Mapping[str, tuple[str, int]] = {}  # of the structure that is open
        self._open: tuple[tuple[str, int], int] | None = None  # the property that is open, and its depth
        self._text: list[str] | None = None
        self._length = 0
        self._any_language = self._nested = False
        self._found: dict[tuple[str, int], list[Value]] = {}

    def start(self, tag: str, attributes: Sequence[str]) -> None:
        """Begin an element.

        Args:
            tag: Its name, after its namespace.
            attributes: Names and values of its attributes, in turn.
        """
        self._depth += 1
        self._elements += 1 + len(attributes) // 2
        if self._elements > _ELEMENTS or self._depth > _DEPTH:
            raise _Excess(f"more than {_ELEMENTS} elements, or {_DEPTH} within each other")
        if self._rdf is None:
            if tag == _RDF_ROOT:
                self._rdf = self._depth
            return
        below = self._depth - self._rdf
        if self._open is not None:
            self._within(tag, attributes)
        elif below == 1 and tag == _DESCRIPTION:
            self._attributes(_PROPERTIES, attributes)
        elif below == 2:
            self._parts = _PARTS.get(tag, _NONE)
            self._attributes(self._parts, attributes)
            if tag in _PROPERTIES:
                self._begin(_PROPERTIES[tag], attributes)
        elif below > 2 and self._parts:
            self._attributes(self._parts, attributes)
            if tag in self._parts:
                self._begin(self._parts[tag], attributes)

    def data(self, text: str) -> None:
        """Add text to the value that is open, if one is."""
        if self._text is not None and self._length < _CHARACTERS:
            self._text.append(text[: _CHARACTERS - self._length])
            self._length += len(text)

    def end(self, tag: str) -> None:
        """End an element."""
        if self._open is not None:
            what, depth = self._open
            if depth == self._depth:
                if not self._nested:
                    self._keep(what)
                self._open = self._text = None
            elif tag in _SINGLE:
                self._keep(what)
        if self._depth == self._rdf:
            self._rdf = None
        self._depth -= 1

    def close(self) -> None:
        """End the packet."""

    def stated(self) -> Mapping[str, list[str]]:
        """Return the values of each field: of its first property that has any, and of that the one for any language."""
        found: dict[str, list[str]] = {}
        for (field, _), values in sorted(self._found.items(), key=lambda each: each[0][1]):
            general = [value for value, any_language in values if any_language]
            found.setdefault(field, general or [value for value, _ in values])
        return found

    def _attributes(self, known: Mapping[str, tuple[str, int]], attributes: Sequence[str]) -> None:
        for at in range(0, len(attributes) if known else 0, 2):
            if attributes[at] in known:
                self._add(known[attributes[at]], attributes[at + 1], any_language=False)

    def _begin(self, what: tuple[str, int], attributes: Sequence[str]) -> None:
        self._open, self._nested = (what, self._depth), False
        self._expect(attributes)
        if resource := _attribute(attributes, _RESOURCE):
            self._add(what, resource, any_language=False)

    def _within(self, tag: str, attributes: Sequence[str]) -> None:
        """Begin a value of the property that is open: of a list, of a language, or beside qualifiers."""
        self._nested = True
        if tag in _SINGLE:
            self._expect(attributes)
        else:
            self._text = None
        resource = _attribute(attributes, _RESOURCE) or _attribute(attributes, _VALUE)
        if self._open and resource:
            self._add(self._open[0], resource, any_language=False)

    def _expect(self, attributes: Sequence[str]) -> None:
        self._text, self._length = [], 0
        self._any_language = _attribute(attributes, _LANGUAGE).lower() == "x-default"

    def _keep(self, what: tuple[str, int]) -> None:
        if self._text is not None:
            self._add(what, "".join(self._text), any_language=self._any_language)
        self._text = None

    def _add(self, what: tuple[str, int], value: str, *, any_language: bool) -> None:
        values = self._found.setdefault(what, [])
        if value.strip() and len(values) < _VALUES:
            values.append((value.strip()[:_CHARACTERS], any_language))
        elif not values:
            del self._found[what]

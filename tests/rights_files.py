"""Files that say something of their creator and their use, written by code, and what each of them says.

What belongs here: writing every signal into every format, in each of the forms that programs write. What does not:
reading them (`transforms/pictures/rights/`).
"""

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image, PngImagePlugin

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF")
VOCABULARY = "http://ns.useplus.org/ldf/vocab/"
MINING = (
    *(
        "DMI-ALLOWED",
        "DMI-UNSPECIFIED",
        "DMI-PROHIBITED",
        "DMI-PROHIBITED-AIMLTRAINING",
        "DMI-PROHIBITED-GENAIMLTRAINING",
    ),
    *("DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING", "DMI-PROHIBITED-SEECONSTRAINT"),
    "DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR",
)
SOURCE_TYPES = tuple(
    f"http://cv.iptc.org/newscodes/digitalsourcetype/{name}"
    for name in ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "digitalCapture")
)
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "cc": "http://creativecommons.org/ns#",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
_SIMPLE = {  # properties whose value is one text, by field
    "credit": "photoshop:Credit",
    "constraints": "plus:OtherConstraints",
    "web_statement": "xmpRights:WebStatement",
    "data_mining": "plus:DataMining",
    "digital_source_type": "Iptc4xmpExt:DigitalSourceType",
}
_LANGUAGES = {"notice": "dc:rights", "terms": "xmpRights:UsageTerms"}
# Of another picture, or of nobody: none of it may be taken for a statement of this one.
NOISE = (
    "<xmp:CreatorTool>GIMP creator rights DataMining</xmp:CreatorTool>"
    "<xmpMM:Ingredients><rdf:Bag><rdf:li><rdf:Description><plus:DataMining>DMI-PROHIBITED</plus:DataMining>"
    "<dc:creator><rdf:Seq><rdf:li>somebody else</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:li></rdf:Bag>"
    "</xmpMM:Ingredients>"
)


@dataclass(frozen=True)
class Said:
    """A file, and what it says by field; `stated_in` holds the kinds of metadata."""

    name: str
    data: bytes
    fields: Mapping[str, str]
    stated_in: Sequence[str]


def packet(inside: str, attributes: str = "", encoding: str = "utf-8") -> bytes:
    """Return a packet of XMP with these properties."""
    spaces = " ".join(f'xmlns:{name}="{address}"' for name, address in _NAMESPACES.items())
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {_RDF}><rdf:Description rdf:about="" {spaces} {attributes}>{inside}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    )
    return text.encode(encoding)


def xmp(fields: Mapping[str, str], random: Random) -> bytes:
    """Return a packet that states fields, each in one of the forms that programs write."""
    inside, attributes = [NOISE] if random.random() < 0.5 else [], []
    for field, value in fields.items():
        text = escape(value)
        if name := _SIMPLE.get(field):
            form = random.randrange(4)
            if form == 0:
                attributes.append(f"{name}={quoteattr(value)}")
            elif form == 1:
                inside.append(f"<{name}>{text}</{name}>")
            elif form == 2:
                inside.append(f"<{name} rdf:parseType='Resource'><rdf:value>{text}</rdf:value></{name}>")
            else:
                inside.append(f"<{name} rdf:resource={quoteattr(value)}/>")
        elif name := _LANGUAGES.get(field):
            other = "<rdf:li xml:lang='de'>anders</rdf:li>" if random.random() < 0.5 else ""
            inside.append(f"<{name}><rdf:Alt>{other}<rdf:li xml:lang='x-default'>{text}</rdf:li></rdf:Alt></{name}>")
        elif field == "creator":
            if random.random() < 0.7:
                names = "".join(f"<rdf:li>{escape(each)}</rdf:li>" for each in value.split("; "))
                inside.append(f"<dc:creator><rdf:Seq>{names}</rdf:Seq></dc:creator>")
            else:
                named = (f"<plus:ImageCreatorName>{escape(each)}</plus:ImageCreatorName>" for each in value.split("; "))
                names = "".join(f"<rdf:li rdf:parseType='Resource'>{each}</rdf:li>" for each in named)
                inside.append(f"<plus:ImageCreator><rdf:Seq>{names}</rdf:Seq></plus:ImageCreator>")
        elif random.random() < 0.5:
            inside.append(f"<cc:license rdf:resource={quoteattr(value)}/>")
        else:
            inside.append(
                f"<plus:Licensor><rdf:Seq><rdf:li plus:LicensorURL={quoteattr(value)}/></rdf:Seq></plus:Licensor>"
            )
    return packet("".join(inside), " ".join(attributes))


def iim(fields: Mapping[str, str]) -> bytes:
    """Return records of IPTC-IIM that state fields."""
    numbers = {"creator": 80, "credit": 110, "notice": 116}
    written = [b"\x1c\x01\x5a\x00\x03\x1b%G", b"\x1c\x02\x00\x00\x02\x00\x04"]
    for field, value in fields.items():
        for each in value.split("; ") if field == "creator" else [value]:
            written.append(struct.pack(">BBBH", 0x1C, 2, numbers[field], len(each.encode())) + each.encode())
    return b"".join(written)


def resources(records: bytes) -> bytes:
    """Return Photoshop's resources that hold IPTC records, among others."""
    other = b"8BIM" + struct.pack(">H", 0x03ED) + b"\0\0" + struct.pack(">I", 3) + b"abc\0"
    return (
        other
        + b"8BIM"
        + struct.pack(">H", 0x0404)
        + b"\0\0"
        + struct.pack(">I", len(records))
        + records
        + bytes(len(records) % 2)
    )


def exif(fields: Mapping[str, str]) -> Image.Exif:
    """Return EXIF that states fields, beside an orientation."""
    block = Image.Exif()
    block[0x0112] = 1
    for field, tag in (("creator", 0x013B), ("notice", 0x8298)):
        if field in fields:
            block[tag] = fields[field].encode()  # a text would be written in ASCII
    return block


def written(
    kind: str,
    xmp: bytes | None = None,
    exif: Image.Exif | None = None,
    iptc: bytes | None = None,
    texts: Mapping[str, str] | None = None,
    side: int = 16,
) -> bytes:
    """Return a picture in a format with these blocks of metadata.

    IPTC: not in WebP, AVIF and GIF; EXIF: not in GIF; texts: in PNG, and as comments in GIF.
    """
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    image, out = Image.fromarray(pixels), io.BytesIO()
    options: dict[str, object] = {"exif": exif} if exif is not None and kind != "TIFF" else {}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        if xmp is not None:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=len(xmp) % 2 == 0)
        for name, text in (texts or {}).items():
            info.add_text(name, text, zip=len(text) % 2 == 0)
        if iptc is not None:
            block = resources(iptc)
            info.add_text("Raw profile type iptc", f"\niptc\n{len(block):8}\n{block.hex()}\n", zip=True)
        options["pnginfo"] = info
    elif kind == "TIFF":
        tags: dict[int, object] = dict(exif or {})
        tags |= {700: xmp} if xmp is not None else {}
        options["tiffinfo"] = tags | ({33723: iptc} if iptc is not None else {})
    elif xmp is not None and kind != "GIF":
        options["xmp"] = xmp
    if kind == "AVIF":
        options["speed"] = 10
    image.save(out, kind, **options)
    data = out.getvalue()
    if kind == "GIF":
        blocks = [b"\x21\xfe" + sub_blocks(text.encode()) for text in (texts or {}).values()]
        if xmp is not None:  # as Adobe's programs write it, or in sub-blocks like any extension
            whole = xmp + b"\1" + bytes(range(0xFF, -1, -1)) + b"\0"
            blocks.append(b"\x21\xff\x0bXMP DataXMP" + (whole if len(xmp) % 2 else sub_blocks(xmp)))
        colours = 3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0
        place = 13 + colours if len(xmp or b"") % 3 else len(data) - 1
        data = data[:place] + b"".join(blocks) + data[place:]
    if kind == "JPEG" and iptc is not None:
        body = b"Photoshop 3.0\0" + resources(iptc)
        data = data[:2] + struct.pack(">HH", 0xFFED, len(body) + 2) + body + data[2:]
    return data


def sub_blocks(contents: bytes) -> bytes:
    """Return contents in the sub-blocks of a GIF."""
    parts = (contents[at : at + 255] for at in range(0, len(contents), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def files(count: int, seed: int = 0) -> Iterator[Said]:
    """Yield files, with and without each signal, in each format in turn."""
    random = Random(seed)  # noqa: S311 -- which signals
    for number in range(count):
        kind = FORMATS[number % len(FORMATS)]
        places = {
            "XMP": _some(random, ("creator", *_SIMPLE, *_LANGUAGES, "license_url"), number),
            "IPTC": _some(random, ("creator", "credit", "notice"), number) if kind in ("JPEG", "PNG", "TIFF") else {},
            "EXIF": _some(random, ("creator", "notice"), number) if kind != "GIF" else {},
            "PNG": _some(random, ("creator", "notice"), number) if kind == "PNG" else {},
            "GIF": _some(random, ("notice",), number) if kind == "GIF" else {},
        }
        places = {place: fields if random.random() < 0.5 else {} for place, fields in places.items()}
        said: dict[str, str] = {}
        for fields in places.values():
            said |= {field: value for field, value in fields.items() if field not in said}
        noise = packet(NOISE) if random.random() < 0.3 else None
        data = written(
            kind,
            xmp(places["XMP"], random) if places["XMP"] else noise,
            exif(places["EXIF"]) if places["EXIF"] or random.random() < 0.5 else None,
            iim(places["IPTC"]) if places["IPTC"] else None,
            {{"creator": "Author", "notice": "Copyright"}[field]: value for field, value in places["PNG"].items()}
            | ({"Software": "creator", "Comment": "DMI-PROHIBITED"} if kind in ("PNG", "GIF") else {})
            | places["GIF"],
        )
        yield Said(f"{number}.{kind.lower()}", data, said, [place for place, fields in places.items() if fields])


def _some(random: Random, fields: Sequence[str], number: int) -> Mapping[str, str]:
    """Return values of some of the fields, which no other file and no other place of this one has."""
    chosen = [field for field in fields if random.random() < 0.4]
    own = random.randrange(1 << 30)
    values = {
        "data_mining": random.choice(["", VOCABULARY]) + random.choice(MINING),
        "digital_source_type": random.choice(SOURCE_TYPES),
        "creator": random.choice([f"Ann Å. Ünal {own}", f"A {own}; B & C <{own}>"]),
        "license_url": f"https://example.org/{own}?a=1&b=2",
        "web_statement": f"https://example.org/rights/{own}",
    }
    return {field: values.get(field, f"{field} № {own}, © {number} 'quoted' \"twice\"") for field in chosen}

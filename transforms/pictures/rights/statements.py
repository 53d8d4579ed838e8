"""What a file says of its creator and its use, of all its metadata taken together.

What belongs here: which statement counts where several are made, and bounding texts. What does not: finding metadata
(`rights/blocks.py`, `rights/boxes.py`), verifying a manifest (`rights/manifests.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace

from transforms.pictures import exif, jpeg, png
from transforms.pictures.formats import HEAD, plug_in_format
from transforms.pictures.rights import blocks, iptc, xmp
from transforms.pictures.rights.blocks import MetadataBlocks
from transforms.pictures.rights.boxes import of_boxes
from transforms.readable import bare

PLACES = ("XMP", "IPTC", "EXIF", "PNG", "GIF", "C2PA", "sidecar")
LONGEST = 2_000
"""Most characters of a text."""
PRESENT, REMOTE = "present", "remote"
_CUT = 4 * LONGEST  # bytes of a text that are looked at
_ARTIST, _COPYRIGHT = 0x013B, 0x8298
_REASON = 300  # characters of a reason
type Said = tuple[str, Mapping[str, str]]  # of PLACES, and the texts of fields


@dataclass(frozen=True)
class RightsStatement:
    """What a file says. Each text is in one line of at most LONGEST characters, and None where nothing is said.

    Attributes:
        creator: Who made the picture; several have `; ` between them.
        credit: Whom to credit.
        notice: Its copyright notice.
        terms: Terms of use.
        constraints: Constraints that `data_mining` may refer to.
        license_url: Address of the licence, or of whoever grants one.
        web_statement: Address of a page on rights.
        data_mining: The value of `plus:DataMining`.
        digital_source_type: How the picture came to be.
        c2pa: The state of its C2PA manifest.
        c2pa_place: Where the manifest lies, or the link to it.
        c2pa_mining: What the manifest says of training and mining.
        stated_in: Of PLACES, those that say something of this.
        unread: What could not be read, and why.
    """

    creator: str | None = None
    credit: str | None = None
    notice: str | None = None
    terms: str | None = None
    constraints: str | None = None
    license_url: str | None = None
    web_statement: str | None = None
    data_mining: str | None = None
    digital_source_type: str | None = None
    c2pa: str | None = None
    c2pa_place: str | None = None
    c2pa_mining: str | None = None
    stated_in: tuple[str, ...] = ()
    unread: str | None = None

    def row(self) -> dict[str, object]:
        """Return its columns in a fact table."""
        return asdict(self) | {"stated_in": list(self.stated_in)}


def with_noted(said: RightsStatement | None, creator: str | None, notice: str | None) -> RightsStatement | None:
    """Return what a file says, completed by what a downloader noted of the original beside it.

    Args:
        said: What the file says.
        creator: The artist, or None.
        notice: The copyright, or None.
    """
    if not creator and not notice:
        return said
    said = said or RightsStatement()
    return replace(
        said,
        creator=said.creator or creator,
        notice=said.notice or notice,
        stated_in=(*said.stated_in, "sidecar"),
    )


TEXTS = tuple(each.name for each in fields(RightsStatement) if each.name != "stated_in")
"""The names of its texts."""


def read(data: bytes) -> RightsStatement | None:
    """Read what a file says, without decoding a pixel. Return None if it says nothing of this.

    Args:
        data: The file. It may be broken anywhere: what cannot be read is said in `unread`.
    """
    found = _blocks(data)
    if found is None or found.empty:
        return None
    said = [*_of_xmp(found), *_of_iptc(found), *_of_exif(found)]
    said.append(("PNG" if data.startswith(png.SIGNATURE) else "GIF", _gathered(found.texts)))
    texts = {name: text for name in TEXTS if (text := _first(each.get(name) for _, each in said))}
    link = _first(each.get("provenance") for _, each in said)
    if found.manifest:
        texts |= {"c2pa": PRESENT, "c2pa_place": found.manifest}
        said.append(("C2PA", texts))
    elif link and link.lower().startswith(("http://", "https://")):
        texts |= {"c2pa": REMOTE, "c2pa_place": link}
    if found.unread:
        texts["unread"] = bare("; ".join(found.unread), LONGEST)
    if not texts:
        return None
    places = {place for place, each in said if any(each.values())}
    return RightsStatement(**texts, stated_in=tuple(place for place in PLACES if place in places))


def _blocks(data: bytes) -> MetadataBlocks | None:
    """Return the metadata of a file, or None if it is of a format of which none is read."""
    found = MetadataBlocks()
    if data.startswith(jpeg.START):
        blocks.of_jpeg(data, found)
    elif data.startswith(png.SIGNATURE):
        blocks.of_png(data, found)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        blocks.of_webp(data, found)
    elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        blocks.of_tiff(data, found)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        blocks.of_gif(data, found)
    elif data[4:8] == b"ftyp" or (plug_in_format(data[:HEAD]) == "JXL" and data[:1] == b"\0"):
        of_boxes(data, found)
    else:
        return None
    return found


def _of_xmp(found: MetadataBlocks) -> list[Said]:
    said: list[Said] = []
    for packet in found.xmp:
        stated, failure = xmp.properties(packet)
        if failure is not None:
            found.note(f"XMP: {bare(failure, _REASON)}")
        said.append(("XMP", {name: _text(values) for name, values in stated.items()}))
    return said


def _of_iptc(found: MetadataBlocks) -> list[Said]:
    records = [*(iptc.records(each) for each in found.resources), *found.iptc]
    said = (iptc.fields(each) for each in records if each)
    return [("IPTC", {name: _text(map(_decoded, values)) for name, values in each.items()}) for each in said]


def _of_exif(found: MetadataBlocks) -> list[Said]:
    said: list[Said] = []
    for block in found.exif:
        stated = exif.values(block, (_ARTIST, _COPYRIGHT))
        # a copyright may be two texts: of the photographer and of the editor
        texts = {tag: _text(map(_decoded, bytes(value[:_CUT]).split(b"\0"))) for tag, value in stated.items()}
        said.append(("EXIF", {"creator": texts.get(_ARTIST, ""), "notice": texts.get(_COPYRIGHT, "")}))
    return said


def _gathered(texts: Iterable[tuple[str, bytes]]) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    for name, text in texts:
        found.setdefault(name, []).append(_decoded(text))
    return {name: _text(values) for name, values in found.items()}


def _first(values: Iterable[str | None]) -> str | None:
    return next((each for each in values if each), None)


def _text(values: Iterable[str]) -> str:
    """Return the values of a field as one text; those that are the same, once."""
    return bare("; ".join(dict.fromkeys(line for each in values if (line := bare(each, LONGEST)))), LONGEST)


def _decoded(value: bytes) -> str:
    """Return text that is UTF-8 or, as most of what is not, Latin-1."""
    value = value[:_CUT]
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        cut = len(value) == _CUT and error.start >= _CUT - 3  # in the middle of a character
        return value[: error.start].decode() if cut else value.decode("latin-1")

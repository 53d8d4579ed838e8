"""Tables that name the pictures of their folder: `metadata.jsonl`, `metadata.csv`, `metadata.parquet` of `imagefolder`.

What belongs here: which picture a row names, and rows whose picture is not there. What does not: reading tables
(`catalog/record_files.py`), what a row says (`dumps/sidecars.py`).
"""

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from transforms.catalog.record_files import RecordFileError, records
from transforms.dumps import names, sidecars
from transforms.dumps.members import Member
from transforms.dumps.samples import UNREADABLE, Part, Picture, Samples

NAMELESS = "a row of a table that names no picture"
REPEATED = "a row of a table that names a picture again"
_NAMES = ("file_name", "filename", "file_names", "filenames")
_FURTHER = ("_file_name", "_file_names")


def annotate(samples: Samples) -> tuple[list[Member], str | None]:
    """Give each picture what a table of its folder, or of a folder above, says of it. The nearest table comes first.

    Args:
        samples: The sorted dump, whose pictures and counts are changed.

    Returns:
        Rows whose picture is not in the dump, each refused with its reason, and why a table cannot be read, or None.
    """
    if not samples.tables:
        return [], None
    by_name: dict[str, list[Picture]] = defaultdict(list)
    for picture in samples.pictures:
        by_name[_plain(picture.name)].append(picture)
    missing: dict[str, Member] = {}
    others = {_plain(name) for name in samples.names}
    broken = None
    for table in sorted(samples.tables, key=lambda part: (-part.name.count("/"), part.name)):
        named: set[str] = set()
        try:
            with samples.source.open(table) as file:
                for record in records(f"{samples.place}/{table.name}", samples.limits, source=file):
                    _row(samples, table, (record.number, record.fields), by_name, named, missing, others)
        except RecordFileError as error:
            broken = broken or str(error)
        except (FileNotFoundError, PermissionError):
            samples.counts.add(samples.place, UNREADABLE, table.name)
    return list(missing.values()), broken


def _row(
    samples: Samples,
    table: Part,
    row: tuple[int, Mapping[str, Any]],
    by_name: Mapping[str, Sequence[Picture]],
    named: set[str],
    missing: dict[str, Member],
    others: Container[str],
) -> None:
    number, fields = row
    said = sidecars.of_record(fields)
    found = list(dict.fromkeys(_pictures_of(fields, posixpath.dirname(table.name))))
    if not found:
        samples.counts.add(samples.place, NAMELESS, f"{table.name}: {number}")
    for place, name in enumerate(found):
        if name in named:
            samples.counts.add(samples.place, REPEATED, f"{table.name}: {number}")
            continue
        named.add(name)
        for picture in by_name.get(name, ()):
            samples.fill(picture.member, said, caption_alone=place > 0)
        if name not in by_name and name not in missing:
            kind = posixpath.basename(table.name)
            why = "the dump holds it as no picture" if name in others else "the dump does not hold it"
            member = Member(names.stem(name), "", 0, 0, f"missing: {kind} names it, but {why}")
            samples.fill(member, said, caption_alone=place > 0)
            missing[name] = member


def _pictures_of(fields: Mapping[str, Any], folder: str) -> Iterator[str]:
    """Yield the pictures that a row names, by their path in the dump; the one it is about comes first."""
    lower = {str(name).strip().lower(): value for name, value in fields.items()}
    wanted = [name for name in _NAMES if name in lower] + [name for name in lower if name.endswith(_FURTHER)]
    for name in wanted:
        value = lower[name]
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and each.strip():
                yield _plain(posixpath.join(folder, each.strip().replace("\\", "/")))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", posixpath.normpath(name))

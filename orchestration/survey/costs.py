"""What a run will cost: time by rates that are measured on this machine, and disk.

What belongs here: measuring some real pictures with the encoder of the settings, rates of former runs, estimates. What
does not: finding pictures (`survey/findings.py`).
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.fingerprints.kinds import HASHES
from orchestration.runtime.resources import rules_of
from orchestration.settings import Settings
from orchestration.survey.contents import shows_picture
from orchestration.survey.joining import Finding
from transforms import encoders
from transforms.alignment.comparer import Comparer
from transforms.catalog.byte_limits import open_parquet
from transforms.catalog.landing import PARQUET
from transforms.catalog.picture_columns import picture_columns
from transforms.catalog.record_files import PARQUET_ERRORS
from transforms.dumps import tars
from transforms.dumps.members import ArchiveError
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.fingerprint import fingerprint
from transforms.fingerprints.views import search_views
from transforms.pictures import Pixels
from transforms.storage import stores

MEASURED = 12
"""Pictures that are measured."""
_WARM = 2
_ENOUGH = 200  # pictures of former runs, by which a rate is known
_FIXED_S = 20.0  # starting, building tables, writing reports, of a small warehouse
_EMPTY, _VERSION, _LOG, _EXPORT = 8_000_000, 9_000_000, 5_000_000, 4_000_000  # bytes, measured on small warehouses
_FACT, _ROW = 1_000, 2_500  # bytes of a picture besides its vector, and of a row of the published version


@dataclass(frozen=True)
class Rates:
    """Seconds for one of each.

    Attributes:
        picture: Decoding, hashing and embedding a training picture.
        view: Embedding a part of a generation.
        pair: Comparing two pictures by pixels.
        dimension: Of an embedding.
        told: What they rest on.
    """

    picture: float
    view: float
    pair: float
    dimension: int
    told: str


@dataclass(frozen=True)
class Cost:
    """What a first run takes.

    Attributes:
        seconds: By part, in words.
        first: Bytes after it.
        later: Bytes once all versions and logs that the settings keep are there.
    """

    seconds: dict[str, float]
    first: int
    later: int


def measure(findings: Sequence[Finding], settings: Settings) -> Rates | None:
    """Measure some of the pictures that were found; None if none can be read.

    Args:
        findings: What was found.
        settings: Those that will be written.

    Raises:
        EncoderUnavailable: If the encoder cannot be loaded.
    """
    name = settings.encoders.by_purpose.get("copy")
    encoder = encoders.load(name) if name else None
    rules, workers = rules_of(settings), len(os.sched_getaffinity(0))
    pace = WorkPace(settings.limits.batch, workers)
    data = list(islice(_pictures(findings, settings), MEASURED + _WARM))
    if not data:
        return None

    def look(each: bytes) -> Pixels | None:
        return fingerprint(each, rules)[1]

    warm = [picture for picture in work_ahead(look, data[:_WARM], pace) if picture is not None]
    if warm and encoder:
        encoder.embed([encoder.prepare(picture) for picture in warm])  # loads what is loaded once
    for some in (data[_WARM:], data):  # all of them where only the first can be read
        began = time.monotonic()
        seen = [picture for picture in work_ahead(look, some, pace) if picture is not None]
        decoded = time.monotonic()
        if seen:
            break
    else:
        return None
    if encoder:
        encoder.embed([encoder.prepare(picture) for picture in seen])
    embedded = time.monotonic()
    compare = Comparer[int](seen.__getitem__, settings.thresholds.pixels)
    pairs = min(4, len(seen) - 1)
    for number in range(pairs):
        compare(number, number + 1)
    compared = time.monotonic()
    view = (embedded - decoded) / len(seen)
    told = f"measured on {len(seen)} of these pictures {f'with {name}' if name else 'by hashes alone'}"
    pair = (compared - embedded) / pairs if pairs else view
    return Rates((decoded - began) / len(seen) + view, view, pair, encoder.id.dimension if encoder else 0, told)


def former_rate(home: Path) -> tuple[float, int] | None:
    """Return the seconds of a training picture in former runs of a home and how many there were, or None.

    Args:
        home: The folder of the warehouse, which need not exist.
    """
    columns, hashed = ["pictures", "seconds"], equals("fingerprint", HASHES)
    notes = Facts(home / "facts")["fingerprinted_shards"].read(columns, hashed).to_pylist()
    pictures = sum(note["pictures"] or 0 for note in notes)
    seconds = sum(note["seconds"] or 0.0 for note in notes)
    return (seconds / pictures, pictures) if pictures >= _ENOUGH and seconds else None


def with_former(rates: Rates, seconds: float, pictures: int) -> Rates:
    """Return rates with what training pictures took in former runs.

    Args:
        rates: As measured.
        seconds: What one picture took.
        pictures: How many there were.
    """
    told = f"{rates.told}; training pictures by {pictures:,} of former runs"
    return replace(rates, picture=seconds, told=told)


def estimate(findings: Sequence[Finding], rates: Rates, settings: Settings) -> Cost:
    """Estimate a first run.

    Args:
        findings: What will be read.
        rates: What one of each takes.
        settings: Those that will be written.
    """
    rows = sum(each.rows for each in findings if not each.generated)
    pictures = sum(each.pictures for each in findings if not each.generated)
    generations = sum(each.pictures for each in findings if each.generated)
    views = len(search_views(settings.search.scales, settings.search.flips))
    drawn = min(pictures, settings.limits.null_sample)
    drawn = drawn + min(drawn, settings.calibration.trials) if generations else 0
    seconds = {
        "training pictures": pictures * rates.picture,
        "generations": generations * (rates.picture + views * rates.view + 2 * rates.pair),
        "calibration": drawn * (views * rates.view + rates.pair),
        "tables and reports": _FIXED_S + rows / 50_000,
    }
    vector = 4 * rates.dimension
    facts = _EMPTY + pictures * (vector + _FACT) + (generations + drawn) * (views * vector + _FACT)
    version = _VERSION + rows * _ROW + generations * _ROW
    first = facts + version + _EXPORT + _LOG
    keep = settings.publishing
    return Cost(seconds, first, facts + keep.keep * (version + _EXPORT) + keep.run_logs * _LOG)


def _pictures(findings: Sequence[Finding], settings: Settings) -> Iterator[bytes]:
    """Yield the bytes of some pictures, training pictures first."""
    for finding in sorted(findings, key=lambda each: each.generated):
        for path in finding.samples:
            try:
                yield from _within(path, settings)
            except (OSError, ArchiveError, *PARQUET_ERRORS):
                continue  # the run says why it cannot be read


def _within(path: Path, settings: Settings) -> Iterator[bytes]:
    most = settings.limits.member_bytes
    if path.suffix.lower() == ".tar":
        fitting = (part for part in tars.parts(str(path)) if part.refusal is None and part.size <= most)
        with path.open("rb") as file:
            for part in islice((part for part in fitting if shows_picture(part, file)), MEASURED + _WARM):
                yield tars.read(file, part.offset, part.size)
    elif path.suffix.lower() in PARQUET:
        with stores.open_file(str(path)) as source:
            file_ = open_parquet(str(path), source, settings.limits.of_files)
            column = next(iter(picture_columns(file_)), None)
            for batch in file_.batches([column.name], MEASURED + _WARM) if column else ():
                yield from filter(None, map(_bytes, batch.column(0).to_pylist()))
                return
    elif path.stat().st_size <= most:
        yield path.read_bytes()


def _bytes(value: object) -> bytes | None:
    value = value[0] if isinstance(value, list) and value else value
    value = value.get("bytes") if isinstance(value, dict) else value
    return value if isinstance(value, bytes) else None

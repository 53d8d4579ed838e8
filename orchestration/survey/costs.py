"""What a run will cost: time by rates that are measured on this machine, memory and disk.

What belongs here: measuring some real pictures with the encoder of the settings and small joins of made-up ones, rates
of former runs, estimates. What does not: finding pictures (`survey/findings.py`), what is due (`outlook/`).
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import ByteSize, TypeAdapter

from orchestration.compute.engines import CORES
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
from transforms.joins.cosine import join as cosine_join
from transforms.joins.hamming import join as hamming_join
from transforms.joins.hamming import plan as hamming_plan
from transforms.pictures import Pixels
from transforms.storage import stores

MEASURED = 12
"""Pictures that are measured."""
_WARM = 2
_ENOUGH = 200  # pictures of former runs, by which a rate is known
_FIXED_S = 20.0  # starting, building tables, writing reports, of a small warehouse
_PROBED_HASHES, _PROBED_VECTORS, _PROBED_AT = 200_000, 4_096, 31  # of the joins that are measured; bits of a pair
# Of one core of the machine on which the plan of the Hamming join was fitted: seconds for a row.
_CAPTION, _TABLES = 22e-6, 40e-6
# Bytes held: imports, an encoder at work, DuckDB for a row, and for its caption alone; a picture in the arrays that may
# lie in files, what else a picture takes while duplicates are derived, its hash while hashes are joined; a caption.
_BASE, _ENCODER, _TABLE_ROW, _CAPTION_ROW = 0.8e9, 1.2e9, 900, 300
_PICTURE, _DERIVED, _JOINED_HASH, _CAPTION_BYTES = 22, 40, hamming_join.HELD, 80
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
        core: What a core takes for what takes a second on the machine that recorded the other rates.
        cosine: Comparing two embeddings, where all of many are compared with all.
    """

    picture: float
    view: float
    pair: float
    dimension: int
    told: str
    core: float = 1.0
    cosine: float = 0.0


@dataclass(frozen=True)
class Amounts:
    """What a run reads, and what was read before.

    Attributes:
        rows: Rows of metadata that are new or delivered again.
        known_rows: The others.
        pictures: Training pictures to be fingerprinted.
        known_pictures: The others.
        generations: Generations to be fingerprinted.
        known_generations: The others.
    """

    rows: int = 0
    known_rows: int = 0
    pictures: int = 0
    known_pictures: int = 0
    generations: int = 0
    known_generations: int = 0


@dataclass(frozen=True)
class Cost:
    """What a run takes.

    Attributes:
        seconds: By part, in words.
        memory: The most bytes at once, by part.
        first: Bytes on disk that it adds.
        later: Bytes once all versions and logs that the settings keep are there.
    """

    seconds: dict[str, float]
    memory: dict[str, float]
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
    encoder = encoders.load(name, settings.encoders.device) if name else None
    rules, pace = rules_of(settings), WorkPace(settings.limits.batch, CORES)
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
    compare = Comparer[int](seen.__getitem__, settings.thresholds.pixels, settings.thresholds.alterations)
    pairs = min(4, len(seen) - 1)
    for number in range(pairs):
        compare.twice(number, number + 1)
    compared = time.monotonic()
    view = (embedded - decoded) / len(seen)
    told = f"measured on {len(seen)} of these pictures {f'with {name}' if name else 'by hashes alone'}"
    pair = (compared - embedded) / pairs if pairs else view
    dimension = encoder.id.dimension if encoder else 0
    cosine = _cosine_rate(dimension) if encoder else 0.0
    return Rates((decoded - began) / len(seen) + view, view, pair, dimension, told, _core_rate(), cosine)


def rates_without_pictures() -> Rates:
    """Measure what a run without new pictures rests on."""
    return Rates(0, 0, 0, 0, "measured on a join of made-up hashes", _core_rate())


def _core_rate() -> float:
    """Join made-up hashes, and return the time of it over that on the machine of the plan."""
    hashes = np.random.default_rng(0).integers(0, 256, (_PROBED_HASHES, hamming_plan.BITS // 8), np.uint8)
    list(hamming_join.self_join(hashes[:1_000], _PROBED_AT))  # compiles
    began = time.monotonic()
    list(hamming_join.self_join(hashes, _PROBED_AT))
    taken = (time.monotonic() - began) * CORES
    return taken / hamming_plan.plan(_PROBED_HASHES, None, _PROBED_AT).seconds


def _cosine_rate(dimension: int) -> float:
    """Join made-up embeddings, and return the seconds that a comparison of two takes."""
    vectors = np.random.default_rng(0).standard_normal((_PROBED_VECTORS, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    list(cosine_join.self_join(vectors[:64], 0.99))  # loads what is loaded once
    began = time.monotonic()
    list(cosine_join.self_join(vectors, 0.99))
    return (time.monotonic() - began) / (_PROBED_VECTORS**2 / 2)


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


def amounts(findings: Sequence[Finding]) -> Amounts:
    """Return what a first run reads.

    Args:
        findings: What was found.
    """
    trained = [each for each in findings if not each.generated]
    made = sum(each.pictures for each in findings if each.generated)
    return Amounts(
        sum(each.rows for each in trained), pictures=sum(each.pictures for each in trained), generations=made
    )


def estimate(read: Amounts, rates: Rates, settings: Settings) -> Cost:
    """Estimate a run.

    Args:
        read: What it reads.
        rates: What one of each takes.
        settings: Its settings.
    """
    rows, pictures = read.rows + read.known_rows, read.pictures + read.known_pictures
    generations = read.generations + read.known_generations
    views = len(search_views(settings.search.scales, settings.search.flips))
    drawn = min(pictures, settings.limits.null_sample)
    drawn = drawn + min(drawn, settings.calibration.trials) if generations and read.pictures else 0
    compared = read.generations * views * pictures * rates.cosine
    seconds = {
        "training pictures": read.pictures * rates.picture,
        "generations": read.generations * (rates.picture + views * rates.view + 2 * rates.pair) + compared,
        "calibration": drawn * (views * rates.view + rates.pair),
        "joins": _joining(read.pictures, read.known_pictures, rates, settings),
        "captions": rows * _CAPTION * rates.core / CORES if read.rows else 0.0,
        "tables and reports": _FIXED_S + rows * _TABLES * rates.core / CORES,
    }
    may = settings.memory
    duckdb, arrays = _bytes_of(may.duckdb), min(may.pictures / 2, pictures * _PICTURE) + pictures * _DERIVED
    memory = {
        "training pictures": _BASE + (_ENCODER if rates.dimension else 0),
        "joins and duplicates": _BASE + arrays + min(may.joins, pictures * _JOINED_HASH),
        "captions": _BASE + min(duckdb, rows * _CAPTION_ROW) + rows * _CAPTION_BYTES,
        "tables and reports": _BASE + min(duckdb, rows * _TABLE_ROW),
    }
    vector = 4 * rates.dimension
    facts = read.pictures * (vector + _FACT) + (read.generations + drawn) * (views * vector + _FACT)
    facts += 0 if read.known_rows or read.known_pictures else _EMPTY
    version = _VERSION + rows * _ROW + generations * _ROW
    first = facts + version + _EXPORT + _LOG
    keep = settings.publishing
    return Cost(seconds, memory, first, facts + keep.keep * (version + _EXPORT) + keep.run_logs * _LOG)


def _joining(new: int, known: int, rates: Rates, settings: Settings) -> float:
    """Return the seconds of finding the pairs of new pictures, with each other and with known ones."""
    radius, joins = settings.thresholds.pdq, settings.joins
    plans = [hamming_plan.plan(new, None, radius)] if new > 1 else []
    plans += [hamming_plan.plan(new, known, radius)] if new and known else []
    hashes = sum(plan.seconds for plan in plans) * rates.core / CORES
    compared, total = new * (new / 2 + known), new + known
    approximate = joins.cosine == "approximate" or (joins.cosine == "auto" and new * total > joins.exact_pictures**2)
    if approximate:
        cells = joins.cells or math.isqrt(max(1, total))
        compared = min(compared, new * (cells + joins.probes * total / cells))
    return hashes + compared * rates.cosine


def _bytes_of(memory: str) -> float:
    """Return the bytes of a DuckDB setting."""
    return float(TypeAdapter(ByteSize).validate_python(memory))


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

"""What the next run will cost: the due shards and generations, counted and priced as `raisonne init` prices a folder.

What belongs here: counting what is due, some files of many. What does not: what is due (`outlook/due.py`), rates and
estimates (`survey/costs.py`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.fingerprints.kinds import HASHES
from orchestration.outlook.due import DueInputs
from orchestration.settings import Settings
from orchestration.survey import contents, costs
from orchestration.survey.costs import Amounts, Cost, Rates
from orchestration.survey.joining import Finding
from orchestration.survey.sampling import spread
from transforms.catalog.byte_limits import open_parquet
from transforms.catalog.landing import PARQUET, LandingFile, Shard
from transforms.catalog.record_files import PARQUET_ERRORS
from transforms.dumps import names
from transforms.storage import stores
from transforms.storage.remote_stores import is_remote

_LOOKED_INTO = 16  # files of metadata, and dumps
_PER_FOLDER = 24  # pictures that may be measured
_PICTURE_BYTES = 50_000  # of a dump, where nothing else tells how many pictures it holds


@dataclass(frozen=True)
class Bill:
    """What the next run takes.

    Attributes:
        amounts: What it reads.
        cost: What that takes; None where pictures are due and none of them can be measured.
        rates: What the cost rests on; likewise.
    """

    amounts: Amounts
    cost: Cost | None = None
    rates: Rates | None = None


def bill(due: DueInputs, settings: Settings) -> Bill:
    """Count what is due, measure some of its pictures, and estimate the run.

    Args:
        due: What the run reads.
        settings: Its settings.

    Raises:
        EncoderUnavailable: If the encoder cannot be loaded.
    """
    read = _amounts(due, settings)
    dumps = [each.images.path for each in spread(due.pictured, _LOOKED_INTO) if each.images]
    made = [each.location.path for each in spread(due.generations, costs.MEASURED * 2)]
    found = [
        Finding(settings.home, generated=generated, samples=tuple(_samples(dict.fromkeys(paths))))
        for generated, paths in ((False, dumps), (True, made))
    ]
    rates = costs.measure(found, settings)
    if rates is None and (read.pictures or read.generations):
        return Bill(read)
    rates = rates or costs.rates_without_pictures()
    if read.pictures and (former := costs.former_rate(settings.home)):
        rates = costs.with_former(rates, *former)
    return Bill(read, costs.estimate(read, rates, settings), rates)


def _amounts(due: DueInputs, settings: Settings) -> Amounts:
    metadata = [each.metadata for each in due.shards if each.metadata]
    rows = _scaled(metadata, lambda file: _rows(file, settings))
    pictures = _scaled([each.images for each in due.pictured if each.images], lambda file: _pictures(file, settings))
    facts = Facts(settings.home / "facts")
    fingerprinted = facts["image_fingerprints"].dataset().count_rows()
    return Amounts(
        rows,
        due.known_rows,
        pictures,
        max(0, fingerprinted - _again(facts, due.pictured)),
        len(due.generations),
        due.known_generations,
    )


def _again(facts: Facts, shards: Sequence[Shard]) -> int:
    """Return how many pictures of these shards were fingerprinted before."""
    partitions = {each.partition for each in shards}
    columns = ["dataset", "shard", "pictures"]
    noted = facts["fingerprinted_shards"].read(columns, equals("fingerprint", HASHES)).to_pylist()
    return sum(each["pictures"] or 0 for each in noted if f"{each['dataset']}/{each['shard']}" in partitions)


def _scaled(files: Sequence[LandingFile], counted: Callable[[LandingFile], int | None]) -> int:
    """Count what files hold: all of an ending by the bytes of those that were looked into and could be counted."""
    endings = defaultdict[str, list[LandingFile]](list)
    for file in files:
        endings[Path(file.path).suffix.lower()].append(file)
    total = 0.0
    for alike in endings.values():
        seen = [(file.size, number) for file in spread(alike, _LOOKED_INTO) if (number := counted(file)) is not None]
        looked = sum(size for size, _ in seen)
        total += sum(number for _, number in seen) * sum(file.size for file in alike) / looked if looked else 0
    return round(total)


def _rows(file: LandingFile, settings: Settings) -> int | None:
    """Return the rows of a file of metadata, or None if it cannot be looked into. The run says why."""
    limits = settings.limits.of_files
    if Path(file.path).suffix.lower() in PARQUET:
        try:
            with stores.open_file(file.path) as source:
                return open_parquet(file.path, source, limits).rows
        except (OSError, *PARQUET_ERRORS):
            return None
    return None if is_remote(file.path) else contents.of_text(Path(file.path), file.size, limits).rows


def _pictures(file: LandingFile, settings: Settings) -> int | None:
    """Return about how many pictures a dump holds, or None if it cannot be looked into."""
    path = Path(file.path)
    if path.suffix.lower() in PARQUET:
        return _rows(file, settings)
    if is_remote(file.path) or not path.exists():
        return file.size // _PICTURE_BYTES
    if path.is_dir():
        return sum(1 for _ in _below(file.path))
    return contents.of_tar(path, file.size).rows


def _below(folder: str) -> Iterator[str]:
    """Yield the paths of the pictures below a folder, by their names."""
    for name, entry in stores.walk(folder):
        if names.ending(name) in names.PICTURE_NAMES and entry.refusal is None:
            yield entry.path


def _samples(dumps: Iterable[str]) -> Iterator[Path]:
    """Yield dumps on disk, of folders some of their pictures."""
    for dump in dumps:
        if not is_remote(dump):
            path = stores.on_disk(dump)
            yield from map(stores.on_disk, islice(_below(dump), _PER_FOLDER)) if path.is_dir() else (path,)

"""Feeding encoders: files in, fingerprints and the inputs of encoders out, made beside each other in processes.

What belongs here: what is made of files before encoders see them, and where. What does not: decoding
(`pictures/confined/`), the number of files at once (`fingerprints/ahead.py`), embedding (`fingerprints/embeddings.py`).

Threads of one process share one interpreter lock. So the process that decodes files hashes their pixels too and scales
them to the inputs of the encoders, and only these come back: a thread here hands a few files out and waits. `made` is
what runs in those processes, which import this module: they do without encoders and Arrow.
"""

import fcntl
import json
import sys
import termios
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from transforms.fingerprints.fingerprint import Fingerprint, Rules, fingerprint, of_look
from transforms.fingerprints.views import WHOLE, View
from transforms.hashing import hashes
from transforms.pictures import Bounds, DecodeError, DecoderWork, Made, Pixels, RightsStatement, make
from transforms.pictures.confined.works import rights_row
from transforms.pictures.renderings import look
from transforms.pictures.scaling import Scaling
from transforms.regions import Box

if TYPE_CHECKING:
    from transforms.encoders import Encoder

WORTH = 500
"""Pictures from which they are hashed in the processes too: to load that takes each half a second of a processor."""
_FILES, _BYTES = 16, 4_000_000
"""Most files, and most bytes of several files, that a process is handed at once: each time costs 0.3 ms here."""
_MUCH_SAID = 4_096  # bytes to standard error: more may not find room
_TURNS = 8
_SIZES = np.dtype("<u8")
_PRINT = np.dtype(
    [
        ("plain", "?"),
        ("pixel_sha256", "V32"),
        ("pdq", f"V{hashes.PDQ_BYTES}"),
        ("pdq_quality", "<u4"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("dihedral", f"V{_TURNS * hashes.PDQ_BYTES}"),
    ]
)
"""What a process answers of a file. Of one that is not plain, such as one that cannot be decoded, the rest is empty."""


@dataclass(frozen=True)
class FedPicture:
    """A picture on its way to encoders.

    Attributes:
        print_: Its fingerprint.
        inputs: By kind of encoder, its input for each view; none if the picture failed.
    """

    print_: Fingerprint
    inputs: Mapping[str, Sequence[Pixels]] = field(default_factory=dict)


class Feed:
    """Makes pictures ready for encoders, in the thread that asks and the process that it holds meanwhile.

    What is made is the same to the bit wherever it is made. A file about which anything is odd is made ready again by
    itself, and its pixels are hashed here: so it has the same failure or note, whatever it was handed out with.

    Attributes:
        files: Most files of a call.
    """

    def __init__(
        self,
        rules: Rules,
        encoders: "Mapping[str, Encoder]",
        views: Sequence[View] = (View("whole", WHOLE),),
        *,
        dihedral: bool = False,
        expected: int = 0,
    ) -> None:
        """Choose where pictures are hashed and scaled.

        Args:
            rules: What pictures must satisfy.
            encoders: The encoders, by kind. If one has no `scaling`, its own process has to scale.
            views: The parts of a picture that are embedded.
            dihedral: Whether rotations and reflections are hashed too.
            expected: The number of pictures.
        """
        self._rules, self._bounds, self._dihedral = rules, rules.bounds, dihedral
        self._encoders, self._views = encoders, views
        from transforms.encoders import scaling_of  # not by the processes that import this module

        scalings = {kind: scaling_of(encoder) for kind, encoder in encoders.items()}
        self._scalings = {kind: each for kind, each in scalings.items() if each is not None}
        self._expected = expected
        self._in_processes = expected >= WORTH and len(self._scalings) == len(encoders)
        self.files = max(1, _FILES // len(views)) if self._in_processes else 1
        if self._in_processes:
            hashes.load()  # compiled here if need be, and not by each process
        self._details = json.dumps(
            {
                "rules": asdict(rules),
                "dihedral": dihedral,
                "views": [asdict(view) for view in views],
                "scalings": [asdict(scaling) for scaling in self._scalings.values()],
            }
        )

    def handfuls[T](self, items: Iterable[T], workers: int) -> Iterator[tuple[T, ...]]:
        """Yield what calls are for: `files` at a time, and ever fewer of the last.

        Args:
            items: What the files are read of; of the expected number, or fewer.
            workers: How many calls are made at once.
        """
        from transforms.fingerprints.ahead import handfuls  # not by the processes either

        return handfuls(items, lambda _: self.files, workers, self._expected)

    def __call__(self, files: Sequence[bytes]) -> list[FedPicture]:
        """Make pictures ready. Bad bytes do not raise; the fingerprint then has the reason.

        Args:
            files: The bytes of each, at most `files`.
        """
        if not self._in_processes:
            return [self._made_here(data) for data in files]
        return [picture for some in _bundles(files) for picture in self._made_in_process(some)]

    def _made_here(self, data: bytes) -> FedPicture:
        print_, picture = fingerprint(data, self._rules, dihedral=self._dihedral)
        if picture is None:
            return FedPicture(print_)
        parts = [view.cut(picture) for view in self._views]
        return FedPicture(
            print_, {kind: [each.prepare(part) for part in parts] for kind, each in self._encoders.items()}
        )

    def _made_in_process(self, files: Sequence[bytes]) -> Iterator[FedPicture]:
        sizes: list[tuple[int, ...]] = [(len(files), _PRINT.itemsize)]
        sizes += [(len(files), len(self._views), *scaling.shape) for scaling in self._scalings.values()]
        work = DecoderWork(
            made.__name__, tuple(sizes), (0, 0), rights=len(files), module=__name__, details=self._details
        )
        handed = b"".join([_SIZES.type(len(files)).tobytes(), np.array([*map(len, files)], _SIZES).tobytes(), *files])
        try:
            (answered, *inputs), rest = make(work, handed, self._bounds)
        except DecodeError:  # of which file, and whether it fails by itself, is not known
            answered, inputs, rest = np.zeros(sizes[0], np.uint8), [], {}
        prints = answered.view(_PRINT)[:, 0]
        for index, (data, (plain, *said)) in enumerate(zip(files, prints.tolist(), strict=True)):
            if plain:
                yield FedPicture(
                    self._print(data, said, rest["rights"][index]),
                    {kind: array[index] for kind, array in zip(self._scalings, inputs, strict=True)},
                )
            else:
                yield self._made_here(data)

    def _print(self, data: bytes, said: Sequence[Any], rights: RightsStatement | None) -> Fingerprint:
        pixel_sha256, pdq, quality, width, height, turns = said
        quality = min(quality, 100)
        return Fingerprint(
            status=self._rules.status(quality),
            sha256=hashes.sha256(data),
            pixel_sha256=pixel_sha256.hex(),
            pdq=pdq.hex(),
            pdq_quality=quality,
            width=width,
            height=height,
            dihedral=np.frombuffer(turns, np.uint8).reshape(_TURNS, -1).copy() if self._dihedral else None,
            rights=rights,
        )


def _bundles(files: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield files in order, several at once only while they are small together."""
    first = held = 0
    for index, data in enumerate(files):
        if index > first and held + len(data) > _BYTES:
            yield files[first:index]
            first, held = index, 0
        held += len(data)
    if files:
        yield files[first:]


@dataclass(frozen=True)
class _Details:
    """What the processes have to know, the same for all files."""

    rules: Rules
    dihedral: bool
    views: Sequence[View]
    scalings: Sequence[Scaling]


@lru_cache(maxsize=4)
def _details(text: str) -> _Details:
    said = json.loads(text)
    views = [View(**each | {"box": Box(**each["box"])}) for each in said["views"]]
    return _Details(Rules(**said["rules"]), said["dihedral"], views, [Scaling(**each) for each in said["scalings"]])


def made(data: bytes, bounds: Bounds, details: str) -> Made:
    """Make files ready, in a process that decodes.

    Args:
        data: How many files there are, how long each is, and the files.
        bounds: What each may have and need.
        details: What else there is to know, as JSON.

    Returns:
        What is known of each file, then its inputs by scaling and view, where those of a file that is not plain are no
        input; and what each file says of its use.
    """
    what = _details(details)
    count = int(np.frombuffer(data, _SIZES, 1)[0])
    lengths = np.frombuffer(data, _SIZES, count, _SIZES.itemsize)
    prints = np.zeros(count, _PRINT)
    inputs = [np.empty((count, len(what.views), *scaling.shape), np.uint8) for scaling in what.scalings]
    rights: list[dict[str, object] | None] = [None] * count
    end = _SIZES.itemsize * (1 + count)
    for index, length in enumerate(lengths.tolist()):
        start, end, before = end, end + length, _unread()
        try:
            print_, parts = _made(data[start:end], bounds, what)
        except (DecodeError, MemoryError):
            continue
        if print_.note is None and print_.unsearched is None and _unread() == before < _MUCH_SAID:
            for array, scaling in zip(inputs, what.scalings, strict=True):
                for place, part in zip(array[index], parts, strict=True):
                    place[...] = scaling(part)
            prints[index], rights[index] = _said_of(print_), rights_row(data[start:end])
    return [prints.view(np.uint8).reshape(count, -1), *inputs], {"rights": rights}


def _made(data: bytes, bounds: Bounds, what: _Details) -> tuple[Fingerprint, Sequence[Pixels]]:
    seen = look(data, bounds)
    return of_look(seen, what.rules, dihedral=what.dihedral), [view.cut(seen.picture) for view in what.views]


def _said_of(print_: Fingerprint) -> tuple[object, ...]:
    """Return a fingerprint as a row of `_PRINT`."""
    digests = (bytes.fromhex(each or "") for each in (print_.pixel_sha256, print_.pdq))
    turns = b"" if print_.dihedral is None else print_.dihedral.tobytes()
    return (True, *digests, print_.pdq_quality, print_.width, print_.height, turns)


def _unread() -> int:
    """Return the bytes that libraries have written to standard error and nobody has read."""
    try:
        return int.from_bytes(fcntl.ioctl(2, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:  # no pipe, so not in a process that decodes
        return 0

"""A rightsholder's pictures among the training pictures: searched, and compared by pixels, as generations are.

What belongs here: reading the pictures, searching with them, and the training rows that show what each matches. Nothing
is kept. What does not: what a published version says of these rows (`reports/claims/`), searching and measuring
(`matches/search.py`, `transforms/matches/candidates.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import batched, chain
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.ray_tasks import Lost
from orchestration.duplicates.pixel_comparisons import TASK, PicturePair, PixelOutcome, compare_pair
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.fingerprints.kinds import COPY
from orchestration.matches.candidates import (
    GenerationCandidates,
    align,
    equal_pictures,
    looks_of,
    scores_of,
)
from orchestration.matches.search import GenerationSearch, queries, search_all
from orchestration.progress import track
from orchestration.settings import Settings
from transforms import pictures
from transforms.alignment.comparer import Comparer
from transforms.encoders import Encoder, Vectors, full_call_of
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.feed import FedPicture, Feed
from transforms.fingerprints.fingerprint import FAILED, Fingerprint, Rules
from transforms.matches import candidates as rules
from transforms.matches.candidates import Comparison, PairEvidence
from transforms.pictures import Bounds, Pixels

VERDICTS = ("exact", "copy", "partial_copy", "altered_copy", "similar")
"""The words for a match, strongest first."""
CONFIRMED = VERDICTS[:4]
_AT_ONCE = 256  # pictures
_AHEAD = 16  # pictures, twice as many of which are made ready ahead
_ROWS = 1 << 22  # rows that are looked through at once


@dataclass(frozen=True)
class ClaimFile:
    """A rightsholder's file.

    Attributes:
        name: Its path below the folder, as text that any table can hold.
        path: Its path.
    """

    name: str
    path: Path

    def read(self, most: int) -> bytes:
        """Return its bytes. Raises OSError, also for one of more than `most`, and for a pipe or a device."""
        if self.path.exists() and not self.path.is_file():  # it might never end, or never begin
            raise OSError("it is no regular file")
        with self.path.open("rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise OSError(f"the file has more than {most:,} bytes, the limit")
        return data

    def pixels(self, bounds: Bounds) -> Pixels:
        """Return uint8 of shape (height, width, 3). Raises OSError or ValueError."""
        return pictures.decode(self.path.read_bytes(), bounds)


@dataclass(frozen=True)
class ClaimMatch:
    """A picture that training rows show, and that a claimed picture matches.

    Attributes:
        verdict: One of VERDICTS.
        evidence: The measurements behind it.
        rows: Ids of all training rows that show the picture or a copy of it, uint64, ascending.
    """

    verdict: str
    evidence: PairEvidence
    rows: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class ClaimedPicture:
    """A rightsholder's picture, and what it matches.

    Attributes:
        file: Its file.
        print_: Its fingerprint; if it failed, nothing was searched for it.
        matches: The matches, strongest first.
        not_compared: Candidates whose pixels could not be compared.
        why_not: The reason of the first of them; empty if there is none.
    """

    file: ClaimFile
    print_: Fingerprint
    matches: tuple[ClaimMatch, ...] = ()
    not_compared: int = 0
    why_not: str = ""

    @property
    def verdict(self) -> str:
        """The strongest verdict; `no_match_found`, or `not_searched` where the picture cannot be read."""
        if self.print_.status == FAILED:
            return "not_searched"
        return self.matches[0].verdict if self.matches else "no_match_found"


@dataclass(frozen=True)
class _ClaimSearch(GenerationSearch):
    """A search with pictures whose views were embedded just now."""

    vectors: Mapping[str, Vectors]

    def view_vectors(self, names: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `GenerationSearch`."""
        if self.encoder is None:
            return np.zeros((len(names), len(self.views), 0), np.float32)
        return np.stack([self.vectors[name] for name in names])


@dataclass(frozen=True)
class ClaimSearcher:
    """Searches the training set for a rightsholder's pictures.

    Attributes:
        search: The training pictures, and the rules of the search.
        encoder: Of the search; None where hashes alone are searched.
        rules: Rules for pictures.
        load: Locates training pictures.
        settings: Thresholds, and where pixels are compared.
    """

    search: GenerationSearch
    encoder: Encoder | None
    rules: Rules
    load: TrainingPictures
    settings: Settings

    def find(self, files: Sequence[ClaimFile]) -> Iterator[ClaimedPicture]:
        """Yield every file with what it matches, in order.

        Args:
            files: Files of different names.
        """
        held = max(1, len(self.search.views) * self.search.dimension * 4)
        size = max(1, min(_AT_ONCE, self.search.memory // 4 // held))
        encoders = {COPY: self.encoder} if self.encoder else {}
        feed = Feed(self.rules, encoders, self.search.views, dihedral=True, expected=len(files))
        for some in batched(track(files, "searching for pictures", len(files)), size):
            yield from self._found(some, feed)

    def _found(self, files: Sequence[ClaimFile], feed: Feed) -> list[ClaimedPicture]:
        read = self._read(files, feed)
        usable = {name: of for name, (of, _) in read.items() if of.status != FAILED}
        vectors = {name: found for name, (_, found) in read.items() if found is not None}
        given = {field.name: getattr(self.search, field.name) for field in fields(self.search)}
        search = _ClaimSearch(**given, vectors=vectors)
        chosen = self._chosen(search, usable)
        outcomes = self._compared(chosen, {file.name: file for file in files})
        matches = self._matches(search, chosen, outcomes)
        found = []
        for file in files:
            evidence = matches.get(file.name, [])
            failed = [each.failure for _, each in evidence if each.failure is not None]
            own = [(word, each) for word, each in evidence if word is not None]
            own.sort(key=lambda pair: (VERDICTS.index(pair[0]), -(pair[1].copy_score or 0.0)))
            listed = tuple(
                ClaimMatch(word, each, rows) for (word, each), rows in zip(own, self._rows(own), strict=True)
            )
            why = failed[0] if failed else ""
            found.append(ClaimedPicture(file, read[file.name][0], listed, len(failed), why))
        return found

    def _read(self, files: Sequence[ClaimFile], feed: Feed) -> dict[str, tuple[Fingerprint, Vectors | None]]:
        """Return by name a picture's fingerprint, and the vectors of its views where there is an encoder."""
        fed = partial(_fed, feed, self.rules.member_bytes)
        pace = WorkPace(_AHEAD, engines.CORES).by(feed.files)
        ready = work_ahead(fed, feed.handfuls(files, pace.workers), pace)
        at_once = max(1, full_call_of(self.encoder) // max(1, len(self.search.views)))
        embedded = work_ahead(self._embedded, batched(chain.from_iterable(ready), at_once), WorkPace(1, 1))
        return {file.name: found for file, found in zip(files, chain.from_iterable(embedded), strict=True)}

    def _embedded(self, some: Sequence[FedPicture]) -> list[tuple[Fingerprint, Vectors | None]]:
        inputs = [picture for fed in some for picture in fed.inputs.get(COPY, ())]
        if self.encoder is None or not inputs:
            return [(fed.print_, None) for fed in some]
        vectors = iter(self.encoder.embed(inputs).reshape(-1, len(self.search.views), self.encoder.id.dimension))
        return [(fed.print_, next(vectors) if COPY in fed.inputs else None) for fed in some]

    def _chosen(self, search: GenerationSearch, usable: Mapping[str, Fingerprint]) -> list[GenerationCandidates]:
        """Return the training pictures that each picture is to be compared with."""
        table = pa.Table.from_pylist([_row(name, of) for name, of in usable.items()], _COLUMNS)
        by_name = {query.generation_id: query for query in queries(table)}
        lists, _ = search_all(search, by_name, {})
        equal = equal_pictures(search.facts, search.pictures, table)
        found = []
        for name, query in by_name.items():
            same = equal.get(name, rules.EqualPictures())
            near = rules.candidates_by_looks(query, same, *lists[name], search.pictures, search.cut, search.views)
            picked = rules.choose(near, search.pictures, search.cut)
            found.append(GenerationCandidates(query, name, same, near, picked))
        return found

    def _compared(
        self, chosen: Sequence[GenerationCandidates], files: Mapping[str, ClaimFile]
    ) -> dict[tuple[str, str], PixelOutcome]:
        """Lay each chosen training picture over the picture it was chosen for."""
        index = self.search.pictures
        located = self.load.locate(int(index.ids[picture]) for each in chosen for picture in each.to_compare)
        pairs = [
            PicturePair((each.path, index.hex_digest(picture)), files[each.path], located[int(index.ids[picture])])
            for each in chosen
            for picture in each.to_compare
        ]
        cut = self.settings.thresholds
        comparer = Comparer[Any](methodcaller("pixels", self.load.bounds), cut.pixels, cut.alterations)
        how = engines.by_core(self.settings.compute)
        done = engines.each(compare_pair, batched(pairs, TASK), how, (partial(align, comparer),), engines.CORES)
        return {pair.keys: PixelOutcome(None, str(found)) if isinstance(found, Lost) else found for pair, found in done}

    def _matches(
        self,
        search: GenerationSearch,
        chosen: Sequence[GenerationCandidates],
        outcomes: Mapping[tuple[str, str], PixelOutcome],
    ) -> dict[str, list[tuple[str | None, PairEvidence]]]:
        """Return the evidence about each picture, with its word."""
        cut, index = self.settings.thresholds, search.pictures
        found: dict[str, list[tuple[str | None, PairEvidence]]] = {}
        for each, scored in zip(chosen, scores_of(chosen, search), strict=True):
            for picture, score, box in scored:
                outcome = outcomes[each.path, index.hex_digest(picture)]
                comparison = Comparison(picture, score, box, *looks_of(outcome.text), outcome.failure)
                evidence = rules.measure(each.query, each.equal, comparison, index)
                word = rules.verdict(evidence, cut.pixels, cut.alterations, cut.similar, cut.pdq)
                found.setdefault(each.path, []).append((word, evidence))
        return found

    def _rows(self, matches: Sequence[tuple[str, PairEvidence]]) -> list[npt.NDArray[np.uint64]]:
        """Return for each match the training rows of its cluster, those that are recalled too."""
        index = self.search.pictures
        heads = np.array([index.head[each.index] for _, each in matches], np.int64)
        rows: list[list[npt.NDArray[np.uint64]]] = [[] for _ in matches]
        for start in range(0, len(index.index_of_row) if len(heads) else 0, _ROWS):
            of_row = index.head[index.index_of_row[start : start + _ROWS]]
            near = np.flatnonzero(np.isin(of_row, heads))
            for at, head in enumerate(heads):
                rows[at].append(index.rows.ids[start + near[of_row[near] == head]])
        return [np.concatenate(parts) for parts in rows]


def _fed(feed: Feed, most: int, files: Sequence[ClaimFile]) -> list[FedPicture]:
    """Read files and make them ready. One that cannot be read has failed."""
    read: list[bytes | OSError] = []
    for file in files:
        try:
            read.append(file.read(most))
        except OSError as error:
            read.append(error)
    fed = iter(feed([data for data in read if isinstance(data, bytes)]))
    return [next(fed) if isinstance(data, bytes) else FedPicture(_unopened(data)) for data in read]


def _unopened(error: OSError) -> Fingerprint:
    return Fingerprint(FAILED, f"cannot be opened: {error.strerror or error}")


_COLUMNS = pa.schema(
    {
        "generation_id": pa.string(),
        "sha256": pa.string(),
        "pixel_sha256": pa.string(),
        "status": pa.string(),
        "dihedral_pdq": pa.list_(pa.string()),
    }
)


def _row(name: str, print_: Fingerprint) -> dict[str, object]:
    hashes = [] if print_.dihedral is None else [each.tobytes().hex() for each in print_.dihedral]
    columns = {column: getattr(print_, column) for column in ("sha256", "pixel_sha256", "status")}
    return {"generation_id": name, "dihedral_pdq": hashes, **columns}

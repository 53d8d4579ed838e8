"""Pictures of opt-out lists, fingerprinted once: the facts `listed_pictures` and `listed_embeddings`.

What belongs here: reading the files, and what is kept of them. What does not: finding the lists
(`catalog/opt_outs.py`), searching with the pictures (`matches/listed_copies.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import batched, chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.catalog.opt_outs import OptOutList
from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import COPY
from orchestration.progress import say, track
from transforms.catalog.opt_outs import OptOutListError
from transforms.encoders import Encoder
from transforms.fingerprints.ahead import WorkPace, work_ahead
from transforms.fingerprints.embeddings import vector_column
from transforms.fingerprints.feed import FedPicture, Feed
from transforms.fingerprints.fingerprint import FAILED, OK, Rules
from transforms.fingerprints.views import View

CODE = 1  # raise when a picture would have other fingerprints
_FORGOTTEN = 500  # pictures in one filter

type ListedFiles = Mapping[str, Path]
"""A file of each listed picture, by its SHA-256."""


@dataclass(frozen=True)
class ListedPrinter:
    """Fingerprints listed pictures.

    Attributes:
        facts: The fact tables; `listed_pictures` and `listed_embeddings` are written.
        rules: What a picture must satisfy.
        encoder: Of copies; None: nothing is embedded.
        views: The parts of a picture that are embedded.
        pace: The size of a batch, and the number of threads.
    """

    facts: Facts
    rules: Rules
    encoder: Encoder | None
    views: Sequence[View]
    pace: WorkPace

    def update(self, files: ListedFiles) -> dict[str, int]:
        """Fingerprint what is new, forget what is gone, and return counts by name; none without pictures.

        Args:
            files: The listed pictures.

        Raises:
            OptOutListError: If one cannot be read: a row that it would name must not be published.
        """
        table, embeddings = self.facts["listed_pictures"], self.facts["listed_embeddings"]
        if self.encoder:  # vectors of another encoder go, and with them the notes that pictures are done
            embeddings.reset(str(self.encoder.id), self.encoder.id.dimension)
        elif embeddings.dataset().count_rows():
            embeddings.clear()
        done = table.read(["listed_sha256", "recipe"]).to_pylist()
        current = {row["listed_sha256"] for row in done if row["recipe"] == self.recipe}
        for some in batched([row["listed_sha256"] for row in done if row["listed_sha256"] not in files], _FORGOTTEN):
            for each in (table, embeddings):
                each.delete(is_in("listed_sha256", some))
        due = {digest: path for digest, path in files.items() if digest not in current}
        if due:
            self._fingerprint(due)
        return {"listed pictures fingerprinted now": len(due)} if files else {}

    @property
    def recipe(self) -> str:
        """The recipe of a picture's fingerprints; its file is its key."""
        encoder = str(self.encoder.id) if self.encoder else None
        return recipe("listed pictures", CODE, self.rules, encoder, list(self.views))

    def _fingerprint(self, due: ListedFiles) -> None:
        encoders = {COPY: self.encoder} if self.encoder else {}
        if self.encoder:  # other views are not searched with any more
            embeddings = self.facts["listed_embeddings"]
            embeddings.delete(f"not ({is_in('view', (view.name for view in self.views))})")
        feed = Feed(self.rules, encoders, self.views, dihedral=True, expected=len(due))
        size = max(1, self.pace.batch // 4)  # each has many views
        pace = WorkPace(size, self.pace.workers).by(feed.files)
        handfuls = feed.handfuls(due.items(), pace.workers)
        read = work_ahead(partial(_fed, feed, self.rules.member_bytes), handfuls, pace)
        for some in batched(track(chain.from_iterable(read), "fingerprinting listed pictures", len(due)), size):
            if self.encoder:
                self._embed(self.encoder, some)
            self.facts["listed_pictures"].upsert(self._rows(some))

    def _rows(self, some: Iterable[tuple[str, Path, FedPicture]]) -> pa.Table:
        rows = []
        for digest, path, fed in some:
            print_ = fed.print_
            if print_.status == FAILED:
                raise OptOutListError(
                    f"{path} is no usable picture: {print_.failure}; replace it, or take it out of the folder"
                )
            if print_.sha256 != digest:
                raise OptOutListError(f"{path} changed while it was read; run again once it is whole")
            if print_.status != OK:
                say(f"warning: {path} is too flat for a perceptual hash; equal pictures are found all the same")
            hashes = [] if print_.dihedral is None else [each.tobytes().hex() for each in print_.dihedral]
            known = {"pixel_sha256": print_.pixel_sha256, "status": print_.status, "dihedral_pdq": hashes}
            rows.append({"listed_sha256": digest, "recipe": self.recipe, **known})
        return pa.Table.from_pylist(rows, self.facts["listed_pictures"].schema)

    def _embed(self, encoder: Encoder, some: Sequence[tuple[str, Path, FedPicture]]) -> None:
        table = self.facts.embeddings("listed_embeddings", str(encoder.id), encoder.id.dimension)
        usable = [(digest, fed.inputs[COPY]) for digest, _, fed in some if fed.print_.status != FAILED]
        if not usable:
            return
        columns = {
            "listed_sha256": pa.array(np.repeat([digest for digest, _ in usable], len(self.views)).tolist()),
            "view": pa.array([view.name for view in self.views] * len(usable)),
            "vector": vector_column(encoder.embed([picture for _, inputs in usable for picture in inputs])),
        }
        table.upsert(pa.table(columns))


def listed_files(lists: Iterable[OptOutList], *, copies: bool = False) -> dict[str, Path]:
    """Return a file of each picture that lists name, by its SHA-256, in the order of these.

    Args:
        lists: The opt-out lists.
        copies: Whether only lists count whose pictures' copies are withdrawn.
    """
    chosen = [each for each in lists if each.copies or not copies]
    return dict(sorted((digest, path) for each in chosen for path, _, digest in each.pictures))


def _fed(feed: Feed, largest: int, some: Sequence[tuple[str, Path]]) -> list[tuple[str, Path, FedPicture]]:
    fed = feed([_read(path, largest) for _, path in some])
    return [(digest, path, each) for (digest, path), each in zip(some, fed, strict=True)]


def _read(path: Path, largest: int) -> bytes:
    """Return the bytes of a listed picture. Raises OptOutListError if they cannot be had, or are too many."""
    try:
        if (size := path.stat().st_size) > largest:
            raise OptOutListError(f"{path} has {size:,} bytes, more than limits.member_bytes; put a smaller copy there")
        return path.read_bytes()
    except OSError as error:
        raise OptOutListError(f"{path} cannot be read: {error.strerror}; check its permissions") from error

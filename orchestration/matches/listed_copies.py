"""Training pictures that show a picture of an opt-out list, confirmed as sources of generations are: `listed_copies`.

What belongs here: searching with listed pictures, what is new on either side alone, comparing by pixels, and keeping
what is confirmed. What does not: reading the pictures (`matches/listed_pictures.py`), which rows they withdraw
(`catalog/opt_outs.py`), the rules (`transforms/matches/candidates.py`).

Opt-outs come before clusters, which they change. So one picture is compared of each component of confirmed pairs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.duplicates.pixel_comparisons import PixelComparisons, failures
from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.recipes import recipe
from orchestration.facts.training_pictures import PixelRecipes, TrainingPictures
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_index import PictureIndex, read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.matches import candidates, search
from orchestration.matches.candidates import GenerationComparer, gather
from orchestration.matches.claims import CONFIRMED
from orchestration.matches.neighbour_lists import LISTED
from orchestration.matches.search import GenerationSearch, candidate_thresholds
from orchestration.settings import Settings
from transforms.duplicates import members
from transforms.encoders import EncoderId
from transforms.fingerprints.picture_set import Pictures
from transforms.fingerprints.views import View
from transforms.matches import candidates as rules
from transforms.matches.candidates import PairEvidence
from transforms.storage.stores import plain

CODE = 1  # raise when the same fingerprints would give other copies
_TABLES = (LISTED.lists, LISTED.searched, "listed_comparisons", "listed_copies")
_CHUNK = 1 << 18  # rows
_COPIED = "training pictures that show listed ones"
_NO_COUNTS = {
    "listed pictures: compared now": 0,
    "listed pictures: could not be compared": 0,
    "listed pictures: waiting for image dumps": 0,
}


@dataclass(frozen=True)
class ListedCopies:
    """Finds the training pictures that show listed ones.

    Attributes:
        facts: The fact tables; `listed_copies` and what it is made by are written.
        encoder: Of copies; None: hashes alone are searched.
        views: The parts of a listed picture that are searched with.
        load: Locates training pictures.
        settings: Thresholds, memory, and where pixels are compared.
    """

    facts: Facts
    encoder: EncoderId | None
    views: Sequence[View]
    load: TrainingPictures
    settings: Settings

    def update(self, files: Mapping[str, Path]) -> dict[str, int]:
        """Bring `listed_copies` up to date, and return counts by name. Without files, everything is forgotten.

        Args:
            files: A file of each listed picture, by its SHA-256, ascending; all are in `listed_pictures`.
        """
        if not files:
            for name in _TABLES:
                if self.facts[name].recipe or self.facts[name].dataset().count_rows():
                    self.facts[name].clear()
            return {}
        table, compared = self.facts["listed_copies"], self.facts["listed_comparisons"]
        recipes = PixelRecipes.of(self.facts, self._recipe(files))
        outdated = not recipes.hold((table,))
        if not outdated and not failures(compared):
            return {_COPIED: table.dataset().count_rows(), **_NO_COUNTS}
        cut = self.settings.thresholds
        comparisons = PixelComparisons(compared, candidates.comparison_recipe(cut.pixels), (table,))
        asked = self._asked(files)
        searched = self._search()
        search.update_lists(searched, asked)
        inputs = searched, asked, candidates.equal_pictures(self.facts, searched.pictures, asked)
        how = self.load, cut.pixels, cut.alterations, self.settings.compute, LISTED.asked
        GenerationComparer(searched.pictures, *how).compare(gather(*inputs), len(asked), comparisons)
        if outdated or comparisons.changed:
            measured = candidates.measure(gather(*inputs), comparisons, searched)
            table.replace(self._rows(measured, searched.pictures), recipes.after(0, comparisons.waiting))
        return {
            _COPIED: table.dataset().count_rows(),
            "listed pictures: compared now": comparisons.compared,
            "listed pictures: could not be compared": comparisons.failed,
            "listed pictures: waiting for image dumps": comparisons.waiting,
        }

    def _recipe(self, files: Iterable[str]) -> str:
        cut = self.settings.thresholds
        codes = CODE, search.CODE, candidates.CODE, candidates.ALTERATION_CODE
        training = fingerprint_versions(self.facts, str(self.encoder) if self.encoder else None)
        pairs = self.facts["duplicate_pairs"].version
        how = candidate_thresholds(self.settings), cut.pixels, cut.alterations, cut.pdq_quality, list(self.views)
        made = self.facts["listed_pictures"].read(["listed_sha256", "recipe"]).sort_by("listed_sha256").to_pylist()
        return recipe("listed copies", codes, training, pairs, how, made, list(files))

    def _asked(self, files: Mapping[str, Path]) -> pa.Table:
        """Return the listed pictures in the columns of generations."""
        rows = self.facts["listed_pictures"].read().to_pylist()
        found = [
            {
                "generation_id": row["listed_sha256"],
                "sha256": row["listed_sha256"],
                **{name: row[name] for name in ("pixel_sha256", "status", "dihedral_pdq", "recipe")},
                "path": plain(str(files[row["listed_sha256"]])),
            }
            for row in rows
            if row["listed_sha256"] in files
        ]
        return pa.Table.from_pylist(found, _ASKED).sort_by("generation_id")

    def _search(self) -> GenerationSearch:
        memory = self.settings.memory
        rows = usable_pictures(self.facts, memory.pictures)
        index = read_index(self.facts, self.encoder, rows, clusters=_components(self.facts, rows))
        cut, quality = candidate_thresholds(self.settings), self.settings.thresholds.pdq_quality
        return GenerationSearch(self.facts, index, self.encoder, self.views, cut, quality, memory.joins, tables=LISTED)

    def _rows(self, measured: Iterable[Sequence[PairEvidence]], index: PictureIndex) -> Iterator[pa.Table]:
        cut = self.settings.thresholds
        for evidence in measured:
            rows = []
            for each in evidence:
                word = rules.verdict(each, cut.pixels, cut.alterations, cut.similar, cut.pdq)
                if word in CONFIRMED:
                    rows.append(_row(each, str(word), index))
            yield pa.Table.from_pylist(rows, SCHEMAS["listed_copies"])


_ASKED = pa.schema(
    {
        **dict.fromkeys(("generation_id", "sha256", "pixel_sha256", "status", "recipe", "path"), pa.string()),
        "dihedral_pdq": pa.list_(pa.string()),
    }
)


def _row(evidence: PairEvidence, word: str, index: PictureIndex) -> dict[str, object]:
    alteration, alignment = evidence.alteration, evidence.alignment
    altered = alteration if word == "altered_copy" else None
    looks = altered or alignment
    return {
        "listed_sha256": evidence.generation_id,
        "pixel_sha256": index.hex_digest(evidence.index),
        "sample_id": int(index.ids[evidence.index]),
        "verdict": word,
        "copy_score": evidence.copy_score,
        "pdq_distance": evidence.pdq_distance,
        "aligned_distance": looks and looks.aligned_distance,
        "inliers": altered.matches if altered else alignment and alignment.inliers,
        "overlap_listed": looks and looks.overlap_a,
        "overlap_training": looks and looks.overlap_b,
    }


def _components(facts: Facts, rows: Pictures) -> Iterator[pa.RecordBatch]:
    """Yield each usable row with the first row of its component of confirmed pairs, where that is another."""
    pairs = facts["duplicate_pairs"].scan(["sample_id_a", "sample_id_b"], "method <> 'similar'")
    labels = members.connect(rows, pairs).labels()
    for start in range(0, len(rows), _CHUNK):
        first = labels[start : start + _CHUNK].astype(np.int64)
        own = np.arange(start, start + len(first))
        tied = first != own
        columns = [rows.ids[own[tied]], rows.ids[first[tied]]]
        yield pa.RecordBatch.from_arrays([pa.array(each) for each in columns], ["sample_id", "representative_id"])

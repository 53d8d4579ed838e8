"""The training pictures nearest to each generation in meaning: the fact `related_pictures`.

What belongs here: bringing the lists and the rows up to date. What does not: the embeddings of generations
(`provenance/meaning/generation_vectors.py`), the exact search and its lists (`matches/search.py`), percentiles
(`sql/provenance/related.sql`). Related is no kind of match: no verdict, and no candidate, comes from here.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from orchestration.duplicates.members import clusters_digest
from orchestration.facts import SCHEMAS, Facts
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import SEMANTIC
from orchestration.fingerprints.notes import fingerprint_versions
from orchestration.fingerprints.picture_index import read_index
from orchestration.fingerprints.picture_set import usable_pictures
from orchestration.matches import search
from orchestration.matches.neighbour_lists import RELATED, KeptLists
from orchestration.matches.search import GenerationSearch, SearchCounts
from orchestration.provenance.meaning import generation_vectors
from orchestration.provenance.meaning.generation_vectors import WHOLE_VIEW
from orchestration.settings import Settings
from transforms.encoders import Encoder
from transforms.fingerprints.picture_set import Pictures
from transforms.matches import neighbour_lists
from transforms.matches.candidates import CandidateThresholds

CODE = 1  # raise when the same embeddings would give other related pictures
TABLES = (RELATED.lists, RELATED.searched, "related_pictures")
_AT_ONCE = 512  # generations


def clear(facts: Facts, names: Sequence[str] = TABLES) -> None:
    """Empty tables that nothing is to be in any more. Writes nothing if they are empty.

    Args:
        facts: The fact tables.
        names: The tables.
    """
    for name in names:
        if facts[name].recipe or facts[name].dataset().count_rows():
            facts[name].clear()


def update(facts: Facts, encoder: Encoder, settings: Settings, generations: pa.Table, failed: int) -> SearchCounts:
    """Search with the generations that have an embedding, what is new on either side alone, and write the rows.

    Args:
        facts: The fact tables; `generation_meanings` is up to date.
        encoder: The semantic encoder.
        settings: All of them.
        generations: All readable generations.
        failed: Those that could not be read for their embedding. The next run then looks again.

    Raises:
        EncoderMismatch: If a shard was embedded by another encoder.
        dg.Failure: If a picture has no embedding.
    """
    table, asked = facts["related_pictures"], generation_vectors.embedded(facts, encoder, generations)
    training = fingerprint_versions(facts, str(encoder.id), SEMANTIC), clusters_digest(facts)
    made = asked.select(["generation_id", "recipe"]).to_pylist()
    made_by = recipe("related", CODE, search.CODE, *training, settings.search.related, made)
    if table.recipe == made_by:
        return SearchCounts()
    memory = settings.memory
    rows = usable_pictures(facts, memory.pictures) if len(asked) else Pictures((), 0, facts.folder, memory.pictures)
    index = read_index(facts, encoder.id, rows, SEMANTIC)
    cut = CandidateThresholds(pdq=0, candidate=-1.0, neighbours=settings.search.related)  # all have neighbours
    searched = GenerationSearch(facts, index, encoder.id, (WHOLE_VIEW,), cut, 0, memory.joins, tables=RELATED)
    counts = search.update_lists(searched, asked)
    table.replace(_rows(searched, asked), "" if failed else made_by)
    return counts


def _rows(searched: GenerationSearch, generations: pa.Table) -> Iterator[pa.Table]:
    """Yield the nearest picture of each of the nearest clusters, in batches of generations."""
    index, lists = searched.pictures, KeptLists(searched.facts, searched.pictures.digests, searched.tables)
    for start in range(0, len(generations), _AT_ONCE):
        batch = generations.slice(start, _AT_ONCE)
        near = lists.read(searched.recipes(batch))
        found = []
        for name in batch["generation_id"].to_pylist():
            by_embedding, _ = near[name]
            for position in neighbour_lists.best(by_embedding, index.head, searched.cut.demand).tolist():
                picture, score = int(by_embedding.index[position]), float(by_embedding.score[position])
                found.append({"generation_id": name, "sample_id": int(index.ids[picture]), "score": score})
        yield pa.Table.from_pylist(found, SCHEMAS["related_pictures"])

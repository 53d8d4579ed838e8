"""Which shards lack which fingerprints.

What belongs here: comparing the current recipes of a shard with those of its notes, and telling which shards may hold
the same rows. What does not: a second dump of the same rows (`fingerprints/second_dump.py`), the work
(`fingerprints/shards.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.catalog.shards import landed_shards
from orchestration.facts import Facts
from orchestration.facts.filters import is_in
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import FIRST_DUMP, REDOWNLOAD, RIGHTS, TABLES
from orchestration.fingerprints.makers import Makers
from transforms.catalog.landing import OK, ROW_BITS, LandedShard
from transforms.fingerprints.row_matching import metadata_of


@dataclass(frozen=True)
class DueShard:
    """A shard whose pictures lack some fingerprints.

    Attributes:
        shard: The shard.
        files: Shards whose metadata may list its pictures.
        recipes: The recipe of each fingerprint that it lacks, by kind.
        shared: Whether a row of its metadata may be in the tables as that of another shard: see `with_shared`.
    """

    shard: LandedShard
    files: Sequence[LandedShard]
    recipes: Mapping[str, str]
    shared: bool = False

    @property
    def rights_alone(self) -> bool:
        """Whether it lacks no fingerprint, but was not read for what its files say of their use."""
        return self.recipes.keys() == {RIGHTS}

    @property
    def partition(self) -> str:
        """Its Dagster partition."""
        return self.shard.files.partition


def due_shards(facts: Facts, makers: Makers) -> list[DueShard]:
    """Return the shards whose delivery, metadata, encoders or rules changed since they were fingerprinted.

    A shard whose image dump is gone is not due: see `outdated_for_good`.

    Args:
        facts: The fact tables; landed shards and notes are read.
        makers: The current rules and encoders.
    """
    return [each for each in _outdated(facts, makers) if not each.shard.files.images_gone]


def outdated_for_good(facts: Facts, makers: Makers) -> list[DueShard]:
    """Return the shards that would be due, but keep their fingerprints as they are: their image dumps are gone.

    Args:
        facts: The fact tables; landed shards and notes are read.
        makers: The current rules and encoders.
    """
    return [each for each in _outdated(facts, makers) if each.shard.files.images_gone]


def _outdated(facts: Facts, makers: Makers) -> list[DueShard]:
    landed = landed_shards(facts, "images_path is not null")
    if not landed:
        return []  # without loading an encoder
    notes = facts["fingerprinted_shards"].read(["shard_id", "fingerprint", "recipe"]).to_pylist()
    done = {(each["shard_id"], each["fingerprint"]): each["recipe"] for each in notes}
    digests = {kind: digest for kind, digest in makers.digests().items() if kind != REDOWNLOAD}
    files = landed_shards(facts, "metadata_path is not null")
    due, listed = [], Counter[int]()
    for shard in landed:
        listing = metadata_of(shard, files)
        listed.update(each.shard_id for each in listing)
        # a tar without metadata of its own name meets rows of other files
        others = [] if shard.status == OK else deliveries(listing)
        recipes = {
            kind: recipe("shard fingerprints", digest, shard.delivery, others) for kind, digest in digests.items()
        }
        missing = {kind: made_by for kind, made_by in recipes.items() if done.get((shard.shard_id, kind)) != made_by}
        if missing:
            due.append(DueShard(shard, listing, missing))
    noted = {shard_id for shard_id, _ in done}.intersection(each.shard.shard_id for each in due)
    return with_shared(facts, due, listed, noted, FIRST_DUMP)


def with_shared(
    facts: Facts,
    due: Sequence[DueShard],
    listed: Mapping[int, int],
    outdated: Collection[int],
    kinds: Iterable[str],
) -> list[DueShard]:
    """Return due shards that say whether another shard may hold a row of their metadata.

    A dump with metadata of its own name shows rows of that alone. One without looks for its pictures in the metadata of
    others (`metadata_of`), so two such dumps, or one and the dump that the metadata belongs to, may show one row: by a
    picture that was downloaded twice, or of two equal rows each dump's first picture takes the first. The fingerprints
    written last are then those of the row, and it counts as a row of that shard. Where shards went by other metadata
    when they were fingerprinted, as before they got metadata of their own, their rows are looked at.

    Args:
        facts: The fact tables; the rows of outdated shards are read, if there are any.
        due: The shards.
        listed: How many shards look for their pictures in the metadata of each, those included that are not due.
        outdated: Shards that may hold rows of an earlier delivery.
        kinds: The fingerprints that these may have.
    """
    holders = defaultdict[int, set[int]](set)
    for kind in kinds if outdated else ():
        for batch in facts[TABLES[kind]].scan(["sample_id", "shard_id"], is_in("shard_id", outdated)):
            rows_of = pc.shift_right(batch.column("sample_id"), pa.scalar(ROW_BITS, pa.uint64()))
            pairs = pa.table([rows_of, batch.column("shard_id")], ["rows_of", "held_by"])
            for pair in pairs.group_by(["rows_of", "held_by"]).aggregate([]).to_pylist():
                if len(held_by := holders[pair["rows_of"]]) < 2:  # two: whoever asks, one of them is another
                    held_by.add(pair["held_by"])

    def shared(shard: DueShard) -> bool:
        own = {shard.shard.shard_id}
        return any(listed.get(each.shard_id, 0) > 1 or holders.get(each.shard_id, own) - own for each in shard.files)

    return [replace(each, shared=shared(each)) for each in due]


def deliveries(files: Sequence[LandedShard]) -> list[tuple[str | None, int | None]]:
    """Return values that change with each delivery of these metadata files; nulls for a dump without metadata."""
    found = (each.files.metadata for each in files)
    return [(file.path, file.mtime_ns) if file else (None, None) for file in found]

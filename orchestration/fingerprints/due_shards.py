"""Which shards lack which fingerprints.

What belongs here: comparing the current recipes of a shard with those of its notes. What does not: a second dump of the
same rows (`fingerprints/second_dump.py`), the work (`fingerprints/shards.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.catalog.shards import landed_shards
from orchestration.facts import Facts
from orchestration.facts.recipes import recipe
from orchestration.fingerprints.kinds import REDOWNLOAD
from orchestration.fingerprints.makers import Makers
from transforms.catalog.landing import OK, LandedShard
from transforms.fingerprints.row_matching import metadata_of


@dataclass(frozen=True)
class DueShard:
    """A shard whose pictures lack some fingerprints.

    Attributes:
        shard: The shard.
        files: Shards whose metadata may list its pictures.
        recipes: The recipe of each fingerprint that it lacks, by kind.
    """

    shard: LandedShard
    files: Sequence[LandedShard]
    recipes: Mapping[str, str]

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
    due = []
    for shard in landed:
        listing = metadata_of(shard, files)
        # a tar without metadata of its own name meets rows of other files
        others = [] if shard.status == OK else deliveries(listing)
        recipes = {
            kind: recipe("shard fingerprints", digest, shard.delivery, others) for kind, digest in digests.items()
        }
        missing = {kind: made_by for kind, made_by in recipes.items() if done.get((shard.shard_id, kind)) != made_by}
        if missing:
            due.append(DueShard(shard, listing, missing))
    return due


def deliveries(files: Sequence[LandedShard]) -> list[tuple[str | None, int | None]]:
    """Return values that change with each delivery of these metadata files; nulls for a dump without metadata."""
    found = (each.files.metadata for each in files)
    return [(file.path, file.mtime_ns) if file else (None, None) for file in found]

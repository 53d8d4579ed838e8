"""Fingerprinting the shards that are due.

What belongs here: building the jobs, and passing their results to the tables. What does not: which shards are due
(`fingerprints/due_shards.py`), where jobs run (`compute/engines.py`), the work of a job
(`transforms/fingerprints/shard.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from orchestration.compute import engines
from orchestration.compute.named_encoders import device_of_workers
from orchestration.facts import Facts
from orchestration.facts.filters import equals
from orchestration.fingerprints.due_shards import DueShard
from orchestration.fingerprints.kinds import EMBEDDINGS, HASHES, IMAGES, RIGHTS
from orchestration.fingerprints.makers import Makers
from orchestration.fingerprints.shard_writer import ShardGroup, ShardWriter, prepare
from orchestration.progress import track
from orchestration.settings import Settings
from transforms.catalog.landing import LandedShard
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import FAILED, STORED
from transforms.fingerprints.row_matching import MetadataFile
from transforms.fingerprints.shard import Account, Batch, Job, ShardResult
from transforms.storage.copies import copied_ahead

_REUSED = 131_072  # rows of a shard delivered again that are held in memory, so that known pictures are not computed


@dataclass(frozen=True)
class ShardFingerprinter:
    """Fingerprints shards and commits them.

    Attributes:
        facts: Where fingerprints are written.
        makers: The rules and encoders.
        settings: The engine of the jobs, and the rows of a commit.
        pace: The size of a batch and the number of threads.
        fetched: Folder for dumps from a store while they are read.
    """

    facts: Facts
    makers: Makers
    settings: Settings
    pace: WorkPace
    fetched: Path

    def run(self, due: Sequence[DueShard], task: str = "fingerprinting") -> Iterator[tuple[DueShard, Account]]:
        """Fingerprint shards, and yield each shard with its account once it is committed.

        Shards that end close together are one commit a table. A run that is killed loses the shards in hand.

        Args:
            due: The shards.
            task: The task as the progress report names it.
        """
        if not due:
            return
        for kind in {kind for each in due for kind in each.recipes} & EMBEDDINGS.keys():
            self._bind(kind)
        prepare(self.facts, due)
        rows = self.settings.limits.commit_rows
        writers = [ShardWriter(self.facts, each, self.makers, rows) for each in due]
        group = ShardGroup(self.facts, self.makers, rows)
        jobs = (self._job(each) for each in due)
        copies = copied_ahead(map(_dump, due), self.fetched)
        results = engines.fingerprint(jobs, self.settings.compute, self.makers.load, copies, len(due))
        try:
            for index, item in track(results, task, sum(each.shard.rows for each in due) or None, _size):
                if isinstance(item, Batch):
                    writers[index].add(item)
                else:
                    group.add(writers[index], item)
                if group.due:
                    yield from group.commit()
            yield from group.commit()
        finally:
            results.close()
            copies.close()
            for writer in writers:
                writer.discard()

    def _bind(self, kind: str) -> None:
        """Bind a table to the current encoder. A table of another encoder is emptied; its shards are due again."""
        encoder = self.makers.encoder(kind).id
        self.facts[EMBEDDINGS[kind]].reset(str(encoder), encoder.dimension)

    def _job(self, due: DueShard) -> Job:
        dump = _dump(due)
        known, maker = (None, None) if due.rights_alone else self._known(due)
        return Job(
            dump=dump,
            fetched=str(self.fetched),
            files=tuple(
                MetadataFile(each.shard_id, each.readable_path, own=_holds_pictures(each, dump))
                for each in due.files
                if each.readable_path
            ),
            encoders={kind: name for kind, name in self.makers.encoder_names.items() if kind in due.recipes},
            rules=self.makers.rules,
            pace=self.pace,
            known=known,
            known_by_older_code=known is not None and maker != self.makers.digests()[HASHES],
            rights=self.makers.rights if RIGHTS in due.recipes else None,
            hashes=not due.rights_alone,
            device=device_of_workers(self.settings.encoders.device, self.settings.compute),
        )

    def _known(self, due: DueShard) -> tuple[pa.Table | None, str | None]:
        """Return the fingerprints that were computed for this shard before and are good still, and what made them."""
        where = equals("shard_id", due.shard.shard_id)
        notes = self.facts["fingerprinted_shards"].read(["fingerprint", "maker"], where).to_pylist()
        before = {each["fingerprint"]: each["maker"] for each in notes}
        kinds = [kind for kind in EMBEDDINGS if kind in due.recipes]
        images = self.facts[IMAGES[HASHES]]
        makers = [self.makers.digests(), *self.makers.digests_before()]
        if not any(all(before.get(kind) == made_by[kind] for kind in (HASHES, *kinds)) for made_by in makers):
            return None, None
        if not 0 < images.dataset().count_rows(filter=where) <= _REUSED:
            return None, None
        known = pl.DataFrame(images.read(["sample_id", *STORED], f"{where} and status <> '{FAILED}'"))
        for kind in kinds:
            vectors = pl.DataFrame(self.facts[EMBEDDINGS[kind]].read(["sample_id", "vector"], where))
            known = known.join(vectors.rename({"vector": kind}), on="sample_id", how="left", maintain_order="left")
        return known.to_arrow(), before[HASHES]


def _dump(due: DueShard) -> str:
    """Return the path of a shard's image dump."""
    images = due.shard.files.images
    if images is None:
        raise ValueError(f"{due.partition} has no pictures to fingerprint")
    return images.path


def _size(result: ShardResult) -> int:
    return len(result[1].images) if isinstance(result[1], Batch) else 0


def _holds_pictures(shard: LandedShard, images: str) -> bool:
    """Return whether the metadata of a shard is the dump itself; a dump without metadata has a list of its own."""
    return shard.files.metadata is not None and shard.files.metadata.path == images

"""Notes that fingerprints are done, and deleting fingerprints with their notes.

What belongs here: the fact table `fingerprinted_shards`. What does not: which shards are due
(`fingerprints/due_shards.py`), writing fingerprints (`fingerprints/shard_writer.py`).
"""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from orchestration.catalog import not_taken
from orchestration.catalog.shards import landed_shards
from orchestration.facts import Facts
from orchestration.facts.filters import equals, is_in
from orchestration.fingerprints.due_shards import DueShard
from orchestration.fingerprints.kinds import COPY, EMBEDDINGS, HASHES, IMAGES, REDOWNLOAD, SEMANTIC, TABLES
from orchestration.fingerprints.makers import Makers
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import LandedShard
from transforms.fingerprints.shard import Account
from transforms.readable import count

_OWNERS = {HASHES: not_taken.DUMP, REDOWNLOAD: not_taken.SECOND_DUMP}
_FIRST_DUMP = is_in("fingerprint", (HASHES, COPY, SEMANTIC))


def note_begun(facts: Facts, due: DueShard) -> None:
    """Note that rows of a shard are about to be committed.

    The note says that nothing is done. By it the next run finds the rows if this run is killed, even if the shard has
    left the landing folder by then.

    Args:
        facts: The fact tables; `fingerprinted_shards` is written.
        due: The shard, and its fingerprints.
    """
    table, files = facts["fingerprinted_shards"], due.shard.files
    begun = {"shard_id": due.shard.shard_id, "dataset": files.dataset, "shard": files.name, "recipe": "", "maker": ""}
    table.upsert(pa.Table.from_pylist([begun | {"fingerprint": kind} for kind in due.recipes], table.schema))


def note(facts: Facts, due: DueShard, makers: Makers, account: Account) -> None:
    """Note that the due fingerprints of a shard are done.

    Args:
        facts: The fact tables; `fingerprinted_shards` and `not_taken` are written.
        due: The shard, and the recipes of its fingerprints.
        makers: The rules and encoders that were used.
        account: The account of its pictures.
    """
    table, made_by = facts["fingerprinted_shards"], makers.digests()
    files = due.shard.files
    same = {"shard_id": due.shard.shard_id, "dataset": files.dataset, "shard": files.name} | account.row()
    rows = [
        same | {"fingerprint": kind, "recipe": done_by, "maker": made_by[kind], "encoder": makers.encoder_id(kind)}
        for kind, done_by in due.recipes.items()
    ]
    for kind in _OWNERS.keys() & due.recipes.keys():
        owner = not_taken.Owner(_OWNERS[kind], due.shard.shard_id, dataset=files.dataset)
        not_taken.store(facts, owner, account.not_taken)
    table.upsert(pa.Table.from_pylist(rows, table.schema))


def forget(facts: Facts, shard_id: int, kinds: Collection[str]) -> None:
    """Delete some fingerprints of a shard and their notes.

    The notes say first that nothing is done, and are deleted last: after a kill in between, the shard is due, and the
    next run finds by its notes what is left to delete.

    Args:
        facts: All fact tables.
        shard_id: The shard.
        kinds: Which of its fingerprints.
    """
    shard, table = equals("shard_id", shard_id), facts["fingerprinted_shards"]
    noted = f"{shard} and {is_in('fingerprint', kinds)}"
    notes = table.read(where=noted)
    nothing = pa.array([""] * len(notes))
    for name in ("recipe", "maker"):
        notes = notes.set_column(notes.schema.get_field_index(name), name, nothing)
    table.upsert(notes)
    for kind in kinds:
        facts[TABLES[kind]].delete(shard)
        if kind in _OWNERS:
            not_taken.forget(facts, _OWNERS[kind], shard_id)
    table.delete(noted)


def forget_gone_shards(facts: Facts) -> None:
    """Delete the fingerprints of shards that are no longer in the landing folders."""
    landed = facts["landing_shards"].read(["shard_id"], "images_path is not null")["shard_id"].to_pylist()
    done = facts["fingerprinted_shards"].read(["shard_id"], _FIRST_DUMP)["shard_id"].to_pylist()
    for shard_id in set(done) - set(landed):
        forget(facts, shard_id, (HASHES, *EMBEDDINGS))


def forget_outdated_shards(facts: Facts) -> None:
    """Delete the fingerprints of deliveries that were replaced by one without fingerprints.

    The rows may have changed, and a kept picture could show a wrong caption.
    """
    outdated = facts["fingerprinted_shards"].read(["shard_id"], f"{_FIRST_DUMP} and recipe = ''")
    for shard_id in outdated["shard_id"].unique().to_pylist():
        forget(facts, shard_id, (HASHES, *EMBEDDINGS))


def broken_shards(facts: Facts) -> dict[str, str]:
    """Return why the image dumps of shards cannot be read, or where they break off, by partition."""
    rows = facts["fingerprinted_shards"].read(["dataset", "shard", "broken"], "broken is not null").to_pylist()
    return {f"{row['dataset']}/{row['shard']}": row["broken"] for row in rows}


def of_partitions(facts: Facts, partitions: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the notes of the fingerprints of first dumps that are done, by partition.

    Args:
        facts: The fact tables; `fingerprinted_shards` is read.
        partitions: Which ones. Those without notes are left out.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    wanted = set(partitions)  # each of thousands of rows is looked up in it
    where = f"{_FIRST_DUMP} and recipe <> ''"
    if len(wanted) == 1:
        dataset, _, shard = next(iter(wanted)).partition("/")
        where += f" and {equals('dataset', dataset)} and {equals('shard', shard)}"
    for row in facts["fingerprinted_shards"].read(where=where).to_pylist():
        if (name := f"{row['dataset']}/{row['shard']}") in wanted:
            found.setdefault(name, []).append(row)
    return found


def unusable_shards(facts: Facts) -> dict[str, str]:
    """Return why shards cannot be used, or not as a whole, by partition.

    Their metadata was refused, their dump is broken, or their dump could not be reached.
    """
    landed = landed_shards(facts)
    hashed = facts["fingerprinted_shards"].read(["shard_id"], f"{equals('fingerprint', HASHES)} and recipe <> ''")
    done = set(hashed["shard_id"].to_pylist())
    waiting = (each for each in landed if each.files.images and each.shard_id not in done)
    return (
        {each.files.partition: "its pictures are not fingerprinted yet; run again" for each in waiting}
        | broken_shards(facts)
        | {each.files.partition: each.failure for each in landed if each.failure}
    )


def require_embeddings(facts: Facts, makers: Makers, landed: Sequence[LandedShard]) -> None:
    """Refuse an encoder that did not embed pictures whose image dumps are gone: nothing else can embed them now.

    Args:
        facts: The fact tables; `fingerprinted_shards` is read.
        makers: The encoders of the settings.
        landed: The shards as they are now.

    Raises:
        LandingError: The message names the encoders and the fix.
    """
    gone = [each for each in landed if each.files.images_gone]
    if not gone:
        return
    rows = facts["fingerprinted_shards"].read(["shard_id", "fingerprint", "encoder"]).to_pylist()
    for kind in makers.encoder_names:
        wanted = makers.encoder_id(kind)
        by = {row["shard_id"]: row["encoder"] for row in rows if row["fingerprint"] == kind}
        # without an embedding of meaning a picture is merely not found by it, as coverage says
        needed = [each for each in gone if kind == COPY or each.shard_id in by]
        if others := [each for each in needed if by.get(each.shard_id) != wanted]:
            first = others[0]
            raise LandingError(
                f"encoders.{kind} is {wanted}, but {by.get(first.shard_id) or 'no encoder'} embedded "
                f"{count(len(others), 'shard')}, such as {first.files.partition}, whose image dumps are gone: put them "
                "back, or set the encoder as it was"
            )


def outdated_sentence(kept: Sequence[DueShard]) -> str:
    """Return a sentence about shards whose fingerprints cannot be renewed."""
    return (
        f"{count(len(kept), 'shard')} such as {kept[0].partition} keep their fingerprints although rules or encoders "
        "changed, because their image dumps are gone; put them back to renew them"
    )


def fingerprint_versions(facts: Facts, encoder_id: str | None) -> tuple[str | int | None, ...]:
    """Return values that change with the fingerprints of the training pictures.

    Args:
        facts: All fact tables.
        encoder_id: Identity of the copy encoder.

    Returns:
        The encoder, and the versions of the tables of hashes and of copy embeddings.
    """
    return encoder_id, *(facts[name].version for name in (IMAGES[HASHES], EMBEDDINGS[COPY]))

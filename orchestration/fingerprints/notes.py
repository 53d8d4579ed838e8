"""Notes that fingerprints are done, and deleting fingerprints with their notes.

What belongs here: the fact table `fingerprinted_shards`. What does not: which shards are due
(`fingerprints/due_shards.py`), writing fingerprints (`fingerprints/shard_writer.py`).
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from orchestration.catalog import not_taken
from orchestration.catalog.shards import landed_shards
from orchestration.facts import Facts
from orchestration.facts.filters import equals, is_in
from orchestration.fingerprints.due_shards import DueShard
from orchestration.fingerprints.kinds import COPY, EMBEDDINGS, FIRST_DUMP, HASHES, IMAGES, REDOWNLOAD, TABLES
from orchestration.fingerprints.makers import Makers
from transforms.catalog.columns import LandingError
from transforms.catalog.landing import LandedShard
from transforms.fingerprints.shard import Account
from transforms.readable import count

_OWNERS = {HASHES: not_taken.DUMP, REDOWNLOAD: not_taken.SECOND_DUMP}
_FIRST_DUMP = is_in("fingerprint", FIRST_DUMP)
_COMPUTED = is_in("fingerprint", (HASHES, *EMBEDDINGS))


def begin(facts: Facts, due: Sequence[DueShard]) -> None:
    """Note that rows of shards are about to be committed, and delete those of the deliveries before.

    The notes say that nothing is done. By them the next run finds the rows if this run is killed, even if a shard has
    left the landing folder by then. A shard without notes has no rows, see `forget_unnoted`: none is looked for.

    Args:
        facts: The fact tables.
        due: The shards, and their fingerprints.
    """
    table, noted = facts["fingerprinted_shards"], _noted(facts, due)
    before = defaultdict[tuple[str, ...], list[int]](list)
    for each in due:
        # with the hashes also embeddings that no setting asks for now: they are of the delivery before
        further = EMBEDDINGS if HASHES in each.recipes else ()
        kinds = tuple(kind for kind in TABLES if kind in each.recipes or kind in further)
        if any((each.shard.shard_id, kind) in noted for kind in kinds):
            before[kinds].append(each.shard.shard_id)
    for kinds, shard_ids in before.items():
        forget(facts, shard_ids, kinds)
    blank = {"recipe": "", "maker": ""}
    rows = [_of(each) | blank | {"fingerprint": kind} for each in due for kind in each.recipes]
    table.upsert(pa.Table.from_pylist(rows, table.schema))


def note(facts: Facts, done: Sequence[tuple[DueShard, Account]], makers: Makers) -> None:
    """Note that the due fingerprints of shards are done.

    Args:
        facts: The fact tables; `fingerprinted_shards` and `not_taken` are written.
        done: The shards with the recipes of their fingerprints, and the accounts of their pictures.
        makers: The rules and encoders that were used.
    """
    table, made_by = facts["fingerprinted_shards"], makers.digests()
    rows = [
        _of(due)
        | account.row()
        | {"fingerprint": kind, "recipe": done_by, "maker": made_by[kind], "encoder": makers.encoder_id(kind)}
        for due, account in done
        for kind, done_by in due.recipes.items()
    ]
    counts = {
        not_taken.Owner(_OWNERS[kind], due.shard.shard_id, dataset=due.shard.files.dataset): account.not_taken
        for due, account in done
        for kind in _OWNERS.keys() & due.recipes.keys()
    }
    not_taken.store(facts, counts)
    table.upsert(pa.Table.from_pylist(rows, table.schema))


def _of(due: DueShard) -> dict[str, Any]:
    return {"shard_id": due.shard.shard_id, "dataset": due.shard.files.dataset, "shard": due.shard.files.name}


def _noted(facts: Facts, due: Sequence[DueShard]) -> set[tuple[int, str]]:
    where = is_in("shard_id", (each.shard.shard_id for each in due))
    rows = facts["fingerprinted_shards"].read(["shard_id", "fingerprint"], where).to_pylist()
    return {(row["shard_id"], row["fingerprint"]) for row in rows}


def forget_unnoted(facts: Facts, due: Sequence[DueShard]) -> None:
    """Delete rows of shards that no note tells of, such as when the table of the notes was lost.

    Call it once, before the first shard: `begin` does not look for rows of a shard without notes.

    Args:
        facts: The fact tables.
        due: The shards, and the fingerprints that are to be written.
    """
    noted = _noted(facts, due)
    for kind in {kind for each in due for kind in each.recipes}:
        shard_ids = (each.shard.shard_id for each in due if kind in each.recipes)
        facts[TABLES[kind]].delete(is_in("shard_id", [each for each in shard_ids if (each, kind) not in noted]))


def forget(facts: Facts, shard_ids: Collection[int], kinds: Collection[str]) -> None:
    """Delete some fingerprints of shards and their notes.

    The notes say first that nothing is done, and are deleted last: after a kill in between, the shards are due, and the
    next run finds by their notes what is left to delete.

    Args:
        facts: All fact tables.
        shard_ids: The shards.
        kinds: Which of their fingerprints.
    """
    shards, table = is_in("shard_id", shard_ids), facts["fingerprinted_shards"]
    noted = f"{shards} and {is_in('fingerprint', kinds)}"
    notes = table.read(where=noted)
    nothing = pa.array([""] * len(notes))
    for name in ("recipe", "maker"):
        notes = notes.set_column(notes.schema.get_field_index(name), name, nothing)
    table.upsert(notes)
    for kind in kinds:
        facts[TABLES[kind]].delete(shards)
        if kind in _OWNERS:
            not_taken.forget(facts, _OWNERS[kind], shard_ids)
    table.delete(noted)


def forget_gone_shards(facts: Facts) -> None:
    """Delete the fingerprints of shards that are no longer in the landing folders."""
    landed = facts["landing_shards"].read(["shard_id"], "images_path is not null")["shard_id"].to_pylist()
    done = facts["fingerprinted_shards"].read(["shard_id"], _FIRST_DUMP)["shard_id"].to_pylist()
    if gone := set(done) - set(landed):
        forget(facts, gone, FIRST_DUMP)


def forget_outdated_shards(facts: Facts) -> None:
    """Delete the fingerprints of shards that are gone, and of deliveries that one without fingerprints replaced.

    Where a run leaves fingerprints out, these would stay. A cluster whose representative is gone with its shard would
    be no cluster; and of a delivery the rows may have changed, so that a kept picture could show a wrong caption.
    """
    forget_gone_shards(facts)
    outdated = facts["fingerprinted_shards"].read(["shard_id"], f"{_COMPUTED} and recipe = ''")
    if len(outdated):
        forget(facts, outdated["shard_id"].unique().to_pylist(), FIRST_DUMP)


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


def outdated_sentences(kept: Sequence[DueShard]) -> list[str]:
    """Return sentences about shards whose fingerprints, or what their files say of their use, cannot be renewed."""
    computed = [each for each in kept if not each.rights_alone]
    said = [each for each in kept if each.rights_alone]
    told = []
    if computed:
        told.append(
            f"{count(len(computed), 'shard')} such as {computed[0].partition} keep their fingerprints although rules "
            "or encoders changed, because their image dumps are gone; put them back to renew them"
        )
    if said:
        told.append(
            f"what the pictures of {count(len(said), 'shard')} such as {said[0].partition} say of their use is not "
            "read, because their image dumps are gone; put them back to read it"
        )
    return told


def fingerprint_versions(facts: Facts, encoder_id: str | None, kind: str = COPY) -> tuple[str | int | None, ...]:
    """Return values that change with the fingerprints of the training pictures.

    Args:
        facts: All fact tables.
        encoder_id: Identity of the encoder.
        kind: Which embeddings: `copy` or `semantic`.

    Returns:
        The encoder, and the versions of the tables of hashes and of embeddings.
    """
    return encoder_id, *(facts[name].version for name in (IMAGES[HASHES], EMBEDDINGS[kind]))

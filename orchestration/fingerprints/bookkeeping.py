"""Which shards lack which fingerprints, and committing them: the book-keeping of the stage `fingerprints`.

What belongs here: recipes, notes of what is done, commits to the fact tables. What does not: the assets
(`defs/fingerprints.py`), how a shard is fingerprinted (`transforms/fingerprints/shard.py`), where
(`compute/engines.py`).
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from orchestration.catalog.shards import landed_metadata
from orchestration.compute import engines
from orchestration.facts import Facts, FactTable, literal
from orchestration.facts.recipes import older_recipe, recipe
from orchestration.progress import say, track
from orchestration.runtime.resources import Warehouse
from transforms.fingerprints import row_matching
from transforms.fingerprints import shard as shards
from transforms.fingerprints.fingerprint import FAILED, STORED

CODE = 2  # raise when the same bytes would give another fingerprint
HASHES, COPY, SEMANTIC, REDOWNLOAD = "hashes", "copy", "semantic", "redownload"
EMBEDDINGS = {COPY: "copy_embeddings", SEMANTIC: "semantic_embeddings"}
IMAGES = {HASHES: "image_fingerprints", REDOWNLOAD: "redownload_fingerprints"}
_REUSED = 131_072  # rows of a shard delivered again that are held in memory, so that known pictures are not computed


def partition(shard: dict) -> str:
    """Return the Dagster partition of a landing row."""
    return f"{shard['dataset']}/{shard['shard']}"


@dataclass(frozen=True)
class Due:
    """A landing row whose pictures lack some fingerprints, and the landing rows whose metadata may list them.

    recipes: what each fingerprint that is to be made is made by.
    """

    shard: dict
    files: Sequence[Mapping]
    recipes: Mapping[str, str]


def due_shards(warehouse: Warehouse) -> list[Due]:
    """Return the shards whose delivery, metadata, encoders or rules are not those they were fingerprinted with."""
    landed = warehouse.facts["landing_shards"].read(where="images_path is not null").sort_by("shard_id").to_pylist()
    notes = warehouse.facts["fingerprinted_shards"].read(["shard_id", "fingerprint", "recipe"]).to_pylist()
    done = {(note["shard_id"], note["fingerprint"]): note["recipe"] for note in notes}
    if not landed:
        return []  # no encoder is loaded for nothing
    made = {kind: made_by for kind, made_by in makers(warehouse).items() if kind != REDOWNLOAD}
    older = older_makers(warehouse)
    files = landed_metadata(warehouse.facts)
    due = []
    for shard in landed:
        listing = row_matching.metadata_of(shard, files)
        delivery = {name: value for name, value in shard.items() if name.startswith(("images_", "metadata_"))}
        # a tar without metadata of its own name meets rows of other files
        others = (
            [(file["metadata_path"], file["metadata_mtime_ns"]) for file in listing] if shard["status"] != "ok" else []
        )
        wanted = {kind: recipe("shard fingerprints", made_by, delivery, others) for kind, made_by in made.items()}
        missing = {
            kind: made_by
            for kind, made_by in wanted.items()
            if done.get((shard["shard_id"], kind)) not in (made_by, older_recipe(older[kind], delivery, others))
        }
        if missing:
            due.append(Due(shard, listing, missing))
    return due


def forget_gone_shards(facts: Facts) -> None:
    """Drop the fingerprints of shards that left the landing folder."""
    landed = set(facts["landing_shards"].read(["shard_id"], "images_path is not null")["shard_id"].to_pylist())
    done = facts["fingerprinted_shards"].read(["shard_id"], _NOTES)["shard_id"].to_pylist()
    for shard_id in set(done) - landed:
        forget(facts, shard_id, (HASHES, *EMBEDDINGS))


def forget_outdated_shards(facts: Facts) -> None:
    """Drop fingerprints of a delivery that another has followed, where that could not be fingerprinted yet.

    Its rows may be others by now; to keep what is known of its pictures is not worth a wrong caption.
    """
    notes = facts["fingerprinted_shards"].read(["shard_id"], f"{_NOTES} and recipe = ''")
    for shard_id in notes["shard_id"].unique().to_pylist():
        forget(facts, shard_id, (HASHES, *EMBEDDINGS))


def fingerprint_versions(facts: Facts, encoder_id: str | None) -> tuple[str | int | None, ...]:
    """Return what tells one state of the training pictures' hashes and copy embeddings from the next."""
    numbers = (facts[name].version for name in (IMAGES[HASHES], EMBEDDINGS[COPY]))
    return encoder_id, *numbers


def makers(warehouse: Warehouse) -> dict[str, str]:
    """Return, by fingerprint, a hash of what makes it from a picture: code, rules, encoder."""
    return dict.fromkeys(IMAGES, recipe("hashes", CODE, warehouse.rules)) | {
        kind: recipe("embedding", CODE, warehouse.rules, warehouse.encoder_id(kind)) for kind in warehouse.encoder_names
    }


def older_makers(warehouse: Warehouse) -> dict[str, str]:
    """Return `makers` as they were hashed before recipes had a format."""
    return dict.fromkeys(IMAGES, older_recipe(CODE, warehouse.rules)) | {
        kind: older_recipe(CODE, warehouse.rules, warehouse.encoder_id(kind)) for kind in warehouse.encoder_names
    }


def fingerprinted(
    warehouse: Warehouse, due: Sequence[Due], task: str = "fingerprinting"
) -> Iterator[tuple[dict, shards.Account]]:
    """Fingerprint shards and commit each: fingerprints, then the note that it is done. Yield their accounts.

    A shard of up to `limits.commit_rows` rows is one commit a table. A run that is killed loses the shards in hand.
    """
    if not due:
        return
    for kind in {kind for d in due for kind in d.recipes} & EMBEDDINGS.keys():
        _bind(warehouse, kind)
    jobs = (_job(warehouse, d) for d in due)
    waiting: dict[int, list[shards.Batch]] = {place: [] for place in range(len(due))}
    begun: set[int] = set()
    results = engines.work(jobs, warehouse.settings.compute, warehouse.load)
    most = warehouse.settings.limits.commit_rows
    total = sum(d.shard["rows"] for d in due) or None
    for place, item in track(results, task, total, _size):
        shard, kinds = due[place].shard, due[place].recipes
        held = waiting[place]
        if isinstance(item, shards.Batch):
            held.append(item)
        elif item.unreachable and place not in begun:  # what is known of it stays, and the next run tries again
            say(f"left for the next run: {partition(shard)}: {item.broken}")
            yield shard, item
            continue
        if isinstance(item, shards.Account) or sum(len(b.images) for b in held) >= most:
            if place not in begun:  # what was there before goes only now, when its successor has been computed
                # with the hashes also embeddings that nobody wants now: they are of the delivery before
                forget(warehouse.facts, shard["shard_id"], (HASHES, *EMBEDDINGS) if HASHES in kinds else kinds)
                begun.add(place)
            _commit(warehouse, shard["shard_id"], kinds, held)
            held.clear()
        if isinstance(item, shards.Account):
            if not item.unreachable:
                _note(warehouse, due[place], item)
            say(f"fingerprinted {partition(shard)}: {item.told()}")
            yield shard, item


def _size(result: engines.Result) -> int:
    return len(result[1].images) if isinstance(result[1], shards.Batch) else 0


def _job(warehouse: Warehouse, due: Due) -> shards.Job:
    shard = due.shard
    return shards.Job(
        dump=shard["images_path"],
        fetched=str(warehouse.fetched),
        files=tuple(
            row_matching.MetadataFile(f["shard_id"], f["readable_path"], own=f["metadata_path"] == shard["images_path"])
            for f in due.files
        ),
        encoders={kind: name for kind, name in warehouse.encoder_names.items() if kind in due.recipes},
        rules=warehouse.rules,
        pace=warehouse.pace,
        known=_known(warehouse, due),
    )


def _known(warehouse: Warehouse, due: Due) -> pa.Table | None:
    """Return what the same makers made of this shard's pictures before it was delivered again."""
    where = f"shard_id = {int(due.shard['shard_id'])}"
    notes = warehouse.facts["fingerprinted_shards"].read(["fingerprint", "maker"], where).to_pylist()
    made_by = {note["fingerprint"]: note["maker"] for note in notes}
    now, older = makers(warehouse), older_makers(warehouse)
    kinds = [kind for kind in EMBEDDINGS if kind in due.recipes]
    images = warehouse.facts["image_fingerprints"]
    if any(made_by.get(kind) not in (now[kind], older[kind]) for kind in (HASHES, *kinds)):
        return None
    if not 0 < images.dataset().count_rows(filter=where) <= _REUSED:
        return None
    known = images.read(["sample_id", *STORED], f"{where} and status <> '{FAILED}'")
    for kind in kinds:
        vectors = warehouse.facts[EMBEDDINGS[kind]].read(["sample_id", "vector"], where)
        known = (
            pl.DataFrame(known)
            .join(pl.DataFrame(vectors).rename({"vector": kind}), on="sample_id", how="left", maintain_order="left")
            .to_arrow()
        )
    return known


def _bind(warehouse: Warehouse, kind: str) -> None:
    """Make the table of embeddings one of this encoder, empty if it was another's: all its shards are due again."""
    encoder = warehouse.encoder(kind).id
    warehouse.facts[EMBEDDINGS[kind]].reset(str(encoder), encoder.dimension)


def _commit(warehouse: Warehouse, shard_id: int, kinds: Container[str], batches: Sequence[shards.Batch]) -> None:
    if not batches:
        return
    facts = warehouse.facts
    for kind, name in EMBEDDINGS.items():
        vectors = [batch.vectors[kind] for batch in batches if kind in batch.vectors]
        if kind in kinds and vectors:
            encoder = warehouse.encoder(kind).id
            _upsert(facts.embeddings(name, str(encoder), encoder.dimension), shard_id, vectors)
    for kind, name in IMAGES.items():
        if kind in kinds:
            _upsert(facts[name], shard_id, [batch.images for batch in batches])


def _upsert(table: FactTable, shard_id: int, parts: Sequence[pa.Table]) -> None:
    whole = pa.concat_tables(parts, promote_options="permissive")
    whole = whole.append_column("shard_id", pa.array([shard_id] * len(whole), pa.int64()))
    table.upsert(whole.select(table.schema.names))


def _note(warehouse: Warehouse, due: Due, account: shards.Account) -> None:
    table = warehouse.facts["fingerprinted_shards"]
    same = {name: due.shard[name] for name in ("shard_id", "dataset", "shard")} | account.row()
    made_by = makers(warehouse)
    notes = [
        same | {"fingerprint": kind, "recipe": done_by, "maker": made_by[kind], "encoder": warehouse.encoder_id(kind)}
        for kind, done_by in due.recipes.items()
    ]
    table.upsert(pa.Table.from_pylist(notes, table.schema))


_NOTES = f"fingerprint in ('{HASHES}', '{COPY}', '{SEMANTIC}')"


def forget(facts: Facts, shard_id: int, kinds: Iterable[str]) -> None:
    """Drop some fingerprints of a shard, the note that they are done first."""
    where = f"shard_id = {int(shard_id)}"
    for kind in kinds:
        facts["fingerprinted_shards"].delete(f"{where} and fingerprint = {literal(kind)}")
        facts[(EMBEDDINGS | IMAGES)[kind]].delete(where)


def maintain(warehouse: Warehouse) -> dict[str, dict[str, int]]:
    """Compact and index the tables that shards are written to, where that pays. Returns what was done to each."""
    names = (*IMAGES.values(), *EMBEDDINGS.values())
    return {name: warehouse.facts[name].maintain(warehouse.settings.limits.index_rows) for name in names}

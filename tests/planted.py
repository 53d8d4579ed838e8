"""A warehouse of a few shards whose facts are written by hand, and which is published without a run.

What belongs here: delivering, fingerprinting and withdrawing rows, and publishing them. What does not: warehouses of
any size (`benchmarks/scale_warehouse.py`).
"""

import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration import settings as toml
from orchestration.catalog import shards
from orchestration.facts import Facts
from orchestration.facts.filters import equals, is_in
from orchestration.facts.schemas.tables import SCHEMAS
from orchestration.settings import Settings
from orchestration.warehouse import publishing, version
from orchestration.warehouse.models import Model, load
from tests.benchmarks.scale_warehouse import fingerprint_rows
from tests.conftest import ROOT

MODELS = load(ROOT / "sql")
OF_ANY = (
    *(model.name for model in MODELS if model.stage == "warehouse"),
    *("catalog.shards", "duplicates.counts", "provenance.generations", "provenance.sources"),
)
"""Tables without which there is no version: how it was made, what its coverage is told from, and what macros read."""
_ANEW = {"warehouse.versions", "warehouse.tables", "warehouse.shards", "provenance.timeline", "reports.changes"}


@dataclass
class Planted:
    """A warehouse whose facts are written by hand, published without a run."""

    folder: Path
    models: tuple[Model, ...] = MODELS
    thresholds: str = ""
    place: str = "home"

    @property
    def settings(self) -> Settings:
        config = self.folder / "raisonne.toml"
        config.write_text(
            f'home = "{self.place}"\n[[datasets]]\nname = "d"\nmetadata = "landing/*.parquet"\n'
            'images = "landing/*.tar"\n'
            f'[encoders]\ncopy = "none"\n{self.thresholds}'
        )
        return toml.load(config)

    @property
    def home(self) -> Path:
        return self.folder / self.place

    @property
    def facts(self) -> Facts:
        return Facts(self.home / "facts")

    def land(self, **captions: list[str] | None) -> None:
        """Deliver shards, a row for each caption; None takes a shard away."""
        landing = self.folder / "landing"
        landing.mkdir(exist_ok=True)
        for name, texts in captions.items():
            path = landing / f"{name}.parquet"
            path.unlink(missing_ok=True)
            if texts is not None:
                urls = [f"https://example.org/{name}/{text.replace(' ', '-')}" for text in texts]
                pq.write_table(pa.table({"URL": urls, "TEXT": texts, "WIDTH": [len(text) for text in texts]}), path)
                tarfile.open(path.with_suffix(".tar"), "w").close()
        for table in self.facts:
            table.migrate()  # as a run does first
        settings, known = self.settings, shards.landed_shards(self.facts)
        found = shards.inspect_shards(shards.discover(settings), known, settings, self.folder / "fetched")
        shards.commit_shards(self.facts, known, list(found))

    def shard(self, name: str) -> int:
        [found] = shards.landed_shards(self.facts, equals("shard", name))
        return found.shard_id

    def fingerprint(self, name: str, pictures: Iterable[int]) -> None:
        """Give the rows of a shard pictures, the first ones of the shard."""
        numbers, shard = np.array(list(pictures)), self.shard(name)
        table = self.facts["image_fingerprints"]
        table.delete(is_in("shard_id", [shard]))
        if len(numbers):
            table.append([fingerprint_rows(table.schema, shard, np.arange(len(numbers)), numbers)])

    def say(self, name: str, **values: str) -> None:
        """Let the file of the first row of a shard say something."""
        row = {"sample_id": self.shard(name) << 26, "shard_id": self.shard(name), **values}
        schema = SCHEMAS["picture_rights"]
        self.facts["picture_rights"].upsert(pa.Table.from_pylist([dict.fromkeys(schema.names) | row], schema))

    def cluster(self, *clusters: Iterable[tuple[str, int]], **values: object) -> None:
        """Say which rows show one picture, each by its shard and its place there, the representative first.

        Args:
            clusters: Their rows.
            values: What else the rows of the last one say.
        """
        member = {"method": "aligned", "distance_to_representative": 256.0, "aligned_distance_to_representative": 0.0}
        first = {"method": "representative", "distance_to_representative": 0.0}
        found = [
            {"sample_id": row, "representative_id": rows[0]}
            | (first if row == rows[0] else member)
            | (values if cluster is clusters[-1] else {})
            for cluster in clusters
            for rows in [[(self.shard(name) << 26) + place for name, place in cluster]]
            for row in rows
        ]
        schema = SCHEMAS["cluster_members"]
        rows = [dict.fromkeys(schema.names) | row for row in found]
        self.facts["cluster_members"].replace([pa.Table.from_pylist(rows, schema)], "")

    def recall(self, *rows: tuple[str, int, str]) -> None:
        """Withdraw rows: each by its shard, its place there and the list that names it."""
        found = [
            {"sample_id": (self.shard(name) << 26) + row, "list": by, "kind": "sample_id", "value": "v"}
            for name, row, by in rows
        ]
        self.facts["recalled_rows"].replace([pa.Table.from_pylist(found, SCHEMAS["recalled_rows"])], "")

    def publish(self, *, against_anew: bool = True) -> dict[str, int]:
        """Publish a version, and return in which version each table was made.

        Args:
            against_anew: Whether one that may keep tables of the version before is held against one that is made anew.
        """
        settings, facts = self.settings, self.facts
        with publishing.writer(self.home, run="the test", wait_s=0):
            plan = version.plan(facts, settings, self.home, self.models, self.models)
            anew = self._built(replace(plan, keep_unchanged=False)) if plan.previous and against_anew else {}
            with version.build_version(plan, facts, settings, self.home, "a run") as file:
                assert [each.sentence for each in file.audits if each.failing and each.check.blocks] == []
                rows = dict(file.rows)
            version.publish(plan, file, facts, self.home, keep=2)
        database = self.home / "raisonne.duckdb"
        found = contents(database, self.models)
        assert anew.keys() == (found.keys() if plan.previous and against_anew else set())
        for name, content in found.items():
            assert content == anew.get(name, content), name
            assert rows[name] == len(content), name
        return dict(self.query("select table_name, made_in from warehouse.tables"))

    def publish_some(self, names: Iterable[str]) -> None:
        """Publish a version of which only some tables are made; the others stay."""
        settings, facts, chosen = self.settings, self.facts, set(names)
        with publishing.writer(self.home, run="the test", wait_s=0):
            plan = version.plan(
                facts, settings, self.home, self.models, [each for each in self.models if each.name in chosen]
            )
            with version.build_version(plan, facts, settings, self.home, "a run") as file:
                pass
            version.publish(plan, file, facts, self.home, keep=2)

    def _built(self, plan: version.VersionPlan) -> dict[str, list[tuple]]:
        with version.build_version(plan, self.facts, self.settings, self.home, "anew") as file:
            pass
        return contents(file.path, self.models)

    def made_in(self, table: str) -> dict[str, int]:
        """Return in which version the rows of each shard were made."""
        rows = self.query(
            "select table_name, shard, made_in from warehouse.shards join catalog.shards using (shard_id)"
        )
        return {shard: made_in for name, shard, made_in in rows if name == table}

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.home / "raisonne.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()


def read_by(names: Iterable[str], models: Sequence[Model] = MODELS) -> tuple[Model, ...]:
    """Return the named models, and those that they or any version need, in the order in which they are made."""
    needed = {*names, *OF_ANY}
    for model in reversed(models):
        needed |= set(model.depends_on) if model.name in needed else set()
    return tuple(model for model in models if model.name in needed)


def contents(path: Path, models: Iterable[Model]) -> dict[str, list[tuple]]:
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("set threads = 1")  # sums of floats depend on their order
        names = {model.name for model in models} - _ANEW
        return {name: con.execute(f"from {name} order by all").fetchall() for name in sorted(names)}

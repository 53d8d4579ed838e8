"""A small warehouse whose facts are planted and whose clusters are made as a run makes them, to be decided about.

What belongs here: pictures that nearly equal each other, generations, decisions. What does not: the tests of the desk
(`test_review.py`, `test_review_app.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orchestration.duplicates import copy_joins, members, pairs
from orchestration.facts.decision_log import DecisionLog
from orchestration.facts.schemas.tables import SCHEMAS
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.warehouse import publishing, version
from orchestration.warehouse.models import Model
from tests.benchmarks.scale_warehouse import fingerprint_rows
from tests.planted import Planted
from transforms.alignment.policy import PixelLimits
from transforms.duplicates.pairs import DuplicateThresholds
from transforms.hashing.digest_arrays import column
from transforms.review.decisions import Decision, checked

CUT = DuplicateThresholds(31, 0.5, 0.5, PixelLimits())


@dataclass
class Decided(Planted):
    """Pictures are numbers: those of one ten nearly equal each other, 3 bits a step; equal numbers are equal pixels."""

    @staticmethod
    def pixels(number: int) -> str:
        """Return the SHA-256 of a picture's pixels."""
        return (number + 1).to_bytes(32).hex()

    def show(self, name: str, numbers: Sequence[int]) -> None:
        """Let the rows of a shard show pictures. Every row is a file of its own."""
        shard = self.shard(name)
        rows = fingerprint_rows(SCHEMAS["image_fingerprints"], shard, np.arange(len(numbers)), np.array(numbers))
        hashes = []
        for number in numbers:
            bits = np.unpackbits(np.random.default_rng(number // 10).integers(0, 256, 32, np.uint8))
            bits[: 3 * (number % 10)] ^= 1
            hashes.append(np.packbits(bits))
        made = {
            "pdq": column(np.array(hashes)),
            "pixel_sha256": column(np.array([list(bytes.fromhex(self.pixels(each))) for each in numbers], np.uint8)),
            "sha256": column(np.array([list((shard * 1000 + i).to_bytes(32)) for i in range(len(numbers))], np.uint8)),
        }
        table = pa.Table.from_batches([rows])
        for each, values in made.items():
            at = table.schema.get_field_index(each)
            table = table.set_column(at, table.schema.field(at), values.cast(table.schema.field(at).type))
        facts = self.facts["image_fingerprints"]
        facts.delete(f"shard_id = {shard}")
        facts.append(table.combine_chunks().to_batches())

    def generate(self, *rows: tuple[str, int, int, str]) -> None:
        """Plant generations: a name, the picture it shows, a row of the first shard, and what was measured of both."""
        prints, evidence = SCHEMAS["generation_fingerprints"], SCHEMAS["match_evidence"]
        blank = dict.fromkeys(prints.names) | {"source": "gen", "status": "ok", "path": "/nowhere.png"}
        images = [
            blank | {"generation_id": name, "pixel_sha256": self.pixels(shown), "sha256": self.pixels(shown)}
            for name, shown, _, _ in rows
        ]
        self.facts["generation_fingerprints"].upsert(pa.Table.from_pylist(images, prints))
        found = [
            dict.fromkeys(evidence.names)
            | {"generation_id": name, "sample_id": (self.shard("a") << 26) + row, "pdq_distance": 4, "altered": False}
            | {"same_bytes": False, "same_pixels": kind == "exact", "confirmed": False, "whole": False}
            for name, _, row, kind in rows
        ]
        self.facts["match_evidence"].upsert(pa.Table.from_pylist(found, evidence))

    def block(self, *checks: tuple[str, int], **measured: object) -> None:
        """Log blocks of the guard: the name of a check and the picture; and what was measured of all."""
        schema = SCHEMAS["guard_checks"]
        rows = [
            dict.fromkeys(schema.names)
            | {"check_id": name, "checked_at": 0, "bundle": "b", "decision": "block", "verdict": "similar"}
            | {"reason": "close", "latency_ms": 1.0, "pixel_sha256": self.pixels(shown), "cluster_ids": []}
            | measured
            for name, shown in checks
        ]
        self.facts["guard_checks"].append(pa.Table.from_pylist(rows, schema).to_batches())

    def decide(self, kind: str, answer: str, a: int, b: int | None = None, **more: object) -> Decision:
        """Give a decision, as the app does."""
        given = {"decided_by": "ana", "kind": kind, "answer": answer, "picture_a": self.pixels(a), "queue": "ranked"}
        made = checked(given | {"picture_b": None if b is None else self.pixels(b)} | more)
        DecisionLog(self.home).add([made])
        return made

    def undo(self, *decisions: Decision) -> None:
        """Take decisions back."""
        for each in decisions:
            said = each.as_dict() | {"decision_id": None, "decided_at": None, "answer": "undo"}
            DecisionLog(self.home).add([checked(said | {"undoes": each.decision_id})])

    def publish_once(self, selected: Collection[str] | None = None, models: Sequence[Model] | None = None) -> None:
        """Publish a version without holding it against one that is made anew, which `publish` does.

        Args:
            selected: The tables to make; the others stay. None: all.
            models: The tables there are. None: those of the warehouse.
        """
        settings, facts, models = self.settings, self.facts, models or self.models
        made = [each for each in models if selected is None or each.name in selected]
        with publishing.writer(self.home, run="the test", wait_s=0):
            plan = version.plan(facts, settings, self.home, models, made)
            with version.build_version(plan, facts, settings, self.home, "a run") as file:
                assert [each.sentence for each in file.audits if each.failing and each.check.blocks] == []
            version.publish(plan, file, facts, self.home, keep=2)

    def derive(self) -> None:
        """Take up decisions and make pairs and clusters, as the assets of a run do."""
        facts, settings = self.facts, self.settings
        memory = settings.memory
        DecisionLog(self.home).take_up()
        copy_joins.update(copy_joins.HashJoin(facts, None, CUT.pdq, memory, settings.compute))
        training = TrainingPictures(facts, settings.limits.bounds)
        pairs.update(facts, CUT, training, memory.pictures, settings.compute)
        members.update(facts, CUT, training, None, memory, settings.compute)

"""The rules and encoders by which fingerprints are computed.

What belongs here: their identities for recipes. What does not: the delivery of a shard, which a recipe adds
(`fingerprints/due_shards.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestration.facts.recipes import older_recipe, recipe
from orchestration.fingerprints.kinds import IMAGES
from transforms.encoders import Encoder
from transforms.fingerprints.fingerprint import Rules

CODE = 2  # raise when the same bytes would give another fingerprint


@dataclass(frozen=True)
class Makers:
    """The rules and encoders of a run.

    Attributes:
        rules: What a picture must satisfy.
        encoder_names: Names of encoders by the kind of fingerprint that each computes.
        load: Loads an encoder by its name, once a process.
    """

    rules: Rules
    encoder_names: Mapping[str, str]
    load: Callable[[str], Encoder]

    def encoder(self, kind: str) -> Encoder:
        """Return the encoder for a kind of fingerprint."""
        return self.load(self.encoder_names[kind])

    def encoder_id(self, kind: str) -> str | None:
        """Return the identity of a kind's encoder as text, or None for a kind without one."""
        return str(self.encoder(kind).id) if kind in self.encoder_names else None

    def digests(self) -> dict[str, str]:
        """Return a hash of code, rules and encoder for each kind of fingerprint. Loads every encoder."""
        return dict.fromkeys(IMAGES, recipe("hashes", CODE, self.rules)) | {
            kind: recipe("embedding", CODE, self.rules, self.encoder_id(kind)) for kind in self.encoder_names
        }

    def older_digests(self) -> dict[str, str]:
        """Return `digests` as hashed before recipes had a format."""
        return dict.fromkeys(IMAGES, older_recipe(CODE, self.rules)) | {
            kind: older_recipe(CODE, self.rules, self.encoder_id(kind)) for kind in self.encoder_names
        }

"""The rules and encoders by which fingerprints are computed.

What belongs here: their identities for recipes. What does not: the delivery of a shard, which a recipe adds
(`fingerprints/due_shards.py`).
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestration.facts.recipes import older_recipe, recipe
from orchestration.fingerprints.kinds import IMAGES, RIGHTS
from transforms.encoders import Encoder
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.shard import RightsReading

CODE = 3  # raise when the same bytes would give another fingerprint
# Code of which the fingerprints are the same still, but of files that may show more than one opaque picture of 8 bits
# (`pictures.may_show_more`), and of files that could not be read.
BEFORE = 2
RIGHTS_CODE = 2  # raise when the same bytes would say something else of their use


@dataclass(frozen=True)
class Makers:
    """The rules and encoders of a run.

    Attributes:
        rules: What a picture must satisfy.
        encoder_names: Names of encoders by the kind of fingerprint that each computes.
        load: Loads an encoder by its name, once a process.
        rights: How what files say of their use is read.
    """

    rules: Rules
    encoder_names: Mapping[str, str]
    load: Callable[[str], Encoder]
    rights: RightsReading = RightsReading()  # noqa: RUF009 -- frozen

    def encoder(self, kind: str) -> Encoder:
        """Return the encoder for a kind of fingerprint."""
        return self.load(self.encoder_names[kind])

    def encoder_id(self, kind: str) -> str | None:
        """Return the identity of a kind's encoder as text, or None for a kind without one."""
        return str(self.encoder(kind).id) if kind in self.encoder_names else None

    def digests(self, code: int = CODE) -> dict[str, str]:
        """Return a hash of code, rules and encoder for each kind of fingerprint. Loads every encoder."""
        return (
            dict.fromkeys(IMAGES, recipe("hashes", code, self.rules))
            | {kind: recipe("embedding", code, self.rules, self.encoder_id(kind)) for kind in self.encoder_names}
            | {RIGHTS: self._rights_digest()}
        )

    def _rights_digest(self) -> str:
        """Return a hash of how rights are read. The rules of pictures are no part of it: no pixel is."""
        anchors = hashlib.sha256(self.rights.anchors.encode()).hexdigest() if self.rights.verify else ""
        return recipe("picture rights", RIGHTS_CODE, self.rights.verify, anchors)

    def digests_before(self) -> list[dict[str, str]]:
        """Return `digests` of the code before, also as hashed before recipes had a format."""
        formless = dict.fromkeys(IMAGES, older_recipe(BEFORE, self.rules)) | {
            kind: older_recipe(BEFORE, self.rules, self.encoder_id(kind)) for kind in self.encoder_names
        }
        return [self.digests(BEFORE), formless]

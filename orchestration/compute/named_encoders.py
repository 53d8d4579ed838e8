"""Encoders that a process loads by their name, once, wherever its work is done.

What belongs here: loading them, and refusing one that is not the run's. What does not: embedding
(`transforms/encoders/`).
"""

import os
from dataclasses import dataclass
from functools import cache

from transforms import encoders
from transforms.encoders import Encoder, EncoderMismatch


@cache
def load(name: str) -> Encoder:
    """Load an encoder by its name, once a process. Raises EncoderUnavailable."""
    return encoders.load(name)


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder as it is named to workers.

    Attributes:
        name: The name in the settings.
        identity: Its identity on the machine of the run.
    """

    name: str
    identity: str

    @classmethod
    def of(cls, name: str) -> "NamedEncoder":
        """Return an encoder by its name in the settings. Raises EncoderUnavailable."""
        return cls(name, str(load(name).id))

    def load(self) -> Encoder:
        """Load it in this process. Raises EncoderUnavailable, or EncoderMismatch if it is another here."""
        encoder = load(self.name)
        if str(encoder.id) != self.identity:
            raise EncoderMismatch(
                f"{self.name} is {encoder.id} in process {os.getpid()} on {os.uname().nodename}, and {self.identity} "
                "where the run was started; give both the same weights, packages and kind of device"
            )
        return encoder

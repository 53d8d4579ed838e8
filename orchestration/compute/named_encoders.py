"""Encoders that a process loads by their name, once, wherever its work is done.

What belongs here: loading them, and refusing one that is not the run's. What does not: embedding
(`transforms/encoders/`).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from transforms import encoders
from transforms.encoders import Encoder, EncoderMismatch


@cache
def load(name: str, device: str) -> Encoder:
    """Load an encoder, once a process. Raises EncoderUnavailable.

    Args:
        name: The name in the settings.
        device: What embeds, as the settings name it.
    """
    return encoders.load(name, device)


def loader(device: str) -> Callable[[str], Encoder]:
    """Return what loads encoders by their name for a device."""
    return lambda name: load(name, device)


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder as it is named to workers.

    Attributes:
        name: The name in the settings.
        identity: Its identity on the machine of the run.
        device: What embeds, as the settings name it.
    """

    name: str
    identity: str
    device: str

    @classmethod
    def of(cls, name: str, device: str) -> "NamedEncoder":
        """Return an encoder as it is named to workers. Raises EncoderUnavailable.

        Args:
            name: The name in the settings.
            device: What embeds, as the settings name it.
        """
        return cls(name, str(load(name, device).id), device)

    def load(self) -> Encoder:
        """Load it in this process. Raises EncoderUnavailable, or EncoderMismatch if it is another here."""
        encoder = load(self.name, self.device)
        if str(encoder.id) != self.identity:
            raise EncoderMismatch(
                f"{self.name} is {encoder.id} in process {os.getpid()} on {os.uname().nodename}, and {self.identity} "
                "where the run was started; give both the same weights, packages and kind of device"
            )
        return encoder

"""Encoders that a process loads by their name, once, wherever its work is done.

What belongs here: loading them, and refusing one that is not the run's. What does not: embedding
(`transforms/encoders/`).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from orchestration.compute.ray_cluster import RAY
from orchestration.settings.sections import Compute
from transforms import encoders
from transforms.encoders import Encoder, EncoderMismatch
from transforms.encoders.torch_device import CUDA


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


def device_of_workers(device: str, compute: Compute) -> str:
    """Return how workers name a device. On a cluster, a worker sees the GPUs that Ray gives it alone, numbered from 0.

    Args:
        device: What embeds, as the settings name it for the process of the run.
        compute: The engine, and the GPUs of a worker. With none, Ray hides none: a number means the same there.
    """
    numbered = device.startswith(f"{CUDA}:")
    return CUDA if numbered and compute.engine == RAY and compute.ray_gpus else device


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

    def for_workers(self, compute: Compute) -> "NamedEncoder":
        """Return the encoder as workers of an engine load it."""
        return replace(self, device=device_of_workers(self.device, compute))

    def load(self) -> Encoder:
        """Load it in this process. Raises EncoderUnavailable, or EncoderMismatch if it is another here."""
        encoder = load(self.name, self.device)
        if str(encoder.id) != self.identity:
            raise EncoderMismatch(
                f"{self.name} is {encoder.id} in process {os.getpid()} on {os.uname().nodename}, and {self.identity} "
                "where the run was started; give both the same weights, packages and kind of device"
            )
        return encoder

"""Encoders of other distributions, held to the protocol.

What belongs here: loading one, and checking what it returns. What does not: finding it (`transforms/plug_ins.py`), the
protocol (`encoders/identity.py`).
"""

from collections.abc import Sequence
from typing import cast

import numpy as np

from transforms import plug_ins
from transforms.encoders.identity import (
    Encoder,
    EncoderId,
    EncoderUnavailable,
    Prepared,
    Vectors,
    full_call_of,
    preview_of,
    scaling_of,
)
from transforms.pictures import Pixels
from transforms.plug_ins import PlugIn

_OFF = 1e-2  # how far from 1 the norm of a vector may be: bfloat16 keeps 8 bits


def load(name: str, rest: str) -> Encoder | None:
    """Load an encoder of another distribution, None if there is none of this name.

    Args:
        name: Of the plug-in.
        rest: What follows the name in the settings, empty if nothing does.

    Raises:
        EncoderUnavailable: If the plug-in is broken or has no encoder. What it raises so itself is passed on.
    """
    try:
        plug_in = plug_ins.find(plug_ins.ENCODERS, name)
        return None if plug_in is None else PlugInEncoder(plug_in, plug_in.call(rest))
    except plug_ins.PlugInError as error:
        if isinstance(error.__cause__, EncoderUnavailable):
            raise error.__cause__ from None
        raise EncoderUnavailable(str(error)) from error


class PlugInEncoder:
    """An encoder of another distribution. What breaks the protocol stops here: wrong vectors would be kept as facts."""

    def __init__(self, plug_in: PlugIn, encoder: object) -> None:
        """Check that it is an encoder. Raises PlugInError."""
        lacking = [name for name in ("prepare", "embed") if not callable(getattr(encoder, name, None))]
        if not isinstance(getattr(encoder, "id", None), EncoderId) or lacking:
            lacks = f"it returned {type(encoder).__name__}, which is no encoder: that has id, prepare and embed, see"
            raise plug_in.broken(f"{lacks} {plug_ins.PAGE}")
        self._plug_in, self._encoder = plug_in, cast("Encoder", encoder)
        self.id = self._encoder.id
        self.scaling, self.preview = scaling_of(self._encoder), preview_of(self._encoder)
        self.full_call = full_call_of(self._encoder)

    def prepare(self, picture: Pixels) -> Prepared:
        """See Encoder."""
        return self._encoder.prepare(picture)

    def embed(self, prepared: Sequence[Prepared]) -> Vectors:
        """See Encoder. Raises PlugInError for vectors that nothing can be compared with."""
        vectors: object = self._encoder.embed(prepared)  # whatever it is typed as
        shape = (len(prepared), self.id.dimension)
        if not isinstance(vectors, np.ndarray) or vectors.shape != shape or vectors.dtype != np.float32:
            found = f"{vectors.dtype} of {vectors.shape}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
            raise self._plug_in.broken(f"embed returned {found}, not float32 of {shape}")
        if not (np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _OFF).all():
            raise self._plug_in.broken("embed returned vectors whose norm is not 1")
        return vectors

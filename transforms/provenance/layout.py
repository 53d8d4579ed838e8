"""A map of vectors: places in a plane where neighbours stay neighbours.

What belongs here: laying out a sample by UMAP, and placing others beside their neighbours in it. What does not:
choosing what is on the map, the page (`reports/atlas_page.py`). McInnes et al., UMAP, 2018.
"""

import numpy as np
import numpy.typing as npt

from transforms.encoders import Vectors
from transforms.joins.cosine.join import nearest
from transforms.packages import installing

_FEW = 16  # vectors, up to which their principal axes are the map: there is no neighbourhood to keep
_NEIGHBOURS = 15
_BESIDE = 8  # neighbours in the layout between which a vector is placed
_SHARP = 30.0  # how much nearer neighbours count more

type Places = npt.NDArray[np.float32]


class LayoutUnavailable(RuntimeError):
    """No map can be made; the message says what to install."""


def laid_out(vectors: Vectors, seed: int) -> Places:
    """Lay vectors out in a plane: float32 (n, 2). Equal arguments give equal places on one machine.

    Args:
        vectors: float32 (n, d), norm 1.
        seed: Of the layout.

    Raises:
        LayoutUnavailable: If umap-learn is not installed.
    """
    if len(vectors) <= _FEW:
        centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
        places = np.zeros((len(vectors), 2), np.float32)
        axes = np.linalg.svd(centred, full_matrices=False)[2][:2] if len(vectors) > 1 else np.empty((0, 0))
        places[:, : len(axes)] = centred @ axes.T if len(axes) else 0
        return places
    try:
        import umap
    except ImportError:
        raise LayoutUnavailable(f"a map needs umap-learn, which is not installed: {installing('atlas')}") from None
    made = umap.UMAP(
        n_neighbors=min(_NEIGHBOURS, len(vectors) - 1), metric="cosine", random_state=seed, n_jobs=1, init="pca"
    )
    return np.asarray(made.fit_transform(vectors), np.float32)


def beside(vectors: Vectors, known: Vectors, places: Places) -> Places:
    """Place vectors between their nearest neighbours in a layout: float32 (n, 2).

    Args:
        vectors: float32 (n, d), norm 1.
        known: float32 (m, d), norm 1, m at least 1: those that are laid out.
        places: float32 (m, 2), where they are.
    """
    near = nearest(vectors, known, min(_BESIDE, len(known)))
    weight = np.exp(_SHARP * (near.score - near.score[:, :1]))
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkx->nx", weight, places[near.position]).astype(np.float32)


def within_unit(places: Places) -> Places:
    """Return places moved and scaled, alike in both directions, into the unit square: float32 (n, 2)."""
    if not len(places):
        return places
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max()) or 1.0
    return ((places - (low + high) / 2) / size + 0.5).clip(0, 1).astype(np.float32)

"""Maps of vectors: few lie along their axes, many by UMAP, and others beside those that they are near to."""

import sys

import numpy as np
import pytest

from transforms.provenance import layout
from transforms.provenance.layout import LayoutUnavailable


def heaps(each: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    made = np.repeat(rng.standard_normal((3, 16)), each, axis=0) + 0.1 * rng.standard_normal((3 * each, 16))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("each", [5, pytest.param(20, marks=pytest.mark.thorough)])
def test_what_is_near_lies_together(each: int) -> None:
    if each > 5:
        pytest.importorskip("umap", reason="umap-learn is not installed")
    vectors = heaps(each)
    places = layout.laid_out(vectors, 1)
    assert (layout.laid_out(vectors, 1) == places).all()
    middles = places.reshape(3, each, 2).mean(axis=1)
    home = np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1)
    assert home.tolist() == np.repeat(range(3), each).tolist()
    between = layout.beside(vectors[::each] + 0.01, vectors, places)
    assert np.linalg.norm(between[:, None] - middles, axis=2).argmin(axis=1).tolist() == [0, 1, 2]


def test_none_and_one_have_places_too() -> None:
    assert layout.laid_out(heaps(1)[:0], 1).shape == (0, 2) and layout.within_unit(np.empty((0, 2))).shape == (0, 2)
    assert layout.within_unit(layout.laid_out(heaps(1)[:1], 1)).tolist() == [[0.5, 0.5]]
    unit = layout.within_unit(np.float32([[0, 0], [10, 5]]))
    assert unit.tolist() == [[0, 0.25], [1, 0.75]], "scaled alike in both directions"


def test_without_umap_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(LayoutUnavailable, match=r"umap-learn, which is not installed: pip install"):
        layout.laid_out(heaps(20), 1)

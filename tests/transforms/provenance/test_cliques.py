"""Cliques against networkx, within bounded work, and told from chains of real pictures that drift."""

import networkx as nx
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.duplicates.components import Components
from transforms.provenance import memorization
from transforms.provenance.cliques import largest_clique


def graph(seed: int, count: int, density: float) -> np.ndarray:
    upper = np.triu(np.random.default_rng(seed).random((count, count)) < density, k=1)
    return upper | upper.T


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_largest_clique_is_as_large_as_networkx_finds(seed: int, count: int, density: float) -> None:
    near = graph(seed, count, density)
    found = largest_clique(near)
    _, size = nx.max_weight_clique(nx.from_numpy_array(near), weight=None)
    assert found.exact and len(found.members) == size
    assert all(near[a, b] for a in found.members for b in found.members if a != b)
    assert found.holds(size) is True and found.holds(size + 1) is False


def test_a_search_that_ends_early_says_so() -> None:
    near = graph(1, 200, 0.9)
    found = largest_clique(near, budget=2_000)
    assert not found.exact and len(found.members) < found.at_most
    assert all(near[a, b] for a in found.members for b in found.members if a != b)
    assert found.holds(len(found.members)) is True
    assert found.holds(found.at_most) is None and found.holds(found.at_most + 1) is False


def test_five_hundred_equal_pictures_are_one_clique() -> None:
    found = largest_clique(np.ones((500, 500), np.bool_))
    assert found.exact and len(found.members) == 500


@pytest.mark.parametrize("near", [np.zeros((2, 3), np.bool_), np.array([[False, True], [False, False]])])
def test_what_is_no_graph_is_refused(near: np.ndarray) -> None:
    with pytest.raises(ValueError, match="symmetric"):
        largest_clique(near)


PHOTOGRAPHS = sorted((ROOT / "data/sample/generations").glob("0*.*"))[:48]


def photographs() -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in PHOTOGRAPHS]


def noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (picture + rng.normal(0, 8, picture.shape)).clip(0, 255).astype(np.uint8)


def near(pictures: list[np.ndarray], epsilon: float) -> np.ndarray:
    return memorization.tile_distances([memorization.tiles(each) for each in pictures]) <= epsilon


def component(graph_: np.ndarray) -> int:
    """Return the size of the largest connected component."""
    parts = Components(len(graph_))
    parts.add(*np.nonzero(np.triu(graph_, k=1)))
    return int(np.bincount(parts.labels()).max())


@pytest.mark.parametrize("epsilon", [pytest.param(0.05, marks=pytest.mark.thorough), 0.15])
def test_a_planted_prompt_is_told_from_one_whose_components_chain(epsilon: float) -> None:
    rng = np.random.default_rng(7)
    shown = photographs()
    planted = [noisy(shown[0], rng) for _ in range(12)] + shown[1:39]
    assert len(planted) == 50
    found = largest_clique(near(planted, epsilon))
    assert found.members == tuple(range(12)) and found.exact and found.holds(10) is True
    # a photograph that turns into others step by step: neighbours are near, those a few steps apart are not
    apart = memorization.tile_l2(shown[0], shown[1])
    steps = int(np.ceil(3 * apart / epsilon))
    drift = [
        (shown[0] * (1 - t) + shown[1] * t).round().astype(np.uint8) for t in np.linspace(0, 1, max(steps, 12) + 1)
    ]
    chain = (drift + shown[2:])[:50]
    assert component(near(chain, epsilon)) >= 12
    found = largest_clique(near(chain, epsilon))
    assert found.exact and found.holds(10) is False

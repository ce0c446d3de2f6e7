import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from timbre import neighbours
from timbre.neighbours import Floats, nearest

WIDTH = 3


def vectors(most: int) -> st.SearchStrategy[Floats]:
    # Few different values: many equals, and zeros.
    values = st.sampled_from([-2.0, 0.0, 1.0, 3.0])
    return st.integers(1, most).flatmap(lambda n: arrays(np.float64, (n, WIDTH), elements=values))


def cosine(one: Floats, other: Floats) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


@given(vectors(5), vectors(9), st.integers(0, 12))
def test_the_nearest_are_those_of_brute_force(queries: Floats, places: Floats, k: int) -> None:
    found = nearest(queries, places, k)
    n_found = min(k, len(places))
    assert found.index.shape == found.similarity.shape == (len(queries), n_found)
    for row, query in enumerate(queries):
        own = np.array([cosine(query, place) for place in places])
        assert found.similarity[row] == pytest.approx(np.sort(own)[::-1][:n_found], abs=1e-9)
        assert own[found.index[row]] == pytest.approx(found.similarity[row], abs=1e-9)
        assert len(set(found.index[row])) == n_found


def test_of_equals_the_first_are_taken() -> None:
    places = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert nearest(np.array([[1.0, 0.0]]), places, 2).index.tolist() == [[1, 2]]


def test_a_clip_is_nearest_to_itself_however_long_its_vector_is() -> None:
    places = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    found = nearest(7 * places, places, 1)
    assert found.index[:, 0].tolist() == list(range(50))
    assert found.similarity == pytest.approx(1.0)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    queries, places = rng.normal(size=(7, 4)), rng.normal(size=(20, 4))
    whole = nearest(queries, places, 3)
    for most in (1, 20, 45, 60):
        monkeypatch.setattr(neighbours, "MOST_PRODUCTS", most)
        pieces = nearest(queries, places, 3)
        assert pieces.index.tolist() == whole.index.tolist()
        assert pieces.similarity == pytest.approx(whole.similarity)


def test_without_places_nobody_is_near() -> None:
    assert nearest(np.ones((2, 3)), np.ones((0, 3)), 3).index.shape == (2, 0)

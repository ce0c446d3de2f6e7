import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from timbre.estimates import estimate

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=8)
TRUTH = 0.9


@given(VALUES)
def test_over_folds_of_one_seed_the_interval_is_students(values: list[float]) -> None:
    found = estimate(values, range(len(values)), [0] * len(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.lowest, found.highest) == (min(values), max(values))
    assert found.over_seeds is None
    assert found.interval is not None
    if max(values) - min(values) > 1e-6:
        error = stats.sem(values)
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
        assert found.interval == pytest.approx(expected)


@given(VALUES, st.integers(2, 4))
def test_more_seeds_that_say_the_same_change_nothing_but_their_number(
    values: list[float], n_seeds: int
) -> None:
    folds = range(len(values))
    once = estimate(values, folds, [0] * len(values))
    often = estimate(values * n_seeds, list(folds) * n_seeds, [0] * len(values) * n_seeds)
    assert often.interval == pytest.approx(once.interval, abs=1e-9)
    assert often.mean == pytest.approx(once.mean)
    assert often.over_seeds == pytest.approx(0, abs=1e-9)
    assert (often.n_folds, often.n_runs) == (len(values), n_seeds * len(values))


@given(VALUES, st.integers(2, 4))
def test_dividing_the_same_clips_anew_makes_no_interval_narrower(
    values: list[float], n_repeats: int
) -> None:
    n = len(values)
    once = estimate(values, range(n), [0] * n)
    repeats = [repeat for repeat in range(n_repeats) for _ in values]
    often = estimate(values * n_repeats, list(range(n)) * n_repeats, repeats)
    assert often.interval == pytest.approx(once.interval, abs=1e-9)


def test_seeds_of_one_fold_give_a_spread_and_no_interval() -> None:
    found = estimate([0.8, 0.9, 1.0], [3, 3, 3], [0, 0, 0])
    assert found.mean == pytest.approx(0.9)
    assert found.interval is None
    assert found.over_folds is None
    assert found.over_seeds == pytest.approx(0.1)


def test_a_fold_with_more_seeds_weighs_no_more_than_another() -> None:
    assert estimate([0.5, 0.5, 0.5, 1.0], [0, 0, 0, 1], [0] * 4).mean == pytest.approx(0.75)


def test_random_splits_that_share_test_clips_have_wider_intervals_than_folds() -> None:
    values = [0.8, 0.9, 0.85, 0.95]
    folds = estimate(values, range(4), [0] * 4).interval
    splits = estimate(values, range(4), [0] * 4, overlap=0.2).interval
    assert folds is not None
    assert splits is not None
    # Nadeau and Bengio: sqrt(1/4 + 0.2) in place of sqrt(1/4).
    ratio = (splits[1] - splits[0]) / (folds[1] - folds[0])
    assert ratio == pytest.approx(np.sqrt(0.45 / 0.25))


def simulated(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Five folds with scores of their own, three seeds of each that hardly differ."""
    folds = TRUTH + rng.normal(0, 0.03, 5)
    return (folds[:, None] + rng.normal(0, 0.005, (5, 3))).ravel(), np.repeat(range(5), 3)


def test_95_of_100_intervals_over_folds_and_seeds_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    hits = naive = 0
    for _ in range(2000):
        values, folds = simulated(rng)
        found = estimate(values.tolist(), folds.tolist(), [0] * 15).interval
        taken_alone = estimate(values.tolist(), range(15), [0] * 15).interval
        assert found is not None
        assert taken_alone is not None
        hits += found[0] <= TRUTH <= found[1]
        naive += taken_alone[0] <= TRUTH <= taken_alone[1]
    assert hits / 2000 == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 2000) ** 0.5)
    assert naive / 2000 < 0.85  # as if each seed were a fold

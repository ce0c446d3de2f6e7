import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from timbre.roc import auroc, false_accepts, false_accepts_at

SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_auroc_equals_that_of_scikit_learn(known: list[float], unknown: list[float]) -> None:
    targets = [1] * len(known) + [0] * len(unknown)
    expected = metrics.roc_auc_score(targets, known + unknown)
    assert auroc(np.array(known), np.array(unknown)) == pytest.approx(expected)


@given(SCORES, SCORES)
def test_auroc_of_the_unknown_against_the_known_is_the_rest(
    known: list[float], unknown: list[float]
) -> None:
    one, other = np.array(known), np.array(unknown)
    assert auroc(one, other) + auroc(other, one) == pytest.approx(1)


def test_auroc_needs_clips_of_both_kinds() -> None:
    for known, unknown in (([], [1.0]), ([1.0], [])):
        with pytest.raises(ValueError, match="need a clip each"):
            auroc(np.array(known), np.array(unknown))


def test_a_score_at_the_threshold_is_accepted() -> None:
    assert false_accepts(np.array([1.0, 2.0, 3.0, 4.0]), 3.0) == 0.5


@given(SCORES, SCORES)
def test_false_accepts_at_95_are_those_of_the_strictest_threshold_of_the_roc_curve(
    known: list[float], unknown: list[float]
) -> None:
    targets = [1] * len(known) + [0] * len(unknown)
    false, true, _ = metrics.roc_curve(targets, known + unknown, drop_intermediate=False)
    expected = false[true >= 0.95 - 1e-12].min()
    assert false_accepts_at(np.array(known), np.array(unknown)) == pytest.approx(expected)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.label_doubt import (
    NO_CLASS,
    Floats,
    Integers,
    class_thresholds,
    confident_classes,
    confidently_others,
    label_doubt,
    normalised_margin,
    self_confidence,
)

PROBS = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.7, 0.2, 0.1],
        [0.2, 0.8, 0.0],  # given as 0, and as sure of 1 as the next one is
        [0.2, 0.8, 0.0],
        [0.45, 0.55, 0.0],  # given as 0, but less sure of 1 than that
    ]
)
TARGETS = np.array([0, 0, 0, 1, 0])

answers = st.tuples(st.integers(1, 5), st.integers(1, 12), st.integers(0, 10**6))


def drawn(sizes: tuple[int, int, int]) -> tuple[Floats, Integers]:
    """Return probabilities and targets of some classes and clips."""
    n_classes, n_clips, seed = sizes
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n_classes), n_clips), rng.integers(0, n_classes, n_clips)


def test_self_confidence_margin_and_doubt_of_a_small_table() -> None:
    assert self_confidence(PROBS, TARGETS).tolist() == [0.9, 0.7, 0.2, 0.8, 0.45]
    assert normalised_margin(PROBS, TARGETS) == pytest.approx([0.8, 0.5, -0.6, 0.6, -0.1])
    assert label_doubt(PROBS, TARGETS) == pytest.approx([0.1, 0.25, 0.8, 0.2, 0.55])


def test_the_confident_joint_of_a_small_table() -> None:
    assert class_thresholds(PROBS, TARGETS) == pytest.approx([0.5625, 0.8, np.inf])
    assert confident_classes(PROBS, TARGETS).tolist() == [0, 0, 1, 1, NO_CLASS]
    assert confidently_others(PROBS, TARGETS).tolist() == [False, False, True, False, False]


def test_a_class_that_no_clip_has_is_nobodys_confident_class() -> None:
    probs = np.array([[0.1, 0.9], [0.6, 0.4]])
    assert confident_classes(probs, np.array([0, 0])).tolist() == [NO_CLASS, 0]


@given(answers)
def test_doubt_is_above_one_half_exactly_where_another_class_is_likelier(
    sizes: tuple[int, int, int],
) -> None:
    probs, targets = drawn(sizes)
    doubt = label_doubt(probs, targets)
    assert ((doubt >= 0) & (doubt <= 1)).all()
    assert ((doubt > 0.5) == (probs.max(axis=1) > self_confidence(probs, targets))).all()


@given(answers)
def test_the_names_of_the_classes_change_no_doubt(sizes: tuple[int, int, int]) -> None:
    probs, targets = drawn(sizes)
    order = np.random.default_rng(sizes[2]).permutation(sizes[0])
    place = np.argsort(order)
    assert label_doubt(probs[:, order], place[targets]) == pytest.approx(
        label_doubt(probs, targets)
    )
    assert (
        confidently_others(probs[:, order], place[targets]) == confidently_others(probs, targets)
    ).all()


@given(answers)
def test_who_is_confidently_of_another_class_reaches_its_threshold(
    sizes: tuple[int, int, int],
) -> None:
    probs, targets = drawn(sizes)
    found, limits = confident_classes(probs, targets), class_thresholds(probs, targets)
    for clip in np.flatnonzero(confidently_others(probs, targets)):
        assert found[clip] != targets[clip]
        assert probs[clip, found[clip]] >= limits[found[clip]]


@given(st.integers(0, 10**6))
def test_planted_wrong_labels_are_ranked_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, 60)
    probs = 0.2 * rng.dirichlet(np.ones(4), 60)
    probs[np.arange(60), true] += 0.8
    given_labels, flipped = true.copy(), rng.choice(60, 6, replace=False)
    given_labels[flipped] = (true[flipped] + rng.integers(1, 4, 6)) % 4
    ranked = np.argsort(-label_doubt(probs, given_labels))
    assert set(ranked[:6]) == set(flipped)
    assert set(np.flatnonzero(confidently_others(probs, given_labels))) <= set(flipped)


def test_a_single_class_leaves_nothing_to_doubt() -> None:
    assert label_doubt(np.ones((2, 1)), np.array([0, 0])).tolist() == [0.0, 0.0]

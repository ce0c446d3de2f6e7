"""What is said of a clip follows from its windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from timbre.answers import Answers, clip_means, clip_probs, softmax


def of(windows: list[int], seed: int) -> Answers:
    rng = np.random.default_rng(seed)
    clip = np.repeat(np.arange(len(windows)), windows)
    return Answers(rng.normal(0, 9, (len(clip), 3)), rng.normal(size=(len(clip), 2)), clip)


WINDOWS = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@given(WINDOWS, st.integers(0, 1000), st.sampled_from([0.05, 1.0, 20.0]))
def test_each_row_is_the_mean_over_the_clips_own_windows(
    windows: list[int], seed: int, temperature: float
) -> None:
    answers = of(windows, seed)
    found = answers.of_clips(temperature)
    probs = special.softmax(answers.logits / temperature, axis=1)
    for clip in range(len(windows)):
        own = answers.clip == clip
        np.testing.assert_allclose(found.probs[clip], probs[own].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found.logits[clip], answers.logits[own].mean(axis=0))
        np.testing.assert_allclose(found.embeddings[clip], answers.embeddings[own].mean(axis=0))
    assert len(found) == len(windows)
    np.testing.assert_allclose(found.probs.sum(axis=1), 1)


def test_logits_too_large_to_exponentiate_are_no_problem() -> None:
    np.testing.assert_allclose(softmax(np.array([[5000.0, 0.0]]), 0.05), [[1, 0]])


def test_windows_are_averaged_as_probabilities_not_as_logits() -> None:
    logits = np.array([[100.0, 0.0], [0.0, 1.0]])
    one_clip = clip_probs(logits, np.zeros(2, np.int64), 1.0)
    np.testing.assert_allclose(one_clip, [[(1 + 1 / (1 + np.e)) / 2, np.e / (1 + np.e) / 2]])


def test_the_given_logits_stay_as_they_are() -> None:
    answers = of([2, 1], 0)
    before = answers.logits.copy()
    answers.of_clips(2.0)
    np.testing.assert_array_equal(answers.logits, before)


def test_clips_of_one_window_are_their_windows() -> None:
    values = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_array_equal(clip_means(values, np.arange(4)), values)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_network_that_diverged_is_noticed_in_logits_and_in_embeddings(broken: float) -> None:
    answers = of([2, 1], 0)
    assert answers.are_finite()
    for array in (answers.logits, answers.embeddings):
        old, array[0, 0] = array[0, 0], broken
        assert not answers.are_finite()
        array[0, 0] = old

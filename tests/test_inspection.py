import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.inspection import LEAST_SURE, Said, choose


def said(probs: list[list[float]], targets: list[int], rejected: tuple[int, ...] = ()) -> Said:
    accepted = np.array([clip not in rejected for clip in range(len(probs))])
    return Said(np.array(probs), np.array(targets), np.zeros(len(probs)), accepted)


SOME = said(
    [
        [0.9, 0.1],  # right and sure
        [0.3, 0.7],  # wrong
        [0.55, 0.45],  # right, unsure
        [0.05, 0.95],  # wrong, and sure of it
        [0.99, 0.01],  # right and sure, but taken for unknown
    ],
    [0, 0, 0, 0, 0],
    rejected=(4,),
)


def test_wrong_and_unsure_clips_are_chosen_the_most_doubtful_label_first() -> None:
    found = choose(SOME, 0.6, 40)
    assert found.clips == [3, 1, 2, 4]
    assert found.kinds == ["wrong", "wrong", "unsure", "unsure"]
    assert (found.n_wrong, found.n_unsure, found.n_left_out) == (2, 2, 0)


def test_a_score_that_is_not_of_these_answers_is_told_but_for_one_clip() -> None:
    assert SOME.agrees_with(5, 0.6)
    assert SOME.agrees_with(5, 0.8)
    assert not SOME.agrees_with(5, 1.0)
    assert not SOME.agrees_with(4, 0.75)


def test_what_is_left_out_is_counted() -> None:
    found = choose(SOME, 0.6, 1)
    assert (found.clips, found.n_left_out) == ([3], 3)


def test_without_mistakes_the_least_sure_clips_are_shown() -> None:
    probs = [[0.7 + 0.01 * n, 0.3 - 0.01 * n] for n in range(20)]
    found = choose(said(probs[::-1], [0] * 20), 0.6, 40)
    assert found.clips == list(range(19, 19 - LEAST_SURE, -1))
    assert (found.n_wrong, found.n_unsure, found.n_left_out) == (0, 0, 0)
    assert set(found.kinds) == {"right"}


def test_the_answer_comes_first_and_the_label_is_never_missing() -> None:
    one = said([[0.1, 0.2, 0.3, 0.35, 0.05]], [4])
    assert one.likeliest(0) == [3, 2, 1, 4]
    assert said([[0.4, 0.4, 0.2]], [1]).likeliest(0) == [0, 1, 2]


@given(
    st.integers(2, 4),
    st.integers(1, 30),
    st.integers(1, 35),
    st.floats(0, 1),
    st.integers(0, 10**6),
)
def test_a_choice_holds_no_clip_twice_wrong_ones_before_right_ones(
    n_classes: int, n_clips: int, most: int, below: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Few different values, so that some clips are torn between two classes.
    probs = rng.integers(1, 4, (n_clips, n_classes)).astype(np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    told = Said(
        probs,
        rng.integers(0, n_classes, n_clips),
        np.zeros(n_clips),
        rng.random(n_clips) < 0.8,
    )
    found = choose(told, below, most)
    assert 1 <= len(found.clips) == len(set(found.clips)) <= most
    wrong = told.wrong()[found.clips].tolist()
    assert wrong == sorted(wrong, reverse=True)
    assert sum(wrong) == min(found.n_wrong, most)
    assert told.doubt()[found.clips] == pytest.approx(
        np.sort(told.doubt()[found.clips])[::-1]
    ) or not (found.n_wrong + found.n_unsure)

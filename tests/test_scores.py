import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from timbre import scores
from timbre.problems import InputError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@st.composite
def answers(draw: st.DrawFn) -> tuple[Floats, Integers]:
    """Softmax probabilities of 2-6 classes and targets, of which some may be absent."""
    n_clips, n_classes = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    probs = rng.dirichlet(np.ones(n_classes), n_clips)
    return probs, rng.integers(draw(st.integers(1, n_classes)), size=n_clips)


@given(answers())
@settings(max_examples=60, deadline=None)
def test_scores_equal_those_of_scikit_learn(case: tuple[Floats, Integers]) -> None:
    probs, targets = case
    predicted, classes = probs.argmax(axis=1), np.arange(probs.shape[1])
    present = np.unique(targets)
    per_class_recall = metrics.recall_score(
        targets, predicted, labels=classes, average=None, zero_division=0
    )
    assert scores.accuracy(predicted, targets) == pytest.approx((predicted == targets).mean())
    assert scores.balanced_accuracy(predicted, targets) == pytest.approx(
        per_class_recall[present].mean()
    )
    assert scores.log_loss(probs, targets) == pytest.approx(
        -np.log(probs[np.arange(len(targets)), targets]).mean()
    )
    if len(classes) > 2:
        assert scores.found_in_top(probs, targets, 2).mean() == pytest.approx(
            metrics.top_k_accuracy_score(targets, probs, k=2, labels=classes)
        )


@given(answers())
@settings(max_examples=30, deadline=None)
def test_top_k_grows_with_k_from_the_accuracy_to_1(case: tuple[Floats, Integers]) -> None:
    probs, targets = case
    found = [scores.found_in_top(probs, targets, k).mean() for k in range(1, probs.shape[1] + 3)]
    assert found[0] == scores.accuracy(scores.predict(probs), targets)
    assert found == sorted(found)
    assert found[-3:] == [1.0, 1.0, 1.0]  # n_classes and more


def test_of_equal_probabilities_the_first_counts_as_the_higher() -> None:
    probs = np.full((3, 3), 1 / 3)
    targets = np.array([0, 1, 2])
    assert scores.predict(probs).tolist() == [0, 0, 0]
    assert scores.found_in_top(probs, targets, 1).mean() == pytest.approx(1 / 3)
    assert scores.found_in_top(probs, targets, 2).mean() == pytest.approx(2 / 3)


def test_top_0_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        scores.found_in_top(np.eye(2), np.array([0, 1]), 0)


def test_a_class_without_clips_lowers_no_score_of_a_flawless_classifier() -> None:
    targets = np.array([0, 0, 2])
    assert scores.macro_f1(targets, targets) == 1
    assert scores.balanced_accuracy(targets, targets) == 1


def test_a_class_without_clips_that_is_predicted_counts_as_an_error() -> None:
    predicted, targets = np.array([0, 1]), np.array([0, 0])
    assert scores.balanced_accuracy(predicted, targets) == pytest.approx(1 / 2)
    assert scores.macro_f1(predicted, targets) == pytest.approx((2 / 3 + 0) / 2)


def test_balanced_accuracy_of_one_answer_for_all_is_chance_however_unequal_the_classes() -> None:
    targets = np.repeat([0, 1, 2], [90, 9, 1])
    assert scores.balanced_accuracy(np.zeros(100, dtype=np.int64), targets) == pytest.approx(1 / 3)


def test_log_loss_of_even_odds_is_ln_of_the_number_of_classes() -> None:
    assert scores.log_loss(np.full((5, 4), 0.25), np.zeros(5, dtype=int)) == pytest.approx(
        np.log(4)
    )


def test_a_probability_of_0_for_the_truth_costs_much_but_not_infinitely_much() -> None:
    assert scores.log_loss(np.eye(2), np.array([1, 0])) == pytest.approx(
        -np.log(np.finfo(np.float64).eps)
    )


def test_the_rounding_of_float32_softmax_raises_no_warning() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wide = softmax.astype(np.float64)
    assert np.abs(wide.sum(axis=1) - 1).max() > np.sqrt(np.finfo(np.float64).eps)
    assert scores.log_loss(wide, np.zeros(50, dtype=int)) > 0


def test_probabilities_that_are_not_finite_are_a_problem_with_a_way_out() -> None:
    probs = np.full((3, 2), 0.5)
    probs[1:] = [[np.nan, 0.5], [np.inf, np.nan]]
    with pytest.raises(InputError) as caught:
        scores.predict(probs)
    assert caught.value.problems == [
        "the model gives no finite probabilities for 2 of 3 clips: "
        "its training diverged; lower the learning rate and train again"
    ]


def test_summary_of_a_small_split() -> None:
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    found = scores.summary(probs, np.array([0, 0, 1, 1]), ["a", "a", "b", "c"], k=3)
    assert list(found) == [
        "n_clips",
        "n_groups",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "balanced_accuracy",
        "balanced_accuracy_low",
        "balanced_accuracy_high",
        "macro_f1",
        "top_3",
        "top_3_low",
        "top_3_high",
        "log_loss",
    ]
    assert found["n_clips"] == 4
    assert found["n_groups"] == 3
    assert found["accuracy"] == found["balanced_accuracy"] == 0.75
    assert found["macro_f1"] == round((4 / 5 + 2 / 3) / 2, 6)
    assert found["top_3"] == 1
    assert found["log_loss"] == round(-np.log([0.9, 0.8, 0.7, 0.4]).mean(), 6)


def test_summary_is_json_with_at_most_six_decimals_and_limits_about_each_score() -> None:
    rng = np.random.default_rng(1)
    groups = [f"recording {i % 12}" for i in range(200)]
    targets = np.arange(200) % 12 % 3
    probs = rng.dirichlet(np.ones(3), 200) + 0.8 * np.eye(3)[targets]
    found = scores.summary(probs / probs.sum(axis=1, keepdims=True), targets, groups, k=2)
    assert json.loads(json.dumps(found)) == found
    assert all(round(value, 6) == value for value in found.values())
    for name in ("accuracy", "balanced_accuracy"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_a_split_without_clips_has_no_scores() -> None:
    with pytest.raises(ValueError, match=r"^no clips, no scores$"):
        scores.summary(np.empty((0, 2)), np.empty(0, dtype=int), [], k=1)


def test_every_label_has_its_row_even_without_clips_or_predictions() -> None:
    found = scores.per_class(np.array([0, 0, 1]), np.array([0, 1, 1]), ["ba", "سعد", "never"])
    assert found == {
        "ba": {"precision": 0.5, "recall": 1.0, "f1": 0.666667, "support": 1},
        "سعد": {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 2},
        "never": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
    }
    assert json.loads(json.dumps(found)) == found

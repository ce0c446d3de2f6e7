import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.intervals import Interval, accuracy_interval, balanced_accuracy_interval

N_CLIPS = 15
WITHIN = 0.15  # correlation of the clips of one group
RUNS = 1000
# Three standard errors of a share of 0.95 among the runs, and a point for the method itself: over
# many more runs these corpora give 0.94 to 0.955 (percentile limits of the second: 0.88).
ERROR = 3 * (0.95 * 0.05 / RUNS) ** 0.5 + 0.01


def corpus(
    accuracy: float, n_groups: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Beta-binomial groups: `correct` and `groups` of n_groups x 15 clips."""
    strength = (1 - WITHIN) / WITHIN
    shares = rng.beta(accuracy * strength, (1 - accuracy) * strength, n_groups)
    groups = np.repeat(np.arange(n_groups), N_CLIPS)
    return rng.random(len(groups)) < shares[groups], groups


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(("accuracy", "n_groups"), [(0.7, 30), (0.92, 15)])
def test_95_of_100_intervals_over_groups_hold_the_true_accuracy(
    accuracy: float, n_groups: int
) -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for run in range(RUNS):
        correct, groups = corpus(accuracy, n_groups, rng)
        hits += covers(accuracy_interval(correct, groups, seed=run, replicates=500), accuracy)
    assert hits / RUNS == pytest.approx(0.95, abs=ERROR)


def test_intervals_that_take_clips_for_independent_miss_the_truth_far_too_often() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for run in range(100):
        correct, groups = corpus(0.7, 20, rng)
        alone = np.arange(len(groups))
        hits += covers(accuracy_interval(correct, alone, seed=run, replicates=200), 0.7)
    assert hits < 85


def test_95_of_100_intervals_hold_the_true_balanced_accuracy_of_unequal_classes() -> None:
    rng = np.random.default_rng(3)
    recalls, class_of_group = np.array([0.6, 0.9, 0.95]), np.repeat([0, 1, 2], [6, 20, 10])
    strength, hits = (1 - WITHIN) / WITHIN, 0
    groups = np.repeat(np.arange(36), N_CLIPS)
    targets = class_of_group[groups]
    for run in range(RUNS):
        means = recalls[class_of_group]
        shares = rng.beta(means * strength, (1 - means) * strength)
        correct = rng.random(len(groups)) < shares[groups]
        found = balanced_accuracy_interval(correct, targets, groups, seed=run, replicates=500)
        hits += covers(found, float(recalls.mean()))
    assert hits / RUNS == pytest.approx(0.95, abs=ERROR)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 5)), min_size=1))
@settings(max_examples=60, deadline=None)
def test_limits_enclose_the_estimate_and_stay_between_0_and_1(
    clips: list[tuple[bool, int, int]],
) -> None:
    correct, targets, groups = map(np.array, zip(*clips, strict=True))
    recalls = [correct[targets == target].mean() for target in np.unique(targets)]
    plain = accuracy_interval(correct, groups, replicates=100)
    balanced = balanced_accuracy_interval(correct, targets, groups, replicates=100)
    assert 0 <= plain.low <= correct.mean() + 1e-12
    assert correct.mean() - 1e-12 <= plain.high <= 1
    assert 0 <= balanced.low <= np.mean(recalls) + 1e-12
    assert np.mean(recalls) - 1e-12 <= balanced.high <= 1
    assert plain.low < plain.high
    assert balanced.low < balanced.high


def test_a_perfect_score_in_30_groups_leaves_room_for_one_bad_group_in_nine() -> None:
    groups = np.repeat(np.arange(30), 20)
    low, high = accuracy_interval(np.ones(600, dtype=bool), groups)
    assert low == pytest.approx(0.025 ** (1 / 30))  # Clopper and Pearson for 30 of 30
    assert high == 1


def test_more_clips_in_the_same_groups_do_not_make_a_perfect_score_surer() -> None:
    few = accuracy_interval(np.ones(30), np.arange(30))
    many = accuracy_interval(np.ones(3000), np.repeat(np.arange(30), 100))
    assert few == pytest.approx(many)


def test_a_perfect_score_is_less_sure_where_one_group_holds_most_clips() -> None:
    equal = accuracy_interval(np.ones(100), np.repeat(np.arange(10), 10))
    lopsided = accuracy_interval(np.ones(100), np.repeat(np.arange(10), [91] + [1] * 9))
    assert lopsided.low < equal.low


def test_one_group_says_next_to_nothing() -> None:
    perfect = accuracy_interval(np.ones(50), np.zeros(50))
    assert perfect == pytest.approx((0.025, 1))
    half = accuracy_interval(np.arange(50) % 2, np.zeros(50))
    assert half.low < 0.01
    assert half.high > 0.99


def test_errors_in_a_single_group_give_the_limits_that_assume_nothing_about_the_others() -> None:
    correct, groups = np.ones(600), np.repeat(np.arange(30), 20)
    correct[0] = 0
    one_error = accuracy_interval(correct, groups)
    assert one_error.low < accuracy_interval(np.ones(600), groups).low


def test_wrong_answers_mirror_right_ones() -> None:
    correct, groups = corpus(0.8, 25, np.random.default_rng(1))
    right, wrong = accuracy_interval(correct, groups), accuracy_interval(~correct, groups)
    assert (1 - wrong.high, 1 - wrong.low) == pytest.approx((right.low, right.high))


def test_the_order_of_the_clips_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    correct, groups = corpus(0.8, 25, rng)
    targets, order = groups % 3, rng.permutation(len(groups))
    shuffled = balanced_accuracy_interval(correct[order], targets[order], groups[order])
    assert shuffled == pytest.approx(balanced_accuracy_interval(correct, targets, groups))


def test_the_same_seed_gives_the_same_limits_and_another_nearly_the_same() -> None:
    correct, groups = corpus(0.8, 25, np.random.default_rng(2))
    first = accuracy_interval(correct, groups, seed=0)
    assert accuracy_interval(correct, groups, seed=0) == first
    assert accuracy_interval(correct, groups, seed=1) != first
    assert accuracy_interval(correct, groups, seed=1) == pytest.approx(first, abs=0.02)


def test_more_groups_make_the_interval_narrower() -> None:
    rng = np.random.default_rng(4)
    narrow = accuracy_interval(*corpus(0.8, 200, rng))
    wide = accuracy_interval(*corpus(0.8, 15, rng))
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_balanced_accuracy_of_equal_classes_in_every_group_is_plain_accuracy() -> None:
    rng = np.random.default_rng(5)
    correct, groups = np.tile(rng.random(120) < 0.8, 2), np.tile(np.repeat(np.arange(20), 6), 2)
    targets = np.repeat([0, 1], 120)
    balanced = balanced_accuracy_interval(correct, targets, groups)
    assert balanced == pytest.approx(accuracy_interval(correct, groups), abs=1e-6)


def test_a_class_with_one_group_gives_the_limits_that_assume_nothing() -> None:
    correct = np.random.default_rng(6).random(110) < 0.8
    groups = np.repeat(np.arange(11), 10)
    with_rare = balanced_accuracy_interval(correct, np.repeat([0, 1], [100, 10]), groups)
    common = balanced_accuracy_interval(correct[:100], np.zeros(100), groups[:100])
    assert with_rare.high - with_rare.low > 2 * (common.high - common.low)


def test_independent_clips_in_chunks_of_replicates_give_the_textbook_width() -> None:
    groups = np.arange(100_000) % 5_000  # 2 000 replicates of 5 000 groups exceed one chunk
    correct = np.random.default_rng(8).random(100_000) < 0.9
    low, high = balanced_accuracy_interval(correct, groups % 20, groups)
    # Independent clips: the textbook's 1.96 standard errors.
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.9 * 0.1 / 100_000), rel=0.1)


def test_no_clips_and_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry a clip"):
        accuracy_interval([], [])
    with pytest.raises(ValueError, match="one entry a clip"):
        accuracy_interval([True, False], ["a"])

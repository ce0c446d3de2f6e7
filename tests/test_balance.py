"""Dealing units of clips into parts: whole, even, and with no class absent needlessly."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import StratifiedGroupKFold

from timbre.balance import FloatArray, IntArray, deal, equal_runs, kinds_of

SHARES = np.array([0.7, 0.15, 0.15])


def class_counts(parts: IntArray, targets: IntArray, n_parts: int = 3) -> IntArray:
    """Clips per part and class, `(n_parts, n_classes)`."""
    counts = np.zeros((n_parts, targets.max() + 1), np.int64)
    np.add.at(counts, (parts, targets), 1)
    return counts


def badness(counts: IntArray, fractions: FloatArray) -> tuple[int, float]:
    """Empty (part, class) pairs, then unevenness: written anew from the docstring of `deal`."""
    columns = np.column_stack([counts, counts.sum(1)])
    wanted = fractions[:, None] * columns.sum(0)
    return int((counts == 0).sum()), float(((columns - wanted) ** 2 / wanted).sum())


def many_voices(seed: int) -> tuple[IntArray, IntArray]:
    """150 groups of 2 to 80 clips, each with its own leaning among 8 classes."""
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(150), rng.integers(2, 80, 150))
    leanings = rng.dirichlet(np.full(8, 0.5), 150)
    return np.array([rng.choice(8, p=leanings[unit]) for unit in units]), units


@pytest.mark.parametrize(
    ("n_clips", "shares"), [(20, (14, 3, 3)), (3, (1, 1, 1)), (1000, (700, 150, 150))]
)
def test_single_clips_of_one_class_fall_into_the_wanted_shares(
    n_clips: int, shares: tuple[int, ...]
) -> None:
    parts = deal(np.zeros(n_clips, np.int64), np.arange(n_clips), SHARES, seed=0)
    assert tuple(np.bincount(parts)) == shares


def test_a_hundred_thousand_clips_are_dealt_to_the_clip() -> None:
    targets = np.arange(100_000) % 7
    counts = class_counts(deal(targets, np.arange(100_000), SHARES, seed=0), targets)
    wanted = SHARES[:, None] * np.bincount(targets)
    assert np.abs(counts - wanted).max() <= 1


@given(st.lists(st.integers(4, 60), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=10)
def test_single_clips_are_dealt_almost_to_the_clip_in_every_class(
    sizes: list[int], seed: int
) -> None:
    targets = np.repeat(np.arange(len(sizes)), sizes)
    counts = class_counts(deal(targets, np.arange(len(targets)), SHARES, seed), targets)
    # Not below 1: rounding each class alone could leave a whole part too small.
    assert np.abs(counts - SHARES[:, None] * np.array(sizes)).max() < 1.5
    assert counts.min() > 0


@given(
    arrays(np.int64, st.tuples(st.integers(3, 6), st.integers(1, 3)), elements=st.integers(0, 5)),
    st.sampled_from([(0.7, 0.15, 0.15), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.2, 0.3)]),
    st.integers(0, 99),
)
@settings(max_examples=25)
def test_of_all_ways_to_deal_a_few_units_the_best_is_found(
    table: IntArray, shares: tuple[float, ...], seed: int
) -> None:
    table[0, :] += 1  # no class without a clip
    table[:, 0] += 1  # no unit without a clip
    units, targets = (np.repeat(index.ravel(), table.ravel()) for index in np.indices(table.shape))
    fractions = np.array(shares)
    parts = deal(targets, units, fractions, seed)
    ways = (np.array(way)[units] for way in product(range(3), repeat=len(table)))
    best = min(badness(class_counts(way, targets), fractions) for way in ways)
    n_empty, unevenness = badness(class_counts(parts, targets), fractions)
    assert n_empty == best[0]
    assert unevenness == pytest.approx(best[1])


@given(st.integers(0, 99), st.integers(2, 9))
@settings(max_examples=5)
def test_no_unit_stands_in_two_parts(seed: int, n_parts: int) -> None:
    targets, units = many_voices(seed)
    parts = deal(targets, units, np.full(n_parts, 1 / n_parts), seed)
    assert len(parts) == len(units)
    assert set(parts) == set(range(n_parts))
    assert len({*zip(units.tolist(), parts.tolist(), strict=True)}) == 150


@pytest.mark.parametrize("seed", range(3))
def test_equal_parts_are_evener_than_those_of_scikit_learn(seed: int) -> None:
    targets, units = many_voices(seed)
    equal = np.full(5, 1 / 5)
    theirs = np.empty_like(targets)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for part, (_, chosen) in enumerate(splitter.split(targets, targets, units)):
        theirs[chosen] = part
    ours = deal(targets, units, equal, seed)
    ours_is, theirs_is = (badness(class_counts(x, targets, 5), equal) for x in (ours, theirs))
    assert ours_is < theirs_is


def test_a_rare_class_reaches_every_part_among_large_groups() -> None:
    # Class 1 lives in three units that also hold very different numbers of class 0.
    sizes = np.array([300, 40, 5, *[20] * 30])
    units = np.concatenate([np.repeat(np.arange(33), sizes), [0, 1, 2]])
    targets = np.concatenate([np.zeros(sizes.sum(), np.int64), [1, 1, 1]])
    counts = class_counts(deal(targets, units, SHARES, seed=0), targets)
    assert counts[:, 1].tolist() == [1, 1, 1]
    assert np.abs(counts.sum(1) / len(units) - SHARES).max() < 0.02


def test_the_seed_decides() -> None:
    targets, units = np.arange(60) % 3, np.arange(60)
    first, again, other = (deal(targets, units, SHARES, seed).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_codes_are_names_only() -> None:
    targets, units = many_voices(0)
    renamed = deal(targets * 10 + 7, units * 3 + 1, SHARES, seed=0)
    np.testing.assert_array_equal(renamed, deal(targets, units, SHARES, seed=0))


def test_a_climb_that_is_cut_short_tears_no_unit_and_is_no_worse_than_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    targets, units = many_voices(0)
    equal, found = np.full(5, 1 / 5), []
    for n_steps in (0, 500):
        monkeypatch.setattr("timbre.balance.MOST_STEPS", n_steps)
        parts = deal(targets, units, equal, seed=0)
        assert len({*zip(units.tolist(), parts.tolist(), strict=True)}) == 150
        found.append(badness(class_counts(parts, targets, 5), equal))
    assert found[1] < found[0]


RUNS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=12)


@given(RUNS)
def test_runs_have_one_number_where_they_are_equal_and_others_where_not(
    runs: list[list[int]],
) -> None:
    cells = np.array([cell for run in runs for cell in run])
    starts = np.cumsum([0, *map(len, runs[:-1])])
    numbers = equal_runs(cells, starts).tolist()
    for one, other in product(range(len(runs)), repeat=2):
        assert (numbers[one] == numbers[other]) == (runs[one] == runs[other])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40))
def test_units_are_of_one_kind_where_their_classes_have_equal_counts(
    clips: list[tuple[int, int]],
) -> None:
    targets, units = (
        np.unique(column, return_inverse=True)[1] for column in zip(*clips, strict=True)
    )
    kinds, kind_of_unit = kinds_of(targets, units)
    counted = [
        np.bincount(targets[units == unit], minlength=targets.max() + 1)
        for unit in range(units.max() + 1)
    ]
    assert kinds[kind_of_unit][:, :-1].tolist() == [row.tolist() for row in counted]
    assert len({tuple(row) for row in kinds.tolist()}) == len(kinds)
    _, first = np.unique(kind_of_unit, return_index=True)
    assert first.tolist() == sorted(first.tolist())

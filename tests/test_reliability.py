from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from timbre.problems import InputError
from timbre.reliability import (
    N_BINS,
    bins,
    draw,
    expected_calibration_error,
    read_rows,
    rows,
    write_rows,
)

CLIPS = st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1, max_size=60)


def arrays(
    clips: list[tuple[float, bool]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    confidence, correct = zip(*clips, strict=True)
    return np.array(confidence), np.array(correct)


@given(CLIPS)
def test_bins_hold_every_clip_once_and_nothing_outside_their_limits(
    clips: list[tuple[float, bool]],
) -> None:
    found = bins(*arrays(clips))
    assert len(found) == N_BINS
    assert found.n_clips.sum() == len(clips)
    held = found[found.n_clips > 0]
    assert (abs(held.confidence - held.middle) <= 0.5 / N_BINS + 1e-9).all()
    assert found.loc[found.n_clips == 0, ["confidence", "accuracy"]].isna().all(axis=None)


@given(CLIPS)
def test_bins_equal_the_calibration_curve_of_scikit_learn(clips: list[tuple[float, bool]]) -> None:
    confidence, correct = arrays(clips)
    theirs = calibration_curve(correct, confidence, n_bins=N_BINS)
    held = bins(confidence, correct).dropna()
    np.testing.assert_allclose(held.accuracy, theirs[0])
    np.testing.assert_allclose(held.confidence, theirs[1])


def test_a_confidence_on_a_limit_belongs_to_the_bin_below() -> None:
    limits = np.arange(1, N_BINS + 1) / N_BINS
    assert bins(limits, np.ones(N_BINS, bool)).n_clips.tolist() == [1] * N_BINS


@given(CLIPS)
def test_the_error_lies_between_the_gap_of_the_means_and_1(clips: list[tuple[float, bool]]) -> None:
    confidence, correct = arrays(clips)
    error = expected_calibration_error(confidence, correct)
    assert abs(confidence.mean() - correct.mean()) - 1e-9 <= error <= 1


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([0.95, 0.95], [True, True], 0.05),
        ([0.95, 0.95], [True, False], 0.45),
        ([0.95, 0.25], [True, True], 0.4),
        ([1.0], [True], 0.0),
        ([1.0], [False], 1.0),
    ],
)
def test_the_error_of_a_few_clips_is_what_one_counts_by_hand(
    confidence: list[float], correct: list[bool], error: float
) -> None:
    found = expected_calibration_error(np.array(confidence), np.array(correct))
    assert found == pytest.approx(error)


def test_confidences_that_are_true_have_a_small_error_and_others_a_large_one() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20_000)
    correct = rng.random(20_000) < confidence
    assert expected_calibration_error(confidence, correct) < 0.015
    assert expected_calibration_error(np.sqrt(confidence), correct) > 0.1


def test_the_table_has_both_diagrams_and_leaves_empty_bins_empty(tmp_path: Path) -> None:
    before = bins(np.array([1.0, 1.0]), np.array([True, False]))
    after = bins(np.array([0.5, 0.5]), np.array([True, False]))
    write_rows(rows(before, after), tmp_path / "new" / "reliability.csv")
    read = pd.read_csv(tmp_path / "new" / "reliability.csv")
    assert list(read.columns) == [
        *("middle", "n_clips", "confidence", "accuracy"),
        *("n_clips_uncalibrated", "confidence_uncalibrated", "accuracy_uncalibrated"),
    ]
    assert read.n_clips.tolist() == [0] * 7 + [2] + [0] * 7
    assert read.n_clips_uncalibrated.tolist() == [0] * 14 + [2]
    assert read.accuracy.notna().sum() == 1


def test_equal_input_gives_an_equal_picture_and_other_input_another(tmp_path: Path) -> None:
    one, other = (bins(np.array([c, 0.6]), np.array([True, False])) for c in (0.9, 0.4))
    for name, tables in (("a", (one, other)), ("b", (one, other)), ("c", (other, one))):
        draw(*tables, tmp_path / name)
    pictures = [(tmp_path / name).read_bytes() for name in "abc"]
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1] != pictures[2]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = bins(np.array([0.3, 0.9, 0.95]), np.array([True, False, True]))
    write_rows(rows(found, found), tmp_path / "r.csv")
    pd.testing.assert_frame_equal(
        read_rows(tmp_path / "r.csv")[[*found.columns]], found.astype(float).round(6)
    )


def test_a_table_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"r\.csv: cannot be used \(No such file .*dvc repro"):
        read_rows(tmp_path / "r.csv")

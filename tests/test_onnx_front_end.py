"""The log-mel of the exported front end is the classifier's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import Array, noise, run_graph, value_in

from timbre.features import Features
from timbre.log_mel import LogMel
from timbre.mel_filters import mel_filters
from timbre.onnx_front_end import factors, front_end_graph
from timbre.problems import InputError

RATE = 8000
TOP_DB = 80.0


def features(
    n_fft: int = 256, *, window: int = 2000, hop_length: int = 100, n_mels: int = 16
) -> Features:
    """Return features; lengths in samples."""
    front_end = LogMel(RATE, n_fft, hop_length, n_mels, 50.0, 4000.0, TOP_DB)
    return Features(window / RATE, window / RATE, False, front_end)


def log_mel(kept: Features, heard: Array) -> Array:
    return run_graph(front_end_graph(kept), heard=heard)["log_mel"]


def check_log_mel(kept: Features, heard: Array) -> None:
    """Hold both within a step of float16, and nearly all cells equal."""
    found, wanted = log_mel(kept, heard), kept.spectrograms([heard]).astype(np.float32)
    assert found.shape == wanted.shape
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, found.astype(np.float16))  # rounded as the shards are
    np.testing.assert_allclose(found, wanted, atol=0.0626)
    assert np.mean(found != wanted) < 0.01


@pytest.mark.parametrize("n_fft", [32, 100, 101, 255, 256, 441, 511, 1022, 2048])
def test_it_is_the_classifiers_for_any_n_fft(n_fft: int) -> None:
    check_log_mel(features(n_fft, n_mels=4 if n_fft < 100 else 16), noise(2000))


@pytest.mark.parametrize("hop_length", [1, 37, 64, 100, 1999])
@pytest.mark.parametrize("window", [2000, 2047, 2048])
def test_it_is_the_classifiers_for_any_hop_and_window(hop_length: int, window: int) -> None:
    check_log_mel(features(window=window, hop_length=hop_length), noise(window, seed=1))


@pytest.mark.parametrize("level", [1.0, 1e-2, 1e-4, 1e-6, 0.0])
def test_loud_clips_and_near_silence_have_the_classifiers_reference(level: float) -> None:
    check_log_mel(features(), noise(2000, level=level))


def test_silence_lies_at_the_floor() -> None:
    found = log_mel(features(), np.zeros(2000, np.float32))
    np.testing.assert_array_equal(found, np.full((1, 1, 16, 21), -TOP_DB))


def test_frames_are_centred() -> None:
    click = np.zeros(2000, np.float32)
    click[1000] = 1
    found = log_mel(features(), click)[0, 0]
    np.testing.assert_array_equal(np.flatnonzero((found > -TOP_DB).any(axis=0)), [9, 10, 11])
    assert found.max(axis=0).argmax() == 10


@pytest.mark.parametrize("n_fft", [64, 101, 102, 256])
def test_filters_are_the_classifiers_each_bin_once(n_fft: int) -> None:
    found = value_in(front_end_graph(features(n_fft)), "filters", heard=noise(2000))
    wanted = mel_filters(sample_rate=RATE, n_fft=n_fft, n_mels=16, fmin=50, fmax=4000)
    heard = found[found.any(axis=1)]
    assert sorted(map(tuple, heard)) == sorted(map(tuple, wanted.T[wanted.any(axis=0)]))


@given(st.integers(32, 4096))
def test_factors_are_those_next_to_the_root_the_larger_one_first(n_fft: int) -> None:
    try:
        rows, columns = factors(n_fft)
    except InputError:
        return
    assert rows * columns == n_fft
    assert rows >= columns
    assert not [n for n in range(columns + 1, rows) if n_fft % n == 0]


def test_no_matrix_of_many_mb_is_written() -> None:
    told = "its n_fft 2039 has the factor 2039 .* retrain with extract.n_fft: 2048"
    with pytest.raises(InputError, match=told):
        front_end_graph(features(2039))
    assert len(front_end_graph(features(2048)).SerializeToString()) < 100_000

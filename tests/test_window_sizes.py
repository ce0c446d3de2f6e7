from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.window_sizes import (
    LONGEST_SECONDS,
    LOWEST_FMAX,
    SHORTEST_SECONDS,
    fitting_fmax,
    fitting_hop,
    fitting_seconds,
)


@pytest.mark.parametrize(
    ("clips", "seconds"),
    [
        ([], 5.0),
        ([0.2], 1.0),
        ([1.0], 1.0),
        ([1.01], 2.0),
        ([2.0, 3.0], 3.0),
        ([6.0, 600.0], 5.0),
        ([0.4] * 99 + [4.0], 1.0),
        ([0.4] * 98 + [4.0] * 2, 4.0),
    ],
)
def test_a_window_is_as_long_as_nearly_all_clips(clips: list[float], seconds: float) -> None:
    assert fitting_seconds(np.array(clips)) == seconds


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=300), st.randoms())
def test_a_fitting_window_holds_99_of_100_clips_and_no_shorter_one_does(
    clips: list[float], chance: Random
) -> None:
    seconds = fitting_seconds(np.array(clips))
    assert seconds == round(seconds)
    assert SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS
    lengths = np.array(clips)
    if seconds < LONGEST_SECONDS:
        assert (lengths > seconds).sum() <= 0.01 * len(lengths)
    if seconds > SHORTEST_SECONDS:
        assert (lengths > seconds - 1).sum() > 0.01 * len(lengths)
    chance.shuffle(clips)
    assert fitting_seconds(np.array(clips)) == seconds


@pytest.mark.parametrize(
    ("seconds", "sample_rate", "hop"),
    [
        (5.0, 22_050, 432),  # the notebook's 256 spectra
        (60.0, 22_050, 432),
        (2.5, 22_050, 224),  # 10 ms
        (0.1, 22_050, 224),
        (1.0, 16_000, 160),
        (1.0, 8000, 80),
        (1.0, 1000, 16),
        (4.0, 16_000, 256),
    ],
)
def test_a_fitting_hop_is_one_of_256_in_a_window_and_of_10_to_20_ms(
    seconds: float, sample_rate: int, hop: int
) -> None:
    assert fitting_hop(seconds, sample_rate) == hop


@given(st.floats(1, 600), st.integers(4000, 384_000))
def test_every_fitting_hop_lies_near_10_to_20_ms_and_shares_16_samples_with_n_fft(
    seconds: float, sample_rate: int
) -> None:
    hop = fitting_hop(seconds, sample_rate)
    assert hop % 16 == 0
    assert 0.01 * sample_rate - 8 <= hop <= 0.0196 * sample_rate + 8


@pytest.mark.parametrize(
    ("clips", "sample_rate", "fmax"),
    [
        ([], 22_050, 11_025.0),
        ([16_000], 22_050, 8000.0),
        ([44_100], 22_050, 11_025.0),
        ([8000, 44_100], 22_050, 11_025.0),
        ([8000] * 99 + [44_100], 22_050, 4000.0),
        ([1000], 22_050, 4000.0),
        ([16_000], 4000, 2000.0),
        ([22_051], 48_000, 11_025.5),
    ],
)
def test_bands_end_where_nearly_all_clips_do(
    clips: list[int], sample_rate: int, fmax: float
) -> None:
    assert fitting_fmax(np.array(clips, np.int64), sample_rate) == fmax


@given(st.lists(st.integers(1, 384_000), min_size=1, max_size=300), st.integers(1000, 384_000))
def test_no_more_than_1_of_100_clips_has_sound_above_the_bands_that_can_be_heard(
    clips: list[int], sample_rate: int
) -> None:
    rates = np.array(clips)
    fmax = fitting_fmax(rates, sample_rate)
    assert 0 < fmax <= sample_rate / 2
    if fmax < sample_rate / 2:
        assert fmax >= LOWEST_FMAX
        assert (rates / 2 > fmax).sum() <= 0.01 * len(rates)

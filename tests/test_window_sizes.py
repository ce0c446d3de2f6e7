from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.window_sizes import LONGEST_SECONDS, SHORTEST_SECONDS, fitting_hop, fitting_seconds


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

"""Up to which frequency a recording has sound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.audio import Waveform, resample
from timbre.bandwidth import N_FFT, bandwidth, power_spectrum


def noise(seconds: float, rate: int, seed: int = 0) -> Waveform:
    rng = np.random.default_rng(seed)
    return np.asarray(0.1 * rng.normal(size=round(seconds * rate)), np.float32)


def stored(waveform: Waveform, bits: int = 16) -> Waveform:
    steps = np.float32(2 ** (bits - 1))
    rounded: Waveform = (np.rint(waveform * steps) / steps).astype(np.float32)
    return rounded


def found(waveform: Waveform, rate: int, bits: int = 16) -> float:
    return bandwidth(power_spectrum(waveform), rate, bits)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_noise_reaches_half_the_sample_rate(rate: int) -> None:
    assert found(stored(noise(1, rate)), rate) > 0.99 * rate / 2


@given(st.sampled_from([8000, 11_025, 16_000, 22_050]), st.sampled_from([32_000, 44_100, 48_000]))
@settings(max_examples=8)
def test_what_was_upsampled_ends_where_it_ended_before(before: int, after: int) -> None:
    waveform = stored(resample(noise(1, before), before, after))
    assert found(waveform, after) == pytest.approx(before / 2, rel=0.06)


@given(st.floats(1e-3, 5))
@settings(max_examples=10)
def test_the_level_changes_nothing(gain: float) -> None:
    waveform = resample(noise(1, 8000), 8000, 44_100)
    loud, soft = found(waveform, 44_100), found(stored(np.float32(gain) * waveform), 44_100)
    assert soft == pytest.approx(loud, rel=0.06)


def test_a_click_does_not_make_it_wider() -> None:
    waveform = resample(noise(2, 8000), 8000, 44_100)
    waveform[40_000] = 0.9
    assert found(waveform, 44_100) < 4300


def test_pauses_do_not_make_it_narrower() -> None:
    waveform = stored(np.concatenate([np.zeros(90_000, np.float32), noise(0.5, 16_000)]))
    assert found(waveform, 16_000) > 7900


@pytest.mark.parametrize("n_samples", [1, 100, N_FFT - 1, N_FFT, N_FFT + 1, 5000])
def test_any_length_has_a_spectrum(n_samples: int) -> None:
    assert power_spectrum(noise(n_samples / 8000, 8000)).shape == (1 + N_FFT // 2,)


def test_silence_has_no_bandwidth() -> None:
    assert found(np.zeros(8000, np.float32), 8000) == 0


def test_the_rounding_of_eight_bits_is_no_sound() -> None:
    waveform = stored(0.5 * resample(noise(1, 8000), 8000, 44_100), 8)
    assert found(waveform, 44_100, 8) == pytest.approx(4000, rel=0.06)
    assert found(waveform, 44_100, 16) > 20_000

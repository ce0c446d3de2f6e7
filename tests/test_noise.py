import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.audio import Waveform
from timbre.noise import VOICES, add_noise, babble, mean_power, white


def waveform(n_samples: int, seed: int = 0, size: float = 0.1) -> Waveform:
    rng = np.random.default_rng(seed)
    return (size * rng.standard_normal(n_samples)).astype(np.float32)


def decibels(signal: Waveform, noisy: Waveform) -> float:
    added = noisy.astype(np.float64) - signal
    return float(10 * np.log10(np.square(signal, dtype=np.float64).sum() / np.square(added).sum()))


@given(st.floats(-20, 60), st.integers(100, 5000), st.floats(1e-3, 1))
def test_the_ratio_is_exact_to_a_hundredth_of_a_decibel(
    snr: float, n_samples: int, size: float
) -> None:
    clip = waveform(n_samples, size=size)
    noisy = add_noise(clip, white(n_samples, np.random.default_rng(1)), snr)
    assert decibels(clip, noisy) == pytest.approx(snr, abs=0.01)
    assert noisy.dtype == np.float32


def test_neither_silence_nor_silent_noise_has_a_ratio() -> None:
    silence, clip = np.zeros(50, np.float32), waveform(50)
    assert add_noise(silence, clip, 0) is silence
    assert add_noise(clip, silence, 0) is clip


def test_white_noise_has_power_1_in_every_band() -> None:
    noise = white(1 << 16, np.random.default_rng(0))
    power = np.square(np.abs(np.fft.rfft(noise)[1:])).reshape(8, -1).mean(axis=1) / len(noise)
    assert power == pytest.approx(np.ones(8), rel=0.08)


def test_babble_holds_as_many_voices_at_once_and_each_equally_loud() -> None:
    # Voice k is a tone of k + 1 turns: whatever is rolled or repeated stays in its own cell.
    n_samples = 1024
    turns = 2 * np.pi * np.arange(n_samples) / n_samples
    others = [((k + 1) * np.sin((k + 1) * turns)).astype(np.float32) for k in range(10)]
    sizes = np.abs(np.fft.rfft(babble(n_samples, others, np.random.default_rng(0)))) / n_samples
    heard = sizes > 0.01
    assert heard.sum() == VOICES
    assert not heard[0]
    assert not heard[11:].any()
    assert sizes[heard] == pytest.approx(np.full(VOICES, 0.5**0.5), rel=1e-3)


@pytest.mark.parametrize("n_others", [1, 3])
def test_fewer_clips_than_voices_are_all_heard(n_others: int) -> None:
    others = [np.full(7, 1.0, np.float32)] * n_others
    assert babble(20, others, np.random.default_rng(0)) == pytest.approx(np.full(20, n_others))


def test_short_silent_and_empty_voices_do_no_harm() -> None:
    silent, empty = np.zeros(9, np.float32), np.zeros(0, np.float32)
    assert not babble(20, [silent, empty], np.random.default_rng(0)).any()
    assert babble(20, [silent, empty, waveform(1)], np.random.default_rng(0)).all()


def test_babble_of_nobody_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="made of other clips, and there are none"):
        babble(20, [], np.random.default_rng(0))


def test_no_samples_have_no_power() -> None:
    assert mean_power(np.zeros(0, np.float32)) == 0
    assert mean_power(np.array([3, -3], np.float32)) == 9

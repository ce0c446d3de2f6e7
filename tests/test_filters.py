import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.audio import Waveform
from timbre.filters import LOWEST_OCTAVE, fit, low_pass, random_eq, random_gains, telephone

RATES = [8000, 16_000, 22_050, 44_100]


def noise(n_samples: int, seed: int = 0) -> Waveform:
    return (0.1 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def level(before: Waveform, after: Waveform, sample_rate: int, low: float, high: float) -> float:
    """Change of the mean power between two frequencies, dB."""
    frequencies = np.fft.rfftfreq(len(before), 1 / sample_rate)
    band = (frequencies >= low) & (frequencies < high)
    window = np.hanning(len(before))
    power = [np.square(np.abs(np.fft.rfft(w * window)[band])).sum() for w in (after, before)]
    return float(10 * np.log10(power[0] / power[1]))


@pytest.mark.parametrize("rate", RATES[1:])
@pytest.mark.parametrize("edge", [2000.0, 4000.0])
def test_a_low_pass_keeps_what_lies_below_and_nothing_an_octave_above(
    rate: int, edge: float
) -> None:
    clip = noise(rate)
    heard = low_pass(clip, rate, edge)
    assert level(clip, heard, rate, 20, 0.8 * edge) == pytest.approx(0, abs=0.1)
    assert level(clip, heard, rate, 0.99 * edge, 1.01 * edge) == pytest.approx(-3, abs=0.5)
    if 1.8 * edge < rate / 2:
        assert level(clip, heard, rate, 1.8 * edge, rate / 2) < -55


def test_a_low_pass_above_all_that_is_there_changes_nothing() -> None:
    clip = noise(100)
    assert low_pass(clip, 8000, 4000) is clip


@pytest.mark.parametrize("rate", RATES)
def test_a_telephone_carries_its_band_alone(rate: int) -> None:
    clip = noise(rate)
    heard = telephone(clip, rate)
    assert len(heard) == len(clip)
    assert level(clip, heard, rate, 400, 3000) == pytest.approx(0, abs=0.3)
    assert level(clip, heard, rate, 10, 100) < -35
    if rate > 8000:
        assert level(clip, heard, rate, 4200, rate / 2) < -60


def test_a_clip_slower_than_the_telephones_band_is_taken_too() -> None:
    assert np.isfinite(telephone(noise(600), 500)).all()


@pytest.mark.parametrize("rate", RATES)
def test_each_octave_is_changed_by_its_gain(rate: int) -> None:
    clip = noise(4 * rate)
    heard = random_eq(clip, rate, 10, np.random.default_rng(5))
    centres, gains = random_gains(rate, 10, np.random.default_rng(5))
    assert centres[0] == LOWEST_OCTAVE
    assert centres[-1] <= rate / 2 < 2 * centres[-1]
    for centre, gain in zip(centres[1:-1], gains[1:-1], strict=True):
        found = level(clip, heard, rate, 0.97 * centre, 1.03 * centre)
        assert found == pytest.approx(gain, abs=1)


def test_gains_fill_their_span_and_another_seed_gives_others() -> None:
    drawn = np.concatenate(
        [random_gains(22_050, 10, np.random.default_rng(seed))[1] for seed in range(50)]
    )
    assert np.abs(drawn).max() <= 10
    assert drawn.min() < -9
    assert drawn.max() > 9
    assert len(set(drawn)) == len(drawn)


def test_an_equaliser_without_span_changes_nothing() -> None:
    clip = noise(1000)
    assert random_eq(clip, 8000, 0, np.random.default_rng(0)) == pytest.approx(clip, abs=1e-6)


@given(st.integers(0, 30), st.integers(0, 30))
def test_fitting_cuts_or_pads_with_silence(n_samples: int, wanted: int) -> None:
    clip = np.arange(1, n_samples + 1, dtype=np.float32)
    fitted = fit(clip, wanted)
    kept = min(n_samples, wanted)
    assert fitted.tolist() == [*clip[:kept].tolist(), *[0.0] * (wanted - kept)]

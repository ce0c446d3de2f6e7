import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.audio import Waveform
from timbre.tempo import change_speed, excerpt, shift_pitch, skip, stretch

RATE = 22_050


def tone(frequency: float, n_samples: int = RATE, sample_rate: int = RATE) -> Waveform:
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(n_samples) / sample_rate)
    return wave.astype(np.float32)


def pitch(waveform: Waveform, sample_rate: int = RATE) -> float:
    """Frequency of the strongest partial, Hz, to some tenths."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 16 * len(waveform)))
    return float(spectrum.argmax() * sample_rate / (16 * len(waveform)))


@pytest.mark.parametrize("factor", [0.5, 0.96, 1.0, 1.04, 2.0])
def test_speed_changes_duration_and_pitch_by_its_factor(factor: float) -> None:
    fast = change_speed(tone(440), factor)
    assert len(fast) == round(RATE / factor)
    assert pitch(fast) == pytest.approx(440 * factor, rel=1e-3)
    assert np.std(fast) == pytest.approx(np.std(tone(440)), rel=0.01)


def test_a_single_sample_is_left_however_fast_it_is_played() -> None:
    assert change_speed(np.ones(1, np.float32), 2).shape == (1,)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("semitones", [-12, -0.5, 0.5, 3])
def test_a_pitch_moves_by_its_semitones_and_the_duration_stays(rate: int, semitones: float) -> None:
    moved = shift_pitch(tone(440, rate, rate), rate, semitones)
    assert len(moved) == rate
    assert pitch(moved[rate // 8 : -rate // 8], rate) == pytest.approx(
        440 * 2 ** (semitones / 12), rel=2e-3
    )


@pytest.mark.parametrize("factor", [0.9, 1.03, 1.5])
def test_stretching_changes_the_duration_and_keeps_the_pitch(factor: float) -> None:
    longer = stretch(tone(440), RATE, factor)
    assert len(longer) == round(factor * RATE)
    assert pitch(longer[2000:-2000]) == pytest.approx(440, rel=2e-3)


def test_stretching_by_nothing_changes_nothing() -> None:
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, 9000).astype(np.float32)
    # The first and last samples lie under the edge of a window alone.
    assert stretch(clip, RATE, 1) == pytest.approx(clip, abs=1e-4)


@pytest.mark.parametrize("semitones", [-0.5, 0.5, 2.0])
def test_a_pitch_moves_as_by_librosa(semitones: float) -> None:
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    clip = (sum(tone(f) for f in (220, 330, 707)) * rng.uniform(0.5, 1, RATE)).astype(np.float32)
    theirs = librosa.effects.pitch_shift(clip, sr=RATE, n_steps=semitones)
    ours = shift_pitch(clip, RATE, semitones)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.01)


@given(st.integers(0, 3000), st.floats(0, 1))
def test_skipping_drops_the_beginning_but_never_more_than_half(
    n_samples: int, seconds: float
) -> None:
    clip = np.arange(n_samples, dtype=np.float32)
    later = skip(clip, 1000, seconds)
    assert len(later) >= n_samples / 2
    assert np.array_equal(later, clip[n_samples - len(later) :])
    if 2 * seconds * 1000 < n_samples - 2:
        assert n_samples - len(later) == round(seconds * 1000)


@given(st.integers(1, 3000), st.floats(0.001, 2), st.integers(0, 9))
def test_an_excerpt_is_a_run_of_the_clip(n_samples: int, seconds: float, seed: int) -> None:
    clip = np.arange(n_samples, dtype=np.float32)
    part = excerpt(clip, 1000, seconds, np.random.default_rng(seed))
    assert len(part) == min(max(round(seconds * 1000), 1), n_samples)
    assert np.array_equal(part, clip[int(part[0]) :][: len(part)])


def test_excerpts_come_from_everywhere() -> None:
    clip = np.arange(10, dtype=np.float32)
    starts = {excerpt(clip, 1, 4, np.random.default_rng(seed))[0] for seed in range(100)}
    assert starts == set(range(7))

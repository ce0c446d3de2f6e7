"""Filters that other microphones and lines put on a recording."""

import numpy as np
import numpy.typing as npt

from timbre.audio import Waveform, resample

ORDER = 12  # of the low-pass: 72 dB less an octave above its edge, at the floor of the log-mels
TELEPHONE_RATE = 8000  # Hz
TELEPHONE_BAND = (300.0, 3400.0)  # Hz, the voice band of ITU-T G.712
HIGH_PASS_ORDER = 6
LOWEST_OCTAVE = 62.5  # Hz, centre of the lowest band that an equaliser has
PIECE = 1e-9  # Hz; no logarithm of 0

Floats = npt.NDArray[np.float64]


def low_pass(waveform: Waveform, sample_rate: int, edge: float) -> Waveform:
    """Keep what lies below `edge` Hz: Butterworth's filter, 3 dB down at the edge.

    From half the sample rate on there is nothing to take away.
    """
    if edge >= sample_rate / 2:
        return waveform
    return _butterworth(waveform, sample_rate, ORDER, edge, "lowpass")


def telephone(waveform: Waveform, sample_rate: int) -> Waveform:
    """Keep the telephone's band and go through its 8 kHz."""
    low, high = TELEPHONE_BAND
    narrow = low_pass(waveform, sample_rate, high)
    if low < sample_rate / 2:
        narrow = _butterworth(narrow, sample_rate, HIGH_PASS_ORDER, low, "highpass")
    return fit(
        resample(resample(narrow, sample_rate, TELEPHONE_RATE), TELEPHONE_RATE, sample_rate),
        len(waveform),
    )


def random_eq(
    waveform: Waveform, sample_rate: int, most: float, rng: np.random.Generator
) -> Waveform:
    """Change the level of each octave by a random gain, uniform from `-most` to `+most` dB.

    Between the octaves' centres the gain goes linearly in dB over the logarithm of frequency. The
    phase stays: no time smears but by the length of the filter, some milliseconds.
    """
    from scipy import fft  # here: the stage starts its workers without it

    centres, gains = random_gains(sample_rate, most, rng)
    n_fft = fft.next_fast_len(len(waveform) + sample_rate // 10, real=True)
    frequencies = np.maximum(fft.rfftfreq(n_fft, 1 / sample_rate), PIECE)
    curve = np.interp(np.log2(frequencies), np.log2(centres), gains)
    spectrum = fft.rfft(waveform, n_fft) * (10 ** (curve / 20)).astype(np.float32)
    equalised: Waveform = fft.irfft(spectrum, n_fft)[: len(waveform)].astype(np.float32)
    return equalised


def random_gains(sample_rate: int, most: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the centres of the octaves below half the sample rate, Hz, and a gain in dB of each.

    The lower octaves' gains do not depend on the sample rate.
    """
    n_octaves = max(int(np.log2(sample_rate / 2 / LOWEST_OCTAVE)) + 1, 1)
    centres = LOWEST_OCTAVE * np.exp2(np.arange(n_octaves))
    return centres, rng.uniform(-most, most, n_octaves)


def fit(waveform: Waveform, n_samples: int) -> Waveform:
    """Cut, or pad with silence, to `(n_samples,)`."""
    fitted = np.zeros(n_samples, np.float32)
    heard = waveform[:n_samples]
    fitted[: len(heard)] = heard
    return fitted


def _butterworth(
    waveform: Waveform, sample_rate: int, order: int, edge: float, kind: str
) -> Waveform:
    from scipy import signal  # takes half a second, and a run that only copies needs none of it

    sections = signal.butter(order, edge, kind, fs=sample_rate, output="sos")
    filtered: Waveform = signal.sosfilt(sections, waveform).astype(np.float32)
    return filtered

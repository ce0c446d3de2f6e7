"""Time and pitch: another speed, another pitch, another beginning, less of it."""

import numpy as np
import numpy.typing as npt
import soxr

from timbre.audio import Waveform
from timbre.filters import fit

FRAME_SECONDS = 0.093  # of the phase vocoder; 2048 samples at 22 050 Hz
OVERLAP = 4  # frames over each sample

Spectra = npt.NDArray[np.complex64]


def change_speed(waveform: Waveform, factor: float) -> Waveform:
    """Play `factor` times as fast: pitch and tempo both.

    Returns round(n_samples / factor) samples, 1 at least.
    """
    return fit(_resample(waveform, factor), max(round(len(waveform) / factor), 1))


def shift_pitch(waveform: Waveform, sample_rate: int, semitones: float) -> Waveform:
    """Raise the pitch and keep the duration: stretched in time, then played that much faster."""
    factor = 2 ** (semitones / 12)
    stretched = stretch(waveform, sample_rate, factor)
    return fit(_resample(stretched, factor), len(waveform))


def stretch(waveform: Waveform, sample_rate: int, factor: float) -> Waveform:
    """Make it `factor` times as long at the same pitch: round(n_samples * factor) samples.

    The phase vocoder: J. L. Flanagan and R. M. Golden, "Phase Vocoder", Bell System Technical
    Journal 45(9), 1966, on the short-time Fourier transform as librosa.effects.time_stretch has it.
    """
    n_fft = 2 ** max(round(np.log2(FRAME_SECONDS * sample_rate)), 4)
    frames = _spectra(waveform, n_fft)
    stretched = _interpolate(frames, 1 / factor, n_fft)
    return _signal(stretched, n_fft, round(len(waveform) * factor))


def skip(waveform: Waveform, sample_rate: int, seconds: float) -> Waveform:
    """Begin `seconds` later, in a short clip half way through it at the latest."""
    return waveform[min(round(seconds * sample_rate), len(waveform) // 2) :]


def excerpt(
    waveform: Waveform, sample_rate: int, seconds: float, rng: np.random.Generator
) -> Waveform:
    """Return `seconds` from a random place; a shorter clip as it is."""
    spare = len(waveform) - max(round(seconds * sample_rate), 1)
    if spare <= 0:
        return waveform
    begin = int(rng.integers(spare + 1))
    return waveform[begin : len(waveform) - spare + begin]


def _resample(waveform: Waveform, factor: float) -> Waveform:
    resampled: Waveform = soxr.resample(waveform, factor, 1.0, quality="HQ")
    return resampled


def _window(n_fft: int) -> Waveform:
    turns = np.arange(n_fft) / n_fft
    return (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)


def _spectra(waveform: Waveform, n_fft: int) -> Spectra:
    """Return `(n_frames, 1 + n_fft // 2)`, each frame centred on its time."""
    from scipy import fft  # here: the stage starts its workers without it

    hop = n_fft // OVERLAP
    padded = np.pad(waveform, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    spectra: Spectra = fft.rfft(frames * _window(n_fft), axis=1)
    return spectra


def _interpolate(frames: Spectra, step: float, n_fft: int) -> Spectra:
    """Return the frames at times 0, `step`, 2 `step`, ...; phases go on as their bins turn."""
    n_bins = frames.shape[1]
    times = np.arange(0, len(frames), step)
    before = times.astype(int)
    share = (times - before)[:, None]
    padded = np.concatenate([frames, np.zeros((2, n_bins), np.complex64)])
    size, angle = np.abs(padded), np.angle(padded).astype(np.float64)
    sizes = (1 - share) * size[before] + share * size[before + 1]
    expected = np.linspace(0, np.pi * n_fft / OVERLAP, n_bins)
    surplus = angle[before + 1] - angle[before] - expected
    turned = expected + surplus - 2 * np.pi * np.round(surplus / (2 * np.pi))
    phases = angle[0] + np.concatenate([np.zeros((1, n_bins)), np.cumsum(turned[:-1], axis=0)])
    moved: Spectra = (sizes * np.exp(1j * phases)).astype(np.complex64)
    return moved


def _signal(frames: Spectra, n_fft: int, n_samples: int) -> Waveform:
    """Return the waveform whose windowed frames are closest to `frames`: overlapped and added."""
    from scipy import fft  # here: the stage starts its workers without it

    hop, window = n_fft // OVERLAP, _window(n_fft)
    pieces = fft.irfft(frames, n_fft, axis=1) * window
    total = np.zeros((len(frames) + OVERLAP) * hop, np.float32)
    weight = np.zeros_like(total)
    for number, piece in enumerate(pieces):
        total[number * hop : number * hop + n_fft] += piece
        weight[number * hop : number * hop + n_fft] += window**2
    total /= np.maximum(weight, np.float32(1e-3))
    return fit(total[n_fft // 2 :], n_samples)

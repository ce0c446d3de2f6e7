"""The mel filter bank: triangles on Slaney's mel scale, each of unit area.

Source: M. Slaney, "Auditory Toolbox", Interval Research technical report 1998-010. The values equal
those of `librosa.filters.mel` with its defaults (a test holds them together); written here since
importing librosa costs each process a second and a half.
"""

import numpy as np
import numpy.typing as npt

HZ_PER_MEL = 200.0 / 3  # below 1 kHz the scale is linear
BREAK_HZ = 1000.0
BREAK_MEL = BREAK_HZ / HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27.0  # above it, 27 mels to a factor of 6.4

Array = npt.NDArray[np.float64]


def mel_filters(
    *, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float
) -> npt.NDArray[np.float32]:
    """Return the weights `(n_mels, 1 + n_fft // 2)` that turn a power spectrum into mel bands.

    Frequencies in Hz. A band narrower than the spectrum's resolution has only zeros:
    see `empty_bands`.
    """
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), n_mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    area = 2.0 / (edges[2:] - edges[:-2])
    return (triangles * area[:, None]).astype(np.float32)


def empty_bands(filters: npt.NDArray[np.float32]) -> list[int]:
    """Return the indices of the bands that hear nothing."""
    return [int(band) for band in np.flatnonzero(filters.max(axis=1) == 0)]


def hz_to_mel(hz: npt.ArrayLike) -> Array:
    """Turn frequencies in Hz into mels."""
    hz = np.asarray(hz, np.float64)
    above = BREAK_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(hz < BREAK_HZ, hz / HZ_PER_MEL, above)


def mel_to_hz(mel: npt.ArrayLike) -> Array:
    """Turn mels into frequencies in Hz."""
    mel = np.asarray(mel, np.float64)
    above = BREAK_HZ * np.exp(LOG_STEP * (np.maximum(mel, BREAK_MEL) - BREAK_MEL))
    return np.where(mel < BREAK_MEL, mel * HZ_PER_MEL, above)

"""How far up a recording has sound: below half its sample rate if it was upsampled or thinned out.

The spectrum of a microphone or a room does not end before the sample rate ends it. That of a file
that was resampled from a lower rate does, and so does that of most lossy codecs.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from timbre.audio import Waveform

Floats = npt.NDArray[np.floating[Any]]

N_FFT = 2048
MOST_FRAMES = 24  # looked at in a piece; more of them would hardly change a median
LOUD = 1e-3  # of the loudest frame's power: quieter ones, 30 dB below, are pauses
BELOW_LOUDEST = 1e-10  # of the loudest bin's power, 100 dB below; Hann's side lobes lie far lower
ABOVE_ROUNDING = 10.0  # times the power of the noise that storing in so many bits makes

HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
NOISE_GAIN = float(np.square(HANN, dtype=np.float64).sum())


def power_spectrum(waveform: Waveform) -> Floats:
    """Return the power in each bin, `(1 + N_FFT // 2,)`: the median over the louder frames.

    The median does not hear a single click, whose spectrum has no end.
    """
    padded = np.pad(waveform, (0, max(0, N_FFT - len(waveform))))
    starts = np.linspace(0, len(padded) - N_FFT, min(MOST_FRAMES, 1 + len(waveform) // N_FFT))
    frames = np.stack([padded[start : start + N_FFT] for start in starts.astype(np.int64)])
    power = np.square(np.abs(np.fft.rfft(frames * HANN, axis=1)))
    total = power.sum(axis=1)
    return np.asarray(np.median(power[total >= LOUD * total.max()], axis=0))


def bandwidth(power: Floats, sample_rate: int, bits: int) -> float:
    """Return the highest frequency in Hz that is above what rounding to `bits` bits would make.

    `power` is that of `power_spectrum`; 0 without any sound.
    """
    step = 2.0 ** (1 - bits)
    rounding = step**2 / 12 * NOISE_GAIN
    floor = max(ABOVE_ROUNDING * rounding, BELOW_LOUDEST * float(power.max()))
    above = np.flatnonzero(power > floor)
    return float(above[-1]) * sample_rate / N_FFT if len(above) else 0.0

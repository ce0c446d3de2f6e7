"""Noise under a waveform, at an exact signal-to-noise ratio."""

from collections.abc import Sequence

import numpy as np

from timbre.audio import Waveform

# Under about four voices single words are understood, and it is competing speech, not babble
# (Krishnamurthy and Hansen, "Babble Noise: Modeling, Analysis, and Applications", IEEE TASLP 17(7),
# 2009).
VOICES = 6


def add_noise(waveform: Waveform, noise: Waveform, snr: float) -> Waveform:
    """Add `noise` `(n_samples,)`, scaled to lie `snr` dB below the waveform's mean power.

    The mean is over all samples, pauses included. With silence for either, which has no such ratio,
    the waveform comes back as it is.
    """
    signal_power, noise_power = mean_power(waveform), mean_power(noise)
    if signal_power == 0 or noise_power == 0:
        return waveform
    scale = np.sqrt(signal_power / noise_power) * 10 ** (-snr / 20)
    noisy: Waveform = (waveform + scale * noise.astype(np.float64)).astype(np.float32)
    return noisy


def white(n_samples: int, rng: np.random.Generator) -> Waveform:
    """Return Gaussian white noise of power 1."""
    return rng.standard_normal(n_samples, np.float32)


def babble(n_samples: int, others: Sequence[Waveform], rng: np.random.Generator) -> Waveform:
    """Return VOICES different ones of `others` at once, or all if they are fewer, equally loud.

    Each begins at a random place and is repeated from its start where it ends. Raises ValueError
    for no others.
    """
    if not others:
        raise ValueError("babble is made of other clips, and there are none")
    chosen = rng.choice(len(others), min(VOICES, len(others)), replace=False)
    total = np.zeros(n_samples)
    for index in chosen:
        voice = others[index]
        begin = int(rng.integers(max(len(voice), 1)))
        power = mean_power(voice)
        if power > 0:
            total += np.resize(np.roll(voice, -begin), n_samples) / np.sqrt(power)
    return total.astype(np.float32)


def mean_power(waveform: Waveform) -> float:
    """Return the mean square; 0 for no samples."""
    return float(np.square(waveform, dtype=np.float64).mean()) if len(waveform) else 0.0

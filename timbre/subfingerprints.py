"""A fingerprint of what is heard, from log-mels: 17 bits a frame that survive codecs, level, noise.

Source: J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002: whether
the difference between neighbouring bands grows or falls with time. Theirs has 32 bits each 11.6 ms
from windows of 370 ms; this one is made of spectrograms that are there already, so a mean over time
stands for the long window, and bands are those of the mel scale between 300 and 2000 Hz.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from timbre.mel_filters import hz_to_mel

N_BITS = 17
LOW_HZ, HIGH_HZ = 300.0, 2000.0  # what a telephone and a low bit rate leave
FRAME_SECONDS = 0.02
SMOOTH_SECONDS = 0.16
LAG_SECONDS = 0.08
AUDIBLE_DB = 50.0  # frames further below the loudest one are silence, which is like any other
LEAST_CHANGE = 0.05  # dB, mean over the bits: a steady tone or hum has no fingerprint

Floats = npt.NDArray[np.floating[Any]]
Words = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fingerprints:
    """Of n windows; `n_words` is the same for all."""

    words: Words  # (n, n_words), N_BITS bits each
    audible: Flags  # (n, n_words)
    changes: Floats  # (n, n_words, N_BITS), dB; the sign is the bit, the size how sure it is


@dataclass(frozen=True)
class Listening:
    """How fingerprints are made of log-mels with certain features."""

    pooling: Floats  # (N_BITS + 1, n_mels), rows sum to 1
    step: int  # frames of the spectrogram for one of the fingerprint
    smooth: int  # frames of the fingerprint
    lag: int  # the same
    frame_seconds: float

    def fingerprints(self, log_mel: Floats) -> Fingerprints:
        """Return the fingerprints of `(n, n_mels, n_frames)` in dB."""
        heard = np.flatnonzero(self.pooling.any(axis=0))  # half of the bands, or fewer
        low, high = heard[0], heard[-1] + 1
        n_frames = log_mel.shape[2] // self.step * self.step
        steps = log_mel[:, low:high, :n_frames].astype(np.float32)
        if self.step > 1:
            steps = steps.reshape(*steps.shape[:2], -1, self.step).mean(axis=3)
        bands = self.pooling[:, low:high] @ steps
        means = _moving_mean(bands, self.smooth)
        slopes = means[:, :-1] - means[:, 1:]
        changes = (slopes[:, :, self.lag :] - slopes[:, :, : -self.lag]).swapaxes(1, 2)
        bits = (changes > 0) @ (1 << np.arange(N_BITS, dtype=np.uint32))
        loud = means.max(axis=1)
        audible = loud > loud.max(axis=1, keepdims=True) - AUDIBLE_DB
        audible = audible[:, self.lag :] & audible[:, : -self.lag]
        moving = np.abs(changes).mean(axis=2) > LEAST_CHANGE
        return Fingerprints(bits.astype(np.uint32), audible & moving, changes)


def listening(
    features: Mapping[str, str | int | float], n_mels: int, n_frames: int
) -> Listening | None:
    """Return how to make fingerprints; None if bands or frames are too few for that."""
    hop_seconds = int(features["hop_length"]) / int(features["sample_rate"])
    low, high = float(hz_to_mel(float(features["fmin"]))), float(hz_to_mel(features["fmax"]))
    per_mel = (n_mels + 1) / (high - low)
    first = max(0, round((float(hz_to_mel(LOW_HZ)) - low) * per_mel) - 1)
    last = min(n_mels, max(first + N_BITS + 1, round((float(hz_to_mel(HIGH_HZ)) - low) * per_mel)))
    step = max(1, round(FRAME_SECONDS / hop_seconds))
    frame_seconds = step * hop_seconds
    smooth, lag = (max(1, round(s / frame_seconds)) for s in (SMOOTH_SECONDS, LAG_SECONDS))
    if last - first < N_BITS + 1 or n_frames // step < smooth + lag:
        return None
    return Listening(_pooling(first, last, n_mels), step, smooth, lag, frame_seconds)


def _pooling(first: int, last: int, n_mels: int) -> Floats:
    """Cut the mel bands from `first` to `last` into equal parts, bands at the edges shared."""
    edges = np.linspace(first, last, N_BITS + 2)
    band = np.arange(n_mels)
    overlap = np.minimum(edges[1:, None], band + 1) - np.maximum(edges[:-1, None], band)
    parts = overlap.clip(min=0)
    return np.asarray(parts / parts.sum(axis=1, keepdims=True), np.float32)


def _moving_mean(bands: Floats, n: int) -> Floats:
    sums = np.cumsum(np.pad(bands, ((0, 0), (0, 0), (1, 0))), axis=2, dtype=np.float64)
    return np.asarray((sums[:, :, n:] - sums[:, :, :-n]) / n)

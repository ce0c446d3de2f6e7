"""Fixed-length pieces of a clip."""

import numpy as np

from timbre.audio import Waveform


def window_starts(n_samples: int, window: int, hop: int) -> list[int]:
    """Where the windows of a clip begin, all in samples.

    A clip no longer than a window gives one, at 0. A longer one gives a window each `hop` samples
    and a last one that ends with the clip: with `hop <= window` every sample is heard.
    """
    if n_samples <= window:
        return [0]
    last = n_samples - window
    return [*range(0, last, hop), last]


def cut(waveform: Waveform, starts: list[int], window: int) -> Waveform:
    """Cut `(n_samples,)` into `(n_windows, window)`, padding with silence at the end.

    Padding is done here, as signal: a spectrogram padded with 0 dB would end in its loudest value.
    """
    pieces = np.zeros((len(starts), window), np.float32)
    for piece, start in zip(pieces, starts, strict=True):
        heard = waveform[start : start + window]
        piece[: len(heard)] = heard
    return pieces

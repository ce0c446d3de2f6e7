"""Fixed-length pieces of a clip."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from timbre.audio import Waveform


@dataclass(frozen=True)
class Windowing:
    """Which pieces of a clip are kept; seconds."""

    window_seconds: float
    hop_seconds: float
    keep_all: bool  # False: the first window alone

    def heard_seconds(self) -> float | None:
        """Return how much of a clip must be decoded, None for all of it."""
        return None if self.keep_all else self.window_seconds

    def samples(self, sample_rate: int) -> int:
        """Return the length of a window."""
        return round(self.window_seconds * sample_rate)

    def starts(self, n_samples: int, sample_rate: int) -> list[int]:
        """Return where the kept windows of a clip begin, in samples."""
        if not self.keep_all:
            return [0]
        hop = round(self.hop_seconds * sample_rate)
        return window_starts(n_samples, self.samples(sample_rate), hop)


def window_starts(n_samples: int, window: int, hop: int) -> list[int]:
    """Where the windows of a clip begin, all in samples.

    A clip no longer than a window gives one, at 0. A longer one gives a window each `hop` samples
    and a last one that ends with the clip: with `hop <= window` every sample is heard.
    """
    if n_samples <= window:
        return [0]
    last = n_samples - window
    return [*range(0, last, hop), last]


def stream_windows(pieces: Iterable[Waveform], window: int, hop: int) -> Iterator[Waveform]:
    """Yield the windows `(window,)` of a waveform that comes in pieces, whatever these are.

    They are those of `window_starts` and `cut`; no more than a piece and a few of them lie in
    memory. The hop must not be longer than the window.
    """
    heard, start = np.zeros(0, np.float32), 0  # of `heard` the next window
    for piece in pieces:
        heard = np.concatenate(
            [heard[max(0, start - hop) :], piece]
        )  # the last window may reach back
        start = min(start, hop)
        while len(heard) - start > window:
            yield heard[start : start + window]
            start += hop
    yield cut(heard, [max(0, len(heard) - window)], window)[0]


def cut(waveform: Waveform, starts: list[int], window: int) -> Waveform:
    """Cut `(n_samples,)` into `(n_windows, window)`, padding with silence at the end.

    Padding is done here, as signal: a spectrogram padded with 0 dB would end in its loudest value.
    """
    pieces = np.zeros((len(starts), window), np.float32)
    for piece, start in zip(pieces, starts, strict=True):
        heard = waveform[start : start + window]
        piece[: len(heard)] = heard
    return pieces

"""From a waveform to its log-mel spectrogram."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from timbre.audio import Waveform
from timbre.mel_filters import mel_filters

LogMelArray = npt.NDArray[np.float32]

# The least power of a window's loudest cell that is still taken as its 0 dB: with n_fft 2048, white
# noise at about -66 dBFS. Dither and digital silence are quieter and stay quiet.
SILENCE = 1e-5

# Transformed at a time, so that they stay in the processor's cache. With twice as many, OpenBLAS
# shares the mel product between threads, and the last bits depend on how many there are.
BLOCK_FRAMES = 64
BLOCK_BANDS = 16  # filtered at a time: neighbours hear nearly the same few bins

# Clips are shared between processes; OpenCV's threads would fight them for the cores.
cv2.setNumThreads(1)


@dataclass(frozen=True)
class LogMel:
    """The transform and its settings: frequencies in Hz, lengths in samples, `top_db` in dB."""

    sample_rate: int
    n_fft: int
    hop_length: int
    n_mels: int
    fmin: float
    fmax: float
    top_db: float

    def __call__(self, waveform: Waveform) -> LogMelArray:
        """Return the log_mel `(n_mels, 1 + n_samples // hop_length)` of `(n_samples,)`, in dB.

        0 dB is the loudest cell, `-top_db` the floor: librosa's melspectrogram followed by
        `power_to_db(ref=np.max)`, to 1e-3 dB. Only near-silence differs: its reference is SILENCE,
        so that it lies at the floor and not, as its own maximum, at 0 dB.
        """
        power = self._mel_power(waveform)
        reference = max(float(power.max()), SILENCE)
        power /= np.float32(reference)
        np.maximum(power, np.float32(10 ** (-self.top_db / 10)), out=power)
        log_mel = np.log10(power, out=power)
        log_mel *= 10
        return np.asarray(cv2.transpose(log_mel), np.float32)  # a third of numpy's time

    def filters(self) -> LogMelArray:
        """Return the weights of the mel bands, `(n_mels, 1 + n_fft // 2)`."""
        return mel_filters(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            n_mels=self.n_mels,
            fmin=self.fmin,
            fmax=self.fmax,
        )

    def _mel_power(self, waveform: Waveform) -> LogMelArray:
        """Return `(n_frames, n_mels)`."""
        padded = np.zeros(len(waveform) + self.n_fft, np.float32)
        padded[self.n_fft // 2 : self.n_fft // 2 + len(waveform)] = waveform
        # Overlapping views; sliding_window_view takes a tenth of the FFT's time to make them.
        frames = np.ndarray(
            (1 + len(waveform) // self.hop_length, self.n_fft),
            np.float32,
            padded,
            strides=(4 * self.hop_length, 4),
        )
        mel = np.empty((len(frames), self.n_mels), np.float32)
        # Room for one block, used for all: the page faults of fresh memory cost more than the FFT.
        room = np.empty((min(BLOCK_FRAMES, len(frames)), self.n_fft), np.float32)
        for start in range(0, len(frames), BLOCK_FRAMES):
            block = slice(start, start + BLOCK_FRAMES)
            windowed = np.multiply(frames[block], self._window, out=room[: len(frames[block])])
            spectrum = cv2.dft(windowed, windowed, cv2.DFT_ROWS)
            power = np.square(spectrum, out=spectrum)
            for bands, cells, weights in self._groups:
                np.matmul(power[:, cells], weights, out=mel[block, bands])
        return mel

    @cached_property
    def _window(self) -> LogMelArray:
        """Return the periodic Hann window `(n_fft,)`."""
        turns = np.arange(self.n_fft) / self.n_fft
        return (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)

    @cached_property
    def _groups(self) -> list[tuple[slice, slice, LogMelArray]]:
        """Return groups of bands, the cells they hear, and their weights `(n_cells, n_bands)`.

        Cells as cv2.dft lays a spectrum out: re 0, re 1, im 1, re 2, im 2 and so on. Weighed alike,
        the squares of both parts are added by the product itself. Each band hears few bins:
        together the groups cost a sixth of the product with all.
        """
        weights = self.filters()[:, (np.arange(self.n_fft) + 1) // 2].T
        groups = []
        for start in range(0, self.n_mels, BLOCK_BANDS):
            bands = slice(start, start + BLOCK_BANDS)
            heard = np.flatnonzero(weights[:, bands].max(axis=1)).tolist() or [0]
            cells = slice(heard[0], heard[-1] + 1)
            groups.append((bands, cells, np.ascontiguousarray(weights[cells, bands])))
        return groups

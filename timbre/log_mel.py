"""From a waveform to its log-mel spectrogram."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.fft

from timbre.audio import Waveform
from timbre.mel_filters import mel_filters

LogMelArray = npt.NDArray[np.float32]

# The least power of a window's loudest cell that is still taken as its 0 dB: with n_fft 2048, white
# noise at about -66 dBFS. Dither and digital silence are quieter and stay quiet.
SILENCE = 1e-5

BLOCK_FRAMES = 64  # transformed at a time, so that they stay in the processor's cache
BLOCK_BANDS = 16  # filtered at a time: neighbours hear nearly the same few bins


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
        return np.ascontiguousarray(log_mel.T)

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
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        mel = np.empty((len(frames), self.n_mels), np.float32)
        for start in range(0, len(frames), BLOCK_FRAMES):
            block = slice(start, start + BLOCK_FRAMES)
            spectrum = scipy.fft.rfft(frames[block] * self._window, axis=1, overwrite_x=True)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            for bands, bins, weights in self._groups:
                np.matmul(power[:, bins], weights, out=mel[block, bands])
        return mel

    @cached_property
    def _window(self) -> LogMelArray:
        """Return the periodic Hann window `(n_fft,)`."""
        turns = np.arange(self.n_fft) / self.n_fft
        return (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)

    @cached_property
    def _groups(self) -> list[tuple[slice, slice, LogMelArray]]:
        """Return groups of bands, the bins that they hear, and their weights `(n_bins, n_bands)`.

        Each band hears few bins: together the groups cost an eighth of the product with all.
        """
        filters = self.filters()
        groups = []
        for start in range(0, self.n_mels, BLOCK_BANDS):
            group = filters[start : start + BLOCK_BANDS]
            heard = np.flatnonzero(group.max(axis=0)).tolist() or [0]
            bins = slice(heard[0], heard[-1] + 1)
            weights = np.ascontiguousarray(group[:, bins].T)
            groups.append((slice(start, start + BLOCK_BANDS), bins, weights))
        return groups

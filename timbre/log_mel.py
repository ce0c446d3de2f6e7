"""From waveform to log-mel spectrogram."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse

from timbre.audio import Waveform
from timbre.mel_filters import mel_filters

if TYPE_CHECKING:
    import torch

LogMelArray = npt.NDArray[np.float32]

# The least power of a window's loudest cell that is still taken as its 0 dB: with n_fft 2048, white
# noise at about -66 dBFS. Dither and digital silence are quieter and stay quiet.
SILENCE = 1e-5


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
        return log_mel

    def _mel_power(self, waveform: Waveform) -> LogMelArray:
        import torch  # two seconds: paid where a spectrogram is computed, not where one is planned

        spectrum = torch.stft(
            torch.from_numpy(np.ascontiguousarray(waveform)),
            self.n_fft,
            self.hop_length,
            window=self._window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = torch.view_as_real(spectrum).square_().sum(-1)
        mel: LogMelArray = self._filters @ power.contiguous().numpy()
        return mel

    @cached_property
    def _window(self) -> "torch.Tensor":
        import torch

        return torch.hann_window(self.n_fft, periodic=True)

    @cached_property
    def _filters(self) -> scipy.sparse.csr_array:
        # Each band touches few bins: the sparse product is several times faster than the dense one.
        return scipy.sparse.csr_array(
            mel_filters(
                sample_rate=self.sample_rate,
                n_fft=self.n_fft,
                n_mels=self.n_mels,
                fmin=self.fmin,
                fmax=self.fmax,
            )
        )

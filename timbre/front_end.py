"""The log-mel front end for many windows at once, where their waveforms lie: GPU or CPU.

`LogMel` serves one window on one core, for files; this serves batches that are already in a
device's memory. Both give the same values to 1e-3 dB, as a test holds; far below a pure tone (50 dB
and more) each holds its own rounding of the tone, to 2e-6 of the loudest amplitude.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn

from timbre.log_mel import SILENCE
from timbre.mel_filters import mel_filters


class LogMelFrontEnd(nn.Module):
    """`LogMel` as a module; frequencies in Hz, lengths in samples, `top_db` in dB.

    Its tensors follow `.to(device)` and are not part of the state dict: the settings make them. It
    has no parameters, and no gradient passes through it.
    """

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int,
        hop_length: int,
        n_mels: int,
        fmin: float,
        fmax: float,
        top_db: float,
        windows_at_a_time: int,
    ) -> None:
        """Take LogMel's settings, and how many windows may have their spectra in memory at once.

        One window's take `8 * n_fft * n_frames` bytes besides the FFT's own workspace: 4 MB for 256
        frames with n_fft 2048. A GPU wants many; a CPU two or so, which stay in its cache.
        """
        super().__init__()
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.top_db = top_db
        self.windows_at_a_time = windows_at_a_time
        window = torch.hann_window(n_fft, periodic=True, dtype=torch.float64).float()
        bank = mel_filters(
            sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax
        )
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", torch.from_numpy(bank.T.copy()), persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return the log-mels `(n, 1, n_mels, 1 + n_samples // hop_length)` of `(n, n_samples)`.

        In dB against each window's loudest cell (at least SILENCE), down to `-top_db`. The host
        never waits for the device, and nothing's shape hangs on a value.
        """
        n, n_samples = waveforms.shape
        n_frames = 1 + n_samples // self.hop_length
        log_mel = waveforms.new_empty((n, 1, self.n_mels, n_frames), dtype=torch.float32)
        # Under autocast the mel product would be taken in 8 bits.
        with torch.autocast(waveforms.device.type, enabled=False), full_precision():
            for begin in range(0, n, self.windows_at_a_time):
                some = slice(begin, begin + self.windows_at_a_time)
                power = self._mel_power(waveforms[some].float(), n_frames)
                log_mel[some, 0] = self._to_db(power).mT
        return log_mel

    def _mel_power(self, waveforms: torch.Tensor, n_frames: int) -> torch.Tensor:
        """Return the power of each mel band `(n, n_frames, n_mels)`; frames are centred."""
        left = self.n_fft // 2
        heard = (n_frames - 1) * self.hop_length + self.n_fft
        padded = nn.functional.pad(waveforms, (left, max(0, heard - left - waveforms.shape[1])))
        frames = padded.unfold(1, self.n_fft, self.hop_length)[:, :n_frames]
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window))
        power = spectrum[..., 0].square().addcmul_(spectrum[..., 1], spectrum[..., 1])
        return power @ self.filters

    def _to_db(self, power: torch.Tensor) -> torch.Tensor:
        loudest = power.amax(dim=(1, 2), keepdim=True).clamp_(min=SILENCE)
        return power.div_(loudest).clamp_(min=10 ** (-self.top_db / 10)).log10_().mul_(10)


class _Backend(Protocol):
    fp32_precision: str


@contextmanager
def full_precision() -> Iterator[None]:
    """Take float32 products in float32 inside, whatever shortcut the program has switched on.

    PyTorch starts without one. A trainer may ask for tf32 (`allow_tf32`,
    `set_float32_matmul_precision`): its 11 bits would move a cell by up to 0.01 dB. The setting
    belongs to the process: where one is on, products that another thread starts meanwhile are
    taken in full precision too.
    """
    backends: tuple[_Backend, ...] = (
        torch.backends.cuda.matmul,
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    )
    shortcuts = [(b, b.fp32_precision) for b in backends if b.fp32_precision in ("tf32", "bf16")]
    for backend, _ in shortcuts:
        backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        for backend, precision in shortcuts:
            backend.fp32_precision = precision

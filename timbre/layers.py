"""What the networks are built of: input normalisation, two views of it, pooling over time."""

import torch
from torch import nn

ATTENTION_WIDTH = 64
LEAST_VARIANCE = 1e-4  # the root's slope at 0 is infinite


class BandNormalisation(nn.Module):
    """Brings each mel band to mean 0 and deviation 1, by the statistics of the training split."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, n_mels: int) -> None:
        """Start as the identity; `set_statistics` fills it, a loaded model brings its own."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("std", torch.ones(n_mels))

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Keep mean and deviation `(n_mels,)`, in dB."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Normalise `(batch, 1, n_mels, n_frames)`; float16 becomes float32."""
        return (log_mel.float() - self.mean[:, None]) / self.std[:, None]


class Network(nn.Module):
    """From log-mels `(batch, 1, n_mels, n_frames)` in dB to an embedding, and from it to logits."""

    normalise: BandNormalisation
    output: nn.Linear

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return what the output layer sees, `(batch, n_features)`."""
        raise NotImplementedError

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return logits `(batch, n_classes)`."""
        logits: torch.Tensor = self.output(self.embed(log_mel))
        return logits


class TwoViews(nn.Module):
    """Shows a window twice: as it is, and less its mean over time, band by band.

    What a microphone or a room adds to a whole window is gone from the second view, and the voice's
    own colour with it. In training one of them is dropped now and then, so that the network learns
    to go by either: both at once tempt it to know a recording by what only one of them tells.
    """

    def __init__(self, dropped: float) -> None:
        """Drop a view of that share of the training windows, either of the two as often."""
        super().__init__()
        self.dropped = dropped

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        """Return `(batch, 2, n_mels, n_frames)` for `(batch, 1, n_mels, n_frames)`."""
        both = torch.cat([heard, heard - heard.mean(dim=3, keepdim=True)], dim=1)
        if self.training and self.dropped:
            chance = torch.rand(len(both), 1, device=both.device)
            kept = torch.cat([chance, 1 - chance], dim=1) >= self.dropped / 2
            both *= kept[:, :, None, None]
        return both.contiguous(memory_format=torch.channels_last)


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time, weighted by how telling each moment is, feature by feature.

    Source: K. Okabe, T. Koshinaka, K. Shinoda, "Attentive statistics pooling for deep speaker
    embedding", Interspeech 2018; weights for each feature as in ECAPA-TDNN (Desplanques et al.,
    2020).
    """

    def __init__(self, n_features: int) -> None:
        """Build for `n_features` values a frame."""
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv1d(n_features, ATTENTION_WIDTH, kernel_size=1),
            nn.Tanh(),
            nn.Conv1d(ATTENTION_WIDTH, n_features, kernel_size=1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `(batch, 2 * n_features)` for `(batch, n_features, n_frames)`, in float32."""
        weights = self.attention(features).float().softmax(dim=2)
        exact = features.float()  # a difference of squares in 16 bits is noise
        mean = (weights * exact).sum(dim=2)
        variance = (weights * exact.square()).sum(dim=2) - mean.square()
        return torch.cat([mean, variance.clamp(min=LEAST_VARIANCE).sqrt()], dim=1)

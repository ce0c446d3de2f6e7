"""The networks: from log-mels in dB to logits."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


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


class CompactCNN(nn.Module):
    """Three convolution blocks, the mean over time, three fully connected layers, the output.

    A stride in the first convolution quarters the work of all that follows. Frequency is kept until
    the fully connected layers, since a voice is known by *where* its energy lies; time is averaged,
    since it does not matter when something is said.
    """

    def __init__(
        self,
        n_classes: int,
        n_mels: int,
        channels: Sequence[int],
        stride: int,
        pool: int,
        hidden: Sequence[int],
        dropout: float,
    ) -> None:
        """Build for `n_mels` bands; any number of frames that survives stride and pooling."""
        super().__init__()
        self.normalise = BandNormalisation(n_mels)
        blocks: list[nn.Module] = []
        n_bands, n_in = n_mels, 1
        for number, n_out in enumerate(channels):
            step = stride if number == 0 else 1
            blocks += [
                nn.Conv2d(n_in, n_out, kernel_size=3, stride=step, padding=1, bias=False),
                # Pooled first: normalising costs a quarter of what it does in the usual order.
                nn.MaxPool2d(pool),
                nn.BatchNorm2d(n_out),
                nn.ReLU(inplace=True),
            ]
            n_bands, n_in = -(-n_bands // step) // pool, n_out
        self.blocks = nn.Sequential(*blocks)
        self.head = _head([n_in * n_bands, *hidden], n_classes, dropout)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return logits `(batch, n_classes)` for `(batch, 1, n_mels, n_frames)` in dB."""
        maps = self.blocks(self.normalise(log_mel))
        logits: torch.Tensor = self.head(maps.mean(dim=3).flatten(1))
        return logits


class NotebookCNN(nn.Module):
    """The original notebook's network, for comparison: 138 968 326 parameters for 6 classes.

    Its layers are kept as they were, without batch norm and with one ReLU after the last pooling
    and none between the fully connected layers. Only the input normalisation is ours.
    """

    def __init__(self, n_classes: int, n_mels: int, n_frames: int) -> None:
        """Build for `(n_mels, n_frames)` inputs; the original's are (128, 256)."""
        super().__init__()
        self.normalise = BandNormalisation(n_mels)
        self.blocks = nn.Sequential(
            *(nn.Conv2d(1, 16, kernel_size=3, padding=1), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, kernel_size=3, padding=1), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, kernel_size=3, padding=1), nn.MaxPool2d(2)),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(64 * (n_mels // 8) * (n_frames // 8), 4096),
            nn.Dropout(0.5),
            nn.Linear(4096, 1024),
            nn.Dropout(0.5),
            nn.Linear(1024, 512),
            nn.Dropout(0.5),
            nn.Linear(512, n_classes),
        )

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return logits `(batch, n_classes)` for `(batch, 1, n_mels, n_frames)` in dB."""
        logits: torch.Tensor = self.head(self.blocks(self.normalise(log_mel)))
        return logits


NETWORKS: dict[str, type[CompactCNN] | type[NotebookCNN]] = {
    "cnn": CompactCNN,
    "notebook": NotebookCNN,
}


def build_network(name: str, **sizes: Any) -> CompactCNN | NotebookCNN:  # noqa: ANN401
    """Build a network from what its model file recorded: its name and its constructor's values."""
    return NETWORKS[name](**sizes)


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())


def _head(widths: list[int], n_classes: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(inplace=True), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))

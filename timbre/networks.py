"""The networks: from log-mels in dB to logits."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from timbre.layers import AttentiveStatistics, BandNormalisation, Network, TwoViews
from timbre.residual import ResidualCNN


class CompactCNN(Network):
    """Three convolution blocks, statistics over time, three fully connected layers, the output.

    A stride in the first convolution quarters the work of all that follows. Frequency is kept
    until the fully connected layers, since a voice is known by *where* its energy lies. The last
    block need not pool over time: what is left of it are the moments whose statistics are taken.
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
        view_dropout: float = 0.0,  # this and the next are not in model files of before
        last_pool: int | None = None,  # over time, of the last block; None: as all others
    ) -> None:
        """Build for `n_mels` bands; any number of frames that survives stride and pooling."""
        super().__init__()
        self.normalise = BandNormalisation(n_mels)
        self.views = TwoViews(view_dropout)
        blocks: list[nn.Module] = []
        n_bands, n_in = n_mels, 2
        for number, n_out in enumerate(channels):
            step = stride if number == 0 else 1
            is_last = number == len(channels) - 1
            over_time = last_pool if is_last and last_pool else pool
            blocks += [
                nn.Conv2d(n_in, n_out, kernel_size=3, stride=step, padding=1, bias=False),
                # Pooled first: normalising costs a quarter of what it does in the usual order.
                nn.MaxPool2d((pool, over_time)),
                nn.BatchNorm2d(n_out),
                nn.ReLU(inplace=True),
            ]
            n_bands, n_in = -(-n_bands // step) // pool, n_out
        self.blocks = nn.Sequential(*blocks)
        self.statistics = AttentiveStatistics(n_in * n_bands)
        widths = [2 * n_in * n_bands, *hidden]
        self.head = _head(widths, dropout)
        self.output = nn.Linear(widths[-1], n_classes)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return what the output layer sees, `(batch, n_features)`."""
        heard = self.blocks(self.views(self.normalise(log_mel)))
        embedding: torch.Tensor = self.head(self.statistics(heard.flatten(1, 2)))
        return embedding


class NotebookCNN(Network):
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
        )
        self.output = nn.Linear(512, n_classes)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return what the output layer sees, `(batch, 512)`."""
        embedding: torch.Tensor = self.head(self.blocks(self.normalise(log_mel)))
        return embedding


NETWORKS: dict[str, type[Network]] = {
    "cnn": CompactCNN,
    "resnet": ResidualCNN,
    "notebook": NotebookCNN,
}


def build_network(name: str, **sizes: Any) -> Network:  # noqa: ANN401
    """Build a network from what its model file recorded: its name and its constructor's values."""
    return NETWORKS[name](**sizes)


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())


def _head(widths: list[int], dropout: float) -> nn.Sequential:
    # Without batch norm, three layers do not fit augmented windows (docs/lab-notes.md).
    layers: list[nn.Module] = [nn.BatchNorm1d(widths[0])]
    for n_in, n_out in itertools.pairwise(widths):
        layers += [
            nn.Linear(n_in, n_out),
            nn.BatchNorm1d(n_out),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        ]
    return nn.Sequential(*layers)

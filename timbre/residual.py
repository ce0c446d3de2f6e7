"""The stronger network: residual blocks, deeper than the default and some times as dear."""

import torch
from torch import nn

from timbre.layers import AttentiveStatistics, BandNormalisation, Network, TwoViews

WIDTHS = (32, 64, 96, 128)  # channels of the four stages; each but the first halves both directions
BLOCKS = 2  # in a stage
SQUEEZE = 8  # a block's gate has that many times fewer channels
EMBEDDING = 192


class ResidualCNN(Network):
    """Residual blocks with channel gates, attentive statistics over time, one layer, the output.

    Input and pooling are those of the default network. Blocks: K. He and others, "Deep residual
    learning for image recognition", CVPR 2016; gates: J. Hu and others, "Squeeze-and-excitation
    networks", CVPR 2018; thin ones with attentive pooling for voices: J. S. Chung and others, "In
    defence of metric learning for speaker recognition", Interspeech 2020.
    """

    def __init__(
        self, n_classes: int, n_mels: int, dropout: float, view_dropout: float = 0.0
    ) -> None:
        """Build for `n_mels` bands and any number of frames; both shrink 32 times."""
        super().__init__()
        self.normalise = BandNormalisation(n_mels)
        self.views = TwoViews(view_dropout)
        self.stem = nn.Sequential(
            nn.Conv2d(2, WIDTHS[0], kernel_size=3, stride=2, padding=1, bias=False),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = []
        n_in, n_bands = WIDTHS[0], -(-n_mels // 4)
        for stage, width in enumerate(WIDTHS):
            stride = 1 if stage == 0 else 2
            blocks += [_Block(n_in, width, stride)]
            blocks += [_Block(width, width, 1) for _ in range(BLOCKS - 1)]
            n_in, n_bands = width, -(-n_bands // stride)
        self.blocks = nn.Sequential(*blocks)
        self.statistics = AttentiveStatistics(n_in * n_bands)
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * n_in * n_bands),
            nn.Linear(2 * n_in * n_bands, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(EMBEDDING, n_classes)

    def embed(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return what the output layer sees, `(batch, n_features)`."""
        heard = self.blocks(self.stem(self.views(self.normalise(log_mel))))
        embedding: torch.Tensor = self.head(self.statistics(heard.flatten(1, 2)))
        return embedding


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(n_out, n_out // SQUEEZE, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_out // SQUEEZE, n_out, 1),
            nn.Sigmoid(),
        )
        same = n_in == n_out and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else _projection(n_in, n_out, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        branch = self.branch(features)
        return torch.relu(branch * self.gate(branch) + self.shortcut(features))


def _projection(n_in: int, n_out: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
    )

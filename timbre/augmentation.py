"""Changes to training windows that leave their labels true.

Windows are `(n, 1, n_mels, n_frames)` in dB; what is masked or shifted in becomes `floor_db`. What
chance decides is drawn for a whole epoch at once, on the CPU: a seed means the same on every
device, and no step waits for it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from timbre.channel import Channel, ChannelDraws

Windows = torch.Tensor
Runs = torch.Tensor  # (n, n_masks, 2): first cell, and first cell after the run


@dataclass(frozen=True)
class Draws:
    """What chance decided for n windows, in the order in which they are met."""

    channel: ChannelDraws | None
    shifts: torch.Tensor  # (n,), frames
    bands: Runs
    frames: Runs
    weights: torch.Tensor  # (n,), of the window itself where two are mixed

    def of(self, windows: slice) -> "Draws":
        """Return the draws of some of the windows."""
        own = (self.shifts, self.bands, self.frames, self.weights)
        channel = self.channel.of(windows) if self.channel else None
        return Draws(channel, *(drawn[windows] for drawn in own))


@dataclass(frozen=True)
class Augmentation:
    """Which changes are made to training windows; 0 switches a change off."""

    channel: Channel
    n_masks: int
    mask_bands: int  # widest run, in bands
    mask_frames: int  # longest run, in frames
    shift_frames: int  # farthest shift, in frames
    mixup: float  # alpha of the Beta distribution
    floor_db: float

    def weakened(self, strength: float) -> "Augmentation":
        """Return the same that imitates other recordings less, by a factor in [0, 1]."""
        return replace(self, channel=self.channel.weakened(strength))

    def draw(self, n: int, n_mels: int, n_frames: int, generator: torch.Generator) -> Draws:
        """Draw for n windows of `(n_mels, n_frames)`."""
        farthest = self.shift_frames
        # torch's own Beta takes no generator, numpy's does.
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        weights = rng.beta(self.mixup, self.mixup, n) if self.mixup else np.ones(n)
        off = self.channel.is_off()
        return Draws(
            channel=None if off else self.channel.draw(n, n_mels, n_frames, generator),
            shifts=torch.randint(-farthest, farthest + 1, (n,), generator=generator),
            bands=draw_runs(n, self.n_masks, self.mask_bands, n_mels, generator),
            frames=draw_runs(n, self.n_masks, self.mask_frames, n_frames, generator),
            weights=torch.from_numpy(weights).float(),
        )

    def apply(
        self, windows: Windows, targets: torch.Tensor, draws: Draws, field: torch.Tensor
    ) -> tuple[Windows, torch.Tensor]:
        """Return the changed windows and their target probabilities `(n, n_classes)`.

        `draws` lie on the CPU, all else on one device; `field` is that of `Channel.draw_field`.
        `windows` may be overwritten.
        """
        device = windows.device
        if draws.channel:
            windows = self.channel.apply(windows, draws.channel, field)
        if self.shift_frames:
            windows = shift_frames(windows, draws.shifts.to(device), self.floor_db)
        if self.mask_bands or self.mask_frames:
            bands, frames = draws.bands.to(device), draws.frames.to(device)
            windows = silence(windows, bands, frames, self.floor_db)
        if self.mixup:
            return mix(windows, targets, draws.weights.to(device))
        return windows, targets


def draw_runs(n: int, n_masks: int, longest: int, length: int, generator: torch.Generator) -> Runs:
    """Draw runs of 0 to `longest` cells within `length`, `(n, n_masks, 2)`.

    Source: D. S. Park et al., "SpecAugment", Interspeech 2019.
    """
    run = torch.randint(0, min(longest, length) + 1, (n, n_masks), generator=generator)
    start = (torch.rand((n, n_masks), generator=generator) * (length - run + 1)).long()
    return torch.stack([start, start + run], dim=-1)


def silence(windows: Windows, bands: Runs, frames: Runs, floor_db: float) -> Windows:
    """Overwrite the runs of mel bands and the runs of frames with `floor_db`."""
    quiet = _inside(bands, windows.shape[2])[:, None, :, None]
    quiet = quiet | _inside(frames, windows.shape[3])[:, None, None, :]
    return windows.masked_fill_(quiet, floor_db)


def shift_frames(windows: Windows, shifts: torch.Tensor, floor_db: float) -> Windows:
    """Move each window by its shift `(n,)`, in frames, to later ones; silence moves in."""
    n_frames = windows.shape[3]
    origin = torch.arange(n_frames, device=windows.device) - shifts[:, None]
    outside = (origin < 0) | (origin >= n_frames)
    index = origin.clamp(0, n_frames - 1)[:, None, None, :].expand_as(windows)
    return windows.gather(3, index).masked_fill_(outside[:, None, None, :], floor_db)


def mix(
    windows: Windows, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[Windows, torch.Tensor]:
    """Blend each window and its target probabilities `(n, n_classes)` with the one before it.

    The order is chance already. Source: H. Zhang et al., "mixup", ICLR 2018.
    """
    own = weights[:, None, None, None]
    mixed = own * windows + (1 - own) * windows.roll(1, 0)
    return mixed, weights[:, None] * targets + (1 - weights[:, None]) * targets.roll(1, 0)


def _inside(runs: Runs, length: int) -> torch.Tensor:
    """Return `(n, length)`, true inside the runs."""
    cell = torch.arange(length, device=runs.device)
    return ((cell >= runs[..., :1]) & (cell < runs[..., 1:])).any(dim=1)

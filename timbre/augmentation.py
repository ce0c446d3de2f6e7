"""Changes to training batches that leave their labels true.

Batches are `(n, 1, n_mels, n_frames)` in dB; what is masked or shifted in becomes `floor_db`.
Every draw comes from the generator given, on the CPU, so that a seed means the same everywhere.
"""

from dataclasses import dataclass

import numpy as np
import torch

Batch = torch.Tensor


def mask_bands(
    batch: Batch, n_masks: int, max_bands: int, floor_db: float, generator: torch.Generator
) -> Batch:
    """Silence `n_masks` random runs of up to `max_bands` mel bands in each window.

    Source: D. S. Park et al., "SpecAugment", Interspeech 2019.
    """
    masked = _random_runs(len(batch), batch.shape[2], n_masks, max_bands, generator)
    return batch.masked_fill(masked.to(batch.device)[:, None, :, None], floor_db)


def mask_frames(
    batch: Batch, n_masks: int, max_frames: int, floor_db: float, generator: torch.Generator
) -> Batch:
    """Silence `n_masks` random runs of up to `max_frames` frames in each window (SpecAugment)."""
    masked = _random_runs(len(batch), batch.shape[3], n_masks, max_frames, generator)
    return batch.masked_fill(masked.to(batch.device)[:, None, None, :], floor_db)


def shift_frames(
    batch: Batch, max_frames: int, floor_db: float, generator: torch.Generator
) -> Batch:
    """Move each window by up to `max_frames` frames, earlier or later; silence moves in."""
    n, n_frames = len(batch), batch.shape[3]
    shifts = torch.randint(-max_frames, max_frames + 1, (n, 1), generator=generator)
    origin = (torch.arange(n_frames) - shifts).to(batch.device)
    outside = (origin < 0) | (origin >= n_frames)
    index = origin.clamp(0, n_frames - 1)[:, None, None, :].expand_as(batch)
    return batch.gather(3, index).masked_fill(outside[:, None, None, :], floor_db)


def mix(
    batch: Batch, targets: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[Batch, torch.Tensor]:
    """Blend each window and its target probabilities `(n, n_classes)` with another of the batch.

    Source: H. Zhang et al., "mixup", ICLR 2018; one weight from Beta(alpha, alpha) for the batch.
    """
    partner = torch.randperm(len(batch), generator=generator).to(batch.device)
    # torch's own Beta takes no generator, numpy's does.
    seed = int(torch.randint(2**62, (), generator=generator))
    weight = float(np.random.default_rng(seed).beta(alpha, alpha))
    return (
        weight * batch + (1 - weight) * batch[partner],
        weight * targets + (1 - weight) * targets[partner],
    )


def _random_runs(
    n: int, length: int, n_masks: int, max_run: int, generator: torch.Generator
) -> torch.Tensor:
    """Return `(n, length)`, true inside the runs."""
    runs = torch.randint(0, max_run + 1, (n, n_masks, 1), generator=generator)
    room = (length - runs).clamp(min=0)
    starts = (torch.rand((n, n_masks, 1), generator=generator) * (room + 1)).long()
    position = torch.arange(length)
    return ((position >= starts) & (position < starts + runs)).any(dim=1)


@dataclass(frozen=True)
class Augmentation:
    """Which changes are made to a training batch; 0 switches a change off."""

    n_masks: int
    mask_bands: int  # widest run, in bands
    mask_frames: int  # longest run, in frames
    shift_frames: int  # farthest shift, in frames
    mixup: float  # alpha of the Beta distribution
    floor_db: float

    def __call__(
        self, batch: Batch, targets: torch.Tensor, generator: torch.Generator
    ) -> tuple[Batch, torch.Tensor]:
        """Return the changed batch and its target probabilities `(n, n_classes)`."""
        if self.shift_frames:
            batch = shift_frames(batch, self.shift_frames, self.floor_db, generator)
        if self.mask_bands:
            batch = mask_bands(batch, self.n_masks, self.mask_bands, self.floor_db, generator)
        if self.mask_frames:
            batch = mask_frames(batch, self.n_masks, self.mask_frames, self.floor_db, generator)
        if self.mixup:
            return mix(batch, targets, self.mixup, generator)
        return batch, targets

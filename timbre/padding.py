"""What of a window is the clip, and what is the silence that a short one is padded with.

Windows are `(n, 1, n_mels, n_frames)` in dB.
"""

import torch

SILENT_DB = 0.1  # above a window's quietest cell: what interpolation leaves of silence


def heard_frames(windows: torch.Tensor) -> torch.Tensor:
    """Return `(n,)` how many frames each window has before nothing but silence; at least 1."""
    frame = torch.arange(1, windows.shape[3] + 1, device=windows.device)
    loud = windows.amax((1, 2)) > windows.amin((1, 2, 3))[:, None] + SILENT_DB
    return (loud * frame).amax(1).clamp(min=1)


def silence_behind(windows: torch.Tensor, n_heard: torch.Tensor, silence: float) -> torch.Tensor:
    """Silence in place the frames after the first `n_heard` `(n,)` ones.

    `silence`, in dB, is what no cell lies below.
    """
    behind = torch.arange(windows.shape[3], device=windows.device) >= n_heard[:, None]
    # A minimum takes a seventh of the time that masked_fill_ takes.
    highest = torch.where(behind, silence, torch.inf)[:, None, None, :]
    return torch.minimum(windows, highest, out=windows)

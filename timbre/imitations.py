"""Single changes that another microphone, room or codec makes, on log-mels.

Windows are `(n, 1, n_mels, n_frames)` in dB, power the same in linear units.
"""

import math

import numpy as np
import torch
from torch.nn.functional import interpolate, pad

from timbre.mel_filters import hz_to_mel, mel_to_hz

LOG_OF_DB = math.log(10) / 10
LEAST_POWER = 1e-12
N_TALKERS = 3  # in babble
SLOPE_DB = 1024.0  # of a band limit, over all the bands

Windows = torch.Tensor


def curve(knots: torch.Tensor, n_mels: int) -> torch.Tensor:
    """Return `(n, 1, n_mels, 1)`: straight lines between the `knots` `(n, n_knots)`."""
    lines = interpolate(knots[:, None], size=n_mels, mode="linear", align_corners=True)
    return lines[..., None]


def play(windows: Windows, speed: float, mel_range: tuple[float, float], silence: float) -> Windows:
    """Play at `speed` times the speed: shorter and higher. What is then missing is silence."""
    n_mels, n_frames = windows.shape[2:]
    if speed == 1:
        return windows
    n_played = max(2, round(n_frames / speed))
    played = interpolate(windows[:, 0], size=n_played, mode="linear")[..., :n_frames]
    played = pad(played, (0, n_frames - played.shape[-1]), value=silence)
    return (_pitch_matrix(n_mels, speed, mel_range).to(windows.device) @ played)[:, None]


def crop(windows: Windows, start: torch.Tensor, length: torch.Tensor, silence: float) -> Windows:
    """Keep `length` `(n,)` frames from `start` `(n,)`, as a short clip: first it, then silence."""
    frame = torch.arange(windows.shape[3], device=windows.device)
    origin = (frame + start[:, None]).clamp(max=windows.shape[3] - 1)
    kept = windows.gather(3, origin[:, None, None, :].expand_as(windows))
    return kept.masked_fill_((frame >= length[:, None])[:, None, None, :], silence)


def reverberate(power: torch.Tensor, decay: torch.Tensor, tail: torch.Tensor) -> torch.Tensor:
    """Add to each cell the decaying power of the earlier ones of its band.

    `decay` `(n,)` is what is left of power after one frame, `tail` `(n,)` the energy of all
    reverberation over that of the direct sound. Power adds as for the diffuse tail of a room,
    whose phases are random: J. D. Polack, "La transmission de l'énergie sonore dans les salles",
    1988.
    """
    share = decay[:, None, None, None]
    wet, step = power, 1
    while step < power.shape[3]:  # sums over 1, 2, 4, 8 ... frames
        wet = wet + share**step * pad(wet[..., :-step], (step, 0))
        step *= 2
    return power + (wet - power) * ((1 - share) / share * tail[:, None, None, None])


def add_noise(
    power: torch.Tensor, level: torch.Tensor, gains: torch.Tensor, field: torch.Tensor
) -> None:
    """Add in place `field`, `(n_mels, n_frames)` or one for each window, at `level` `(n,)`."""
    shape = (curve(gains, power.shape[2]) * LOG_OF_DB).exp_()
    shape /= shape.mean(2, keepdim=True)
    power.addcmul_(shape * level[:, None, None, None], field)


def with_babble(power: torch.Tensor, some: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Return the windows number `some` with those before each in the batch, at `level` of its own.

    `some` and `level` are `(n_some,)`; before the first window comes the last one.
    """
    own, n = power[some], len(power)
    others = power[(some - 1) % n]
    for distance in range(2, N_TALKERS + 1):
        others += power[(some - distance) % n]
    share = level * own.mean((1, 2, 3)) / others.mean((1, 2, 3)).clamp(min=LEAST_POWER)
    return own + share[:, None, None, None] * others


def drop_weak(windows: Windows, depth: torch.Tensor, silence: float) -> Windows:
    """Silence the cells that lie more than `depth` `(n,)` dB below their frame's loudest band."""
    weak = windows < windows.amax(2, keepdim=True) - depth[:, None, None, None]
    return windows.masked_fill_(weak, silence)


def limit_band(windows: Windows, low: torch.Tensor, high: torch.Tensor) -> None:
    """Weaken in place what lies below band `low` `(n,)` and above band `high` `(n,)`."""
    band = torch.arange(windows.shape[2], device=windows.device)
    below, above = low[:, None] - band, band - high[:, None]
    loss = (below.clamp(min=0) + above.clamp(min=0)) * (SLOPE_DB / windows.shape[2])
    windows -= loss[:, None, :, None]


def _pitch_matrix(n_mels: int, speed: float, mel_range: tuple[float, float]) -> torch.Tensor:
    """Return `(n_mels, n_mels)`: each band's new content, between two of the old ones."""
    low, high = (float(hz_to_mel(edge)) for edge in mel_range)
    step = (high - low) / (n_mels + 1)
    centres = low + step * np.arange(1, n_mels + 1)
    source = (hz_to_mel(mel_to_hz(centres) / speed) - low) / step - 1
    distance = np.abs(np.arange(n_mels) - source.clip(0, n_mels - 1)[:, None])
    return torch.from_numpy((1 - distance).clip(min=0)).float()

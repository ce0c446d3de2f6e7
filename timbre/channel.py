"""What another microphone, room or codec would have made of training windows.

Windows are `(n, 1, n_mels, n_frames)` in dB, power the same in linear units. The ranges that chance
draws from are constants: found on validation folds (docs/lab-notes.md); how often and how strongly
is a setting.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch.nn.functional import interpolate, pad

from timbre.mel_filters import hz_to_mel, mel_to_hz

LOG_OF_DB = math.log(10) / 10
LEAST_POWER = 1e-12
N_KNOTS = 6  # of a curve over the bands
NOISE_DB = (0.0, 40.0)  # signal-to-noise ratio, dB
DISTORTION_DB = (12.0, 40.0)  # below the frame's power, dB
BABBLE_DB = (0.0, 25.0)  # other windows below the window's own power, dB
N_TALKERS = 3  # in babble
DECAY_SECONDS = (0.1, 0.8)  # of a room, down by 60 dB
DIRECT_DB = (-5.0, 15.0)  # direct sound over reverberation, dB
GATE_DB = (20.0, 55.0)  # a codec drops what lies that far below the frame's loudest band, dB
LOW_PASS = (0.35, 1.0)  # share of the bands that is left
TELEPHONE_LOW, TELEPHONE_HIGH = (0.016, 0.11), (0.47, 0.78)  # shares of the bands
TELEPHONES = 0.4  # of the limited windows lose low bands as well
SLOPE_DB = 1024.0  # of a band limit, over all the bands
FLOORS = (0.44, 1.0)  # share of top_db at which a raised floor lies
KEPT = (0.15, 0.8)  # share of a cropped window that is left
FIELD = 4  # windows' lengths of noise drawn for an epoch
# What of a Channel makes another recording; all else describes the windows.
IMITATIONS = (
    *("equalise_db", "noise", "babble", "reverb", "distortion", "gate", "band_limit"),
    *("raise_floor", "crop", "speed"),
)
SMOOTHEST = 0.4  # of the highest band: it averages most bins, so its noise flickers least

Windows = torch.Tensor


@dataclass(frozen=True)
class ChannelDraws:
    """What chance decided for n windows; neutral where a window is left as it is."""

    speed: torch.Tensor  # (n,); a batch is played at that of its first window
    start: torch.Tensor  # (n,), frame at which the kept piece begins
    length: torch.Tensor  # (n,), frames of it
    gains: torch.Tensor  # (n, N_KNOTS), dB
    decay: torch.Tensor  # (n,), of power from frame to frame; 0: no room
    tail: torch.Tensor  # (n,), energy of the reverberation over that of the direct sound
    noise: torch.Tensor  # (n,), power over the window's own
    noise_gains: torch.Tensor  # (n, N_KNOTS), dB
    distortion: torch.Tensor  # (n,), power over the frame's own
    distortion_gains: torch.Tensor  # (n, N_KNOTS), dB
    offsets: torch.Tensor  # (n, 2), where the field of noise begins; a batch takes its first
    babble: torch.Tensor  # (n,), power over the window's own
    gate: torch.Tensor  # (n,), dB
    low: torch.Tensor  # (n,), first band that is kept
    high: torch.Tensor  # (n,), last band that is kept
    floor: torch.Tensor  # (n,), dB from the loudest cell

    def of(self, windows: slice) -> "ChannelDraws":
        """Return the draws of some of the windows."""
        return ChannelDraws(*(getattr(self, field.name)[windows] for field in fields(self)))

    def to(self, device: torch.device) -> "ChannelDraws":
        """Return the same draws in memory of `device`."""
        return ChannelDraws(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class Channel:
    """How often (share of the windows) and how strongly recordings are imitated; 0: never."""

    equalise_db: float  # deviation of the gain at a knot of the curve
    noise: float
    babble: float
    reverb: float
    distortion: float
    gate: float
    band_limit: float
    crop: float
    raise_floor: float
    speed: float  # farthest change, as a share; three batches of five are changed
    floor_db: float
    hop_seconds: float
    mel_range: tuple[float, float]  # Hz, the edges of the mel bands

    def is_off(self) -> bool:
        """Tell whether nothing is ever changed."""
        return not any(getattr(self, name) for name in IMITATIONS)

    def weakened(self, strength: float) -> "Channel":
        """Return the same that imitates less often and less strongly, by a factor in [0, 1]."""
        return replace(self, **{name: strength * getattr(self, name) for name in IMITATIONS})

    def draw(self, n: int, n_mels: int, n_frames: int, generator: torch.Generator) -> ChannelDraws:
        """Draw for n windows of `(n_mels, n_frames)`."""

        def between(low: float, high: float) -> torch.Tensor:
            return low + (high - low) * torch.rand(n, generator=generator)

        def some(share: float, values: torch.Tensor, neutral: float) -> torch.Tensor:
            return values.where(torch.rand(n, generator=generator) < share, neutral)

        def knots(spread: float) -> torch.Tensor:
            strength = torch.rand(n, 1, generator=generator) * spread
            return torch.randn(n, N_KNOTS, generator=generator) * strength

        length = some(self.crop, between(*KEPT) * n_frames, n_frames).long().clamp(min=1)
        low, high = self._limits(n_mels, between, generator)
        decay = 10 ** (-6 * self.hop_seconds / between(*DECAY_SECONDS))
        return ChannelDraws(
            speed=some(0.6, between(1 - self.speed, 1 + self.speed), 1.0),
            start=(torch.rand(n, generator=generator) * (n_frames - length + 1)).long(),
            length=length,
            gains=some(0.8, knots(1.5 * self.equalise_db).T, 0.0).T,
            decay=some(self.reverb, decay, 0.0),
            tail=_ratio(between(*DIRECT_DB)),
            noise=some(self.noise, _ratio(between(*NOISE_DB)), 0.0),
            noise_gains=knots(8.0),
            distortion=some(self.distortion, _ratio(between(*DISTORTION_DB)), 0.0),
            distortion_gains=knots(6.0),
            offsets=torch.randint((FIELD - 1) * n_frames + 1, (n, 2), generator=generator),
            babble=some(self.babble, _ratio(between(*BABBLE_DB)), 0.0),
            gate=some(self.gate, between(*GATE_DB), math.inf),
            low=low,
            high=high,
            floor=some(self.raise_floor, self.floor_db * between(*FLOORS), self.floor_db),
        )

    def draw_field(self, n_mels: int, n_frames: int, generator: torch.Generator) -> torch.Tensor:
        """Draw an epoch's noise `(n_mels, FIELD * n_frames)`: the power of its cells, mean 1."""
        field = torch.empty(n_mels, FIELD * n_frames).exponential_(generator=generator)
        return 1 + (field - 1) * torch.linspace(1, SMOOTHEST, n_mels)[:, None]

    def apply(self, windows: Windows, drawn: ChannelDraws, field: torch.Tensor) -> Windows:
        """Return the changed windows; `drawn` lies on the CPU, `field` where the windows lie."""
        draws = drawn.to(windows.device)
        if self.speed:
            windows = play(windows, float(drawn.speed[0]), self.mel_range, self.floor_db)
        if self.crop:
            windows = crop(windows, draws.start, draws.length, self.floor_db)
        windows = windows + curve(draws.gains, windows.shape[2])
        if self.noise or self.babble or self.reverb or self.distortion:
            windows = self._add(windows, drawn, draws, field)
        if self.gate:
            depth = draws.gate[:, None, None, None]
            windows = windows.masked_fill(windows < windows.amax(2, True) - depth, self.floor_db)
        if self.band_limit:
            windows = limit_band(windows, draws.low, draws.high)
        windows = windows - windows.amax((1, 2, 3), keepdim=True)
        return torch.maximum(windows, draws.floor[:, None, None, None])

    def _limits(
        self,
        n_mels: int,
        between: Callable[[float, float], torch.Tensor],
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        kind = torch.rand(len(between(0, 1)), generator=generator)
        limited, telephone = kind < self.band_limit, kind < self.band_limit * TELEPHONES
        high = between(*LOW_PASS).where(~telephone, between(*TELEPHONE_HIGH)) * n_mels
        low = between(*TELEPHONE_LOW) * n_mels
        return low.where(telephone, 0.0), high.where(limited, float(n_mels))

    def _add(
        self, windows: Windows, drawn: ChannelDraws, draws: ChannelDraws, field: torch.Tensor
    ) -> Windows:
        n_frames = windows.shape[3]
        power = (windows * LOG_OF_DB).exp_()
        first, second = drawn.offsets[0].tolist()
        if self.reverb:
            # Chosen on the CPU: a GPU would have to be waited for.
            rooms = drawn.decay.nonzero()[:, 0].to(power.device)
            power[rooms] = reverberate(power[rooms], draws.decay[rooms], draws.tail[rooms])
        if self.noise:
            level = power.mean((1, 2, 3)) * draws.noise
            add_noise(power, level, draws.noise_gains, field[:, first : first + n_frames])
        if self.distortion:
            flicker = field[:, second : second + n_frames] * power.mean(2, keepdim=True)
            add_noise(power, draws.distortion, draws.distortion_gains, flicker)
        if self.babble:
            power = add_babble(power, draws.babble)
        return power.clamp_(min=LEAST_POWER).log_().div_(LOG_OF_DB)


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


def add_babble(power: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Add the windows before each in the batch, at `level` `(n,)` of its own power."""
    others = power.roll(1, 0)
    for distance in range(2, N_TALKERS + 1):
        others += power.roll(distance, 0)
    own, foreign = power.mean((1, 2, 3)), others.mean((1, 2, 3))
    share = level * own / foreign.clamp(min=LEAST_POWER)
    return power + share[:, None, None, None] * others


def limit_band(windows: Windows, low: torch.Tensor, high: torch.Tensor) -> Windows:
    """Weaken what lies below band `low` `(n,)` and above band `high` `(n,)`."""
    band = torch.arange(windows.shape[2], device=windows.device)
    below, above = low[:, None] - band, band - high[:, None]
    loss = (below.clamp(min=0) + above.clamp(min=0)) * (SLOPE_DB / windows.shape[2])
    return windows - loss[:, None, :, None]


def _ratio(db_below: torch.Tensor) -> torch.Tensor:
    return 10 ** (-db_below / 10)


def _pitch_matrix(n_mels: int, speed: float, mel_range: tuple[float, float]) -> torch.Tensor:
    """Return `(n_mels, n_mels)`: each band's new content, between two of the old ones."""
    low, high = (float(hz_to_mel(edge)) for edge in mel_range)
    step = (high - low) / (n_mels + 1)
    centres = low + step * np.arange(1, n_mels + 1)
    source = (hz_to_mel(mel_to_hz(centres) / speed) - low) / step - 1
    distance = np.abs(np.arange(n_mels) - source.clip(0, n_mels - 1)[:, None])
    return torch.from_numpy((1 - distance).clip(min=0)).float()

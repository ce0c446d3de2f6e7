"""What another microphone, room or codec would have made of training windows.

Windows are `(n, 1, n_mels, n_frames)` in dB, power the same in linear units. The ranges that chance
draws from are constants: found on validation folds (docs/lab-notes.md); how often and how strongly
is a setting.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch

from timbre.imitations import (
    LEAST_POWER,
    LOG_OF_DB,
    Windows,
    add_noise,
    crop,
    curve,
    drop_weak,
    limit_band,
    play,
    reverberate,
    with_babble,
)
from timbre.padding import heard_frames, silence_behind

N_KNOTS = 6  # of a curve over the bands
NOISE_DB = (0.0, 40.0)  # signal-to-noise ratio, dB
DISTORTION_DB = (12.0, 40.0)  # below the frame's power, dB
BABBLE_DB = (0.0, 25.0)  # other windows below the window's own power, dB
DECAY_SECONDS = (0.1, 0.8)  # of a room, down by 60 dB
DIRECT_DB = (-5.0, 15.0)  # direct sound over reverberation, dB
GATE_DB = (20.0, 55.0)  # a codec drops what lies that far below the frame's loudest band, dB
LOW_PASS = (0.35, 1.0)  # share of the bands that is left
TELEPHONE_LOW, TELEPHONE_HIGH = (0.016, 0.11), (0.47, 0.78)  # shares of the bands
TELEPHONES = 0.4  # of the limited windows lose low bands as well
FLOORS = (0.44, 1.0)  # share of top_db at which a raised floor lies
KEPT = (0.15, 0.8)  # share of a cropped clip that is left
LEAST_SECONDS = 0.2  # of it; a shorter clip stays as it is
FIELD = 4  # windows' lengths of noise drawn for an epoch
# What of a Channel makes another recording; all else describes the windows.
IMITATIONS = (
    *("equalise_db", "noise", "babble", "reverb", "distortion", "gate", "band_limit"),
    *("raise_floor", "crop", "speed"),
)
SMOOTHEST = 0.4  # of the highest band: it averages most bins, so its noise flickers least


@dataclass(frozen=True)
class ChannelDraws:
    """What chance decided for n windows; neutral where a window is left as it is."""

    speed: torch.Tensor  # (n,); a batch is played at that of its first window
    kept: torch.Tensor  # (n,), share of the clip that is kept
    start: torch.Tensor  # (n,), where it begins, as a share of the places that there are
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

        kept = some(self.crop, between(*KEPT), 1.0)
        low, high = self._limits(n_mels, between, generator)
        decay = 10 ** (-6 * self.hop_seconds / between(*DECAY_SECONDS))
        return ChannelDraws(
            speed=some(0.6, between(1 - self.speed, 1 + self.speed), 1.0),
            kept=kept,
            start=torch.rand(n, generator=generator),
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
        """Return the changed windows; `drawn` lies on the CPU, `field` where the windows lie.

        `windows` may be overwritten: new memory for each change takes as long as the change.
        """
        draws = drawn.to(windows.device)
        if self.speed:
            windows = play(windows, float(drawn.speed[0]), self.mel_range, self.floor_db)
        heard = heard_frames(windows)
        if self.crop:
            some = _numbers(drawn.kept < 1, windows.device)
            start, heard = self._piece(heard, draws)
            windows[some] = crop(windows[some], start[some], heard[some], self.floor_db)
        windows += curve(draws.gains, windows.shape[2])
        if self.noise or self.babble or self.reverb or self.distortion:
            windows = self._add(windows, drawn, draws, field, heard)
        if self.gate:
            some = _numbers(drawn.gate.isfinite(), windows.device)
            windows[some] = drop_weak(windows[some], draws.gate[some], self.floor_db)
        if self.band_limit:
            limit_band(windows, draws.low, draws.high)
        # A recording is padded after it was made: neither its noise nor its echo goes on behind it.
        silence_behind(windows, heard, -math.inf)
        windows -= windows.amax((1, 2, 3), keepdim=True)
        torch.maximum(windows, draws.floor[:, None, None, None], out=windows)
        return silence_behind(windows, heard, self.floor_db)

    def _piece(self, heard: torch.Tensor, draws: ChannelDraws) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where each window's piece of `heard` frames begins, and its frames, `(n,)`."""
        least = heard.clamp(max=max(round(LEAST_SECONDS / self.hop_seconds), 1))
        length = torch.maximum((draws.kept * heard).long(), least)
        return (draws.start * (heard - length + 1)).long(), length

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
        self,
        windows: Windows,
        drawn: ChannelDraws,
        draws: ChannelDraws,
        field: torch.Tensor,
        heard: torch.Tensor,
    ) -> Windows:
        n_frames = windows.shape[3]
        power = (windows * LOG_OF_DB).exp_()
        first, second = drawn.offsets[0].tolist()
        if self.reverb:
            some = _numbers(drawn.decay > 0, power.device)
            power[some] = reverberate(power[some], draws.decay[some], draws.tail[some])
        if self.noise:
            level = power.mean((1, 2, 3)) * draws.noise * (n_frames / heard)
            add_noise(power, level, draws.noise_gains, field[:, first : first + n_frames])
        if self.distortion:
            flicker = field[:, second : second + n_frames] * power.mean(2, keepdim=True)
            add_noise(power, draws.distortion, draws.distortion_gains, flicker)
        if self.babble:
            some = _numbers(drawn.babble > 0, power.device)
            power[some] = with_babble(power, some, draws.babble[some])
        return power.clamp_(min=LEAST_POWER).log_().div_(LOG_OF_DB)


def _numbers(chosen: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the numbers of the chosen windows; found on the CPU, or a GPU would be waited for."""
    return chosen.nonzero()[:, 0].to(device)


def _ratio(db_below: torch.Tensor) -> torch.Tensor:
    return 10 ** (-db_below / 10)

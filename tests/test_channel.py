"""The laws of imitated recordings."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from channels import LOUD, QUIET, SWITCHES
from hypothesis import given
from hypothesis import strategies as st

from timbre.channel import LEAST_SECONDS, Channel, ChannelDraws
from timbre.imitations import (
    add_noise,
    crop,
    curve,
    limit_band,
    play,
    reverberate,
    with_babble,
)
from timbre.padding import silence_behind

N_MELS, N_FRAMES = 16, 24
FLOOR = -80.0
MEL_RANGE = (0.0, 11025.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 8, seed: int = 0) -> torch.Tensor:
    """Windows in dB whose loudest cell is 0."""
    windows = -80 * torch.rand(n, 1, N_MELS, N_FRAMES, generator=seeded(seed))
    return windows - windows.amax((1, 2, 3), keepdim=True)


def short_batch(lengths: list[int], seed: int = 0) -> torch.Tensor:
    """Windows of which `lengths` frames are heard, with silence behind."""
    return silence_behind(batch(len(lengths), seed), torch.tensor(lengths), FLOOR)


def changed(channel: Channel, windows: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = seeded(seed)
    draws = channel.draw(len(windows), N_MELS, N_FRAMES, generator)
    field = channel.draw_field(N_MELS, N_FRAMES, generator)
    return channel.apply(windows.clone(), draws, field)


def always(switch: str) -> Channel:
    changes: dict[str, Any] = {switch: 0.1 if switch == "speed" else 1.0}
    return replace(QUIET, **changes)


def test_a_quiet_channel_is_off_and_changes_nothing() -> None:
    assert QUIET.is_off()
    windows = batch().clamp(min=FLOOR)
    torch.testing.assert_close(changed(QUIET, windows), windows)


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_alone_changes_windows(switch: str) -> None:
    channel = always(switch)
    assert not channel.is_off()
    found = [changed(channel, batch(), seed) for seed in range(5)]
    assert not all(torch.equal(one, changed(QUIET, batch())) for one in found)


def test_weakened_to_nothing_it_is_off_and_to_all_it_is_the_same() -> None:
    assert LOUD.weakened(0.0).is_off()
    assert LOUD.weakened(1.0) == LOUD


@given(st.floats(0, 1))
def test_every_switch_is_weakened_by_the_same_factor(strength: float) -> None:
    weaker = LOUD.weakened(strength)
    assert [getattr(weaker, name) for name in SWITCHES] == [
        strength * getattr(LOUD, name) for name in SWITCHES
    ]
    rest = (weaker.floor_db, weaker.hop_seconds, weaker.mel_range)
    assert rest == (LOUD.floor_db, LOUD.hop_seconds, LOUD.mel_range)


@given(st.integers(0, 300))
def test_windows_stay_windows(seed: int) -> None:
    found = changed(LOUD, batch(seed=seed), seed)
    assert found.shape == (8, 1, N_MELS, N_FRAMES)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert found.amax((1, 2, 3)).tolist() == [0.0] * 8
    assert found.min() >= FLOOR


@given(st.integers(0, 300), st.lists(st.integers(1, N_FRAMES), min_size=1, max_size=8))
def test_silence_behind_a_clip_stays_silence(seed: int, lengths: list[int]) -> None:
    found = changed(replace(LOUD, speed=0), short_batch(lengths, seed), seed)
    assert torch.equal(silence_behind(found.clone(), torch.tensor(lengths), FLOOR), found)
    assert found.amax((1, 2, 3)).tolist() == [0.0] * len(lengths)


@given(st.integers(0, 300), st.lists(st.integers(1, N_FRAMES), min_size=1, max_size=8))
def test_a_crop_is_a_piece_of_what_is_heard_and_not_too_short_to_be_a_clip(
    seed: int, lengths: list[int]
) -> None:
    windows = short_batch(lengths, seed)
    drawn = always("crop").draw(len(lengths), N_MELS, N_FRAMES, seeded(seed))
    found = always("crop").apply(windows.clone(), drawn, torch.ones(N_MELS, 4 * N_FRAMES))
    least = round(LEAST_SECONDS / QUIET.hop_seconds)
    for own, before, heard, share in zip(found, windows, lengths, drawn.kept, strict=True):
        kept = max(int(share * heard), min(heard, least))
        assert (own[..., kept:] == FLOOR).all()
        pieces = [before[..., start : start + kept] for start in range(heard - kept + 1)]
        assert any(torch.allclose(own[..., :kept], one - one.max(), atol=1e-4) for one in pieces)


@pytest.mark.parametrize("heard", [1, 6, N_FRAMES])
def test_noise_is_measured_against_the_clip_and_not_against_the_silence_behind(heard: int) -> None:
    windows = torch.zeros(1, 1, N_MELS, N_FRAMES)
    windows[:, :, N_MELS // 2 :] = FLOOR  # so that the mean power is 1/2
    silence_behind(windows, torch.tensor([heard]), FLOOR)
    drawn = always("noise").draw(1, N_MELS, N_FRAMES, seeded())
    drawn = replace(drawn, noise=torch.tensor([0.2]), noise_gains=torch.zeros(1, 6))
    found = always("noise").apply(windows, drawn, torch.ones(N_MELS, 4 * N_FRAMES))
    assert (found[0, 0, : N_MELS // 2, :heard] == 0).all()
    quiet = found[0, 0, N_MELS // 2 :, :heard]
    torch.testing.assert_close(quiet, torch.full_like(quiet, 10 * math.log10(0.1 / 1.1)))


@given(st.sampled_from([-200.0, -80.0, 0.0]))
def test_a_window_of_one_level_breaks_nothing(level: float) -> None:
    windows = torch.full((8, 1, N_MELS, N_FRAMES), level)
    assert torch.isfinite(changed(LOUD, windows)).all()


def test_a_seed_means_the_same_changes_and_another_seed_others() -> None:
    assert torch.equal(changed(LOUD, batch(), 5), changed(LOUD, batch(), 5))
    assert not torch.equal(changed(LOUD, batch(), 5), changed(LOUD, batch(), 6))


def test_the_field_has_the_mean_power_one_and_flickers_less_in_high_bands() -> None:
    field = LOUD.draw_field(64, 2000, seeded())
    assert field.mean() == pytest.approx(1, abs=0.01)
    deviations = field.std(dim=1)
    assert deviations[0] == pytest.approx(1, abs=0.05)
    assert deviations[-1] == pytest.approx(0.4, abs=0.05)


def test_draws_of_some_windows_are_theirs() -> None:
    draws = LOUD.draw(10, N_MELS, N_FRAMES, seeded())
    for field in fields(ChannelDraws):
        part, whole = (getattr(d, field.name) for d in (draws.of(slice(3, 7)), draws))
        assert torch.equal(part, whole[3:7])
    moved = draws.to(torch.device("meta"))
    assert {getattr(moved, field.name).device.type for field in fields(moved)} == {"meta"}


def test_draws_are_as_frequent_as_asked() -> None:
    draws = LOUD.draw(20_000, N_MELS, N_FRAMES, seeded())
    shares = {
        "noise": (draws.noise > 0).float().mean(),
        "babble": (draws.babble > 0).float().mean(),
        "reverb": (draws.decay > 0).float().mean(),
        "distortion": (draws.distortion > 0).float().mean(),
        "gate": draws.gate.isfinite().float().mean(),
        "band_limit": (draws.high < N_MELS).float().mean(),
        "crop": (draws.kept < 1).float().mean(),
        "raise_floor": (draws.floor > FLOOR).float().mean(),
    }
    for switch, share in shares.items():
        assert share == pytest.approx(getattr(LOUD, switch), abs=0.02), switch
    assert ((draws.start >= 0) & (draws.start < 1)).all()
    assert (draws.low < draws.high).all()


def test_a_curve_goes_straight_through_its_knots() -> None:
    knots = torch.tensor([[0.0, 10.0, 0.0]])
    assert curve(knots, 5)[0, 0, :, 0].tolist() == [0.0, 5.0, 10.0, 5.0, 0.0]


def test_equalising_adds_the_same_to_each_moment() -> None:
    found = changed(always("equalise_db"), batch().clamp(min=-30))
    difference = found - batch().clamp(min=-30)
    torch.testing.assert_close(difference, difference[..., :1].expand_as(difference))


def test_cropping_keeps_a_piece_and_moves_it_to_the_beginning() -> None:
    windows = batch(2)
    found = crop(windows, torch.tensor([3, 0]), torch.tensor([4, N_FRAMES]), FLOOR)
    assert torch.equal(found[0, ..., :4], windows[0, ..., 3:7])
    assert (found[0, ..., 4:] == FLOOR).all()
    assert torch.equal(found[1], windows[1])


def test_reverberation_is_the_decaying_sum_of_what_was_before() -> None:
    power = torch.rand(2, 1, 3, 10, generator=seeded())
    decay, tail = torch.tensor([0.5, 0.8]), torch.tensor([1.0, 0.25])
    expected = power.clone()
    for n, (share, energy) in enumerate(zip(decay.tolist(), tail.tolist(), strict=True)):
        scale = energy * (1 - share) / share
        for frame in range(10):
            for back in range(1, frame + 1):
                expected[n, ..., frame] += scale * share**back * power[n, ..., frame - back]
    torch.testing.assert_close(reverberate(power, decay, tail), expected)


def test_an_impulse_gets_the_energy_of_reverberation_that_was_asked_for() -> None:
    impulse = torch.zeros(1, 1, 1, 512)
    impulse[..., 0] = 1.0
    found = reverberate(impulse, torch.tensor([0.9]), torch.tensor([0.3]))
    assert float(found[..., 1:].sum()) == pytest.approx(0.3, rel=1e-4)


def test_noise_has_the_power_asked_for_whatever_its_colour() -> None:
    power = torch.ones(1, 1, N_MELS, N_FRAMES)
    gains = torch.tensor([[9.0, -3.0, 0.0, 4.0, 1.0, -8.0]])
    add_noise(power, torch.tensor([0.25]), gains, torch.ones(N_MELS, N_FRAMES))
    assert float(power.mean()) == pytest.approx(1.25, rel=1e-5)


def test_babble_is_other_windows_at_the_power_asked_for() -> None:
    power = torch.rand(5, 1, N_MELS, N_FRAMES, generator=seeded())
    some, level = torch.tensor([0, 2]), torch.tensor([0.1, 1.0])
    others = with_babble(power, some, level) - power[some]
    torch.testing.assert_close(others.mean((1, 2, 3)) / power[some].mean((1, 2, 3)), level)
    before = torch.stack([power[2] + power[3] + power[4], power[0] + power[1] + power[4]])
    torch.testing.assert_close(
        others / others.mean((1, 2, 3), keepdim=True), before / before.mean((1, 2, 3), keepdim=True)
    )


def test_a_band_limit_leaves_what_lies_inside() -> None:
    found = torch.zeros(2, 1, N_MELS, N_FRAMES)
    limit_band(found, torch.tensor([0.0, 4.0]), torch.tensor([16.0, 10.0]))
    assert (found[0] == 0).all()
    assert (found[1, :, 4:11] == 0).all()
    assert found[1, 0, 3, 0] == -1024 / N_MELS
    assert (found[1, 0, 1:4, 0] > found[1, 0, :3, 0]).all()


def test_playing_faster_is_shorter_and_higher() -> None:
    windows = torch.full((1, 1, 64, 100), FLOOR)
    windows[0, 0, 20, 30:60] = 0.0
    found = play(windows, 1.25, MEL_RANGE, FLOOR)[0, 0]
    assert found.shape == (64, 100)
    loud = found > -20
    frames = loud.any(dim=0).nonzero()[:, 0]
    assert frames.min() == pytest.approx(24, abs=1)
    assert frames.max() == pytest.approx(47, abs=1)
    assert loud.any(dim=1).nonzero().min() > 20
    assert (found[:, 81:] == FLOOR).all()


def test_playing_at_the_same_speed_changes_nothing() -> None:
    assert torch.equal(play(batch(), 1.0, MEL_RANGE, FLOOR), batch())


def test_a_gate_drops_what_is_weak_beside_its_frame() -> None:
    windows = batch()
    found = changed(always("gate"), windows)
    dropped = found == FLOOR
    assert dropped.any()
    loudest = windows.amax(2, keepdim=True).expand_as(windows)
    assert (loudest - windows)[dropped & (windows > FLOOR + 1)].min() > 19


def test_nothing_is_lost_to_infinity() -> None:
    draws = QUIET.draw(4, N_MELS, N_FRAMES, seeded())
    assert draws.gate.tolist() == [math.inf] * 4
    assert draws.speed.tolist() == [1.0] * 4

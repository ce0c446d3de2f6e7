import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from channels import LOUD, QUIET
from hypothesis import given
from hypothesis import strategies as st

from timbre.augmentation import Augmentation, Draws, draw_runs, mix, shift_frames, silence
from timbre.schedule import learning_rate

FLOOR = -80.0
OUT = 99.0  # a level that no window has
N_MELS, N_FRAMES = 12, 20
ALL = Augmentation(
    QUIET, n_masks=2, mask_bands=4, mask_frames=6, shift_frames=3, mixup=0.3, floor_db=OUT
)
OFF = Augmentation(
    QUIET, n_masks=2, mask_bands=0, mask_frames=0, shift_frames=0, mixup=0.0, floor_db=OUT
)
NO_FIELD = torch.ones(())
SWITCHES = ("mask_bands", "mask_frames", "shift_frames", "mixup")


def batch(n: int = 4, n_mels: int = N_MELS, n_frames: int = N_FRAMES) -> torch.Tensor:
    """Windows whose cells are all different."""
    return -torch.arange(n * n_mels * n_frames, dtype=torch.float32).reshape(n, 1, n_mels, n_frames)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(changes: Augmentation, n: int, seed: int = 0) -> Draws:
    return changes.draw(n, N_MELS, N_FRAMES, seeded(seed))


def tensors(draws: Draws) -> list[torch.Tensor]:
    return [getattr(draws, field.name) for field in fields(draws) if field.name != "channel"]


def equal(one: Draws, other: Draws) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def no_runs(n: int) -> torch.Tensor:
    return torch.zeros((n, 1, 2), dtype=torch.int64)


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(0, 30), st.integers(1, 20))
def test_runs_lie_within_and_are_no_longer_than_asked(
    seed: int, n_masks: int, longest: int, length: int
) -> None:
    runs = draw_runs(50, n_masks, longest, length, seeded(seed))
    assert runs.shape == (50, n_masks, 2)
    start, end = runs.unbind(dim=-1)
    assert (start >= 0).all()
    assert (end <= length).all()
    assert ((end - start >= 0) & (end - start <= longest)).all()


def test_runs_have_every_length_and_every_place() -> None:
    runs = draw_runs(20_000, 1, 3, 8, seeded())[:, 0].tolist()
    met = {(start, end) for start, end in runs}
    assert met == {(start, start + n) for n in range(4) for start in range(8 - n + 1)}
    lengths = np.bincount([end - start for start, end in runs], minlength=4)
    assert lengths.min() > 4700


def test_every_cell_is_masked_about_equally_often() -> None:
    start, end = draw_runs(20_000, 1, 3, 8, seeded())[:, 0].unbind(dim=-1)
    cell = torch.arange(8)[:, None]
    share = ((cell >= start) & (cell < end)).float().mean(dim=1)
    assert share[2:-2].std() < 0.01
    assert share.min() > 0.05


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 30))
def test_silence_falls_on_the_whole_runs_and_nowhere_else(
    seed: int, widest: int, longest: int
) -> None:
    generator = seeded(seed)
    bands = draw_runs(4, 2, widest, N_MELS, generator)
    frames = draw_runs(4, 2, longest, N_FRAMES, generator)
    expected = batch()
    for window, its_bands, its_frames in zip(
        expected, bands.tolist(), frames.tolist(), strict=True
    ):
        for start, end in its_bands:
            window[:, start:end, :] = OUT
        for start, end in its_frames:
            window[:, :, start:end] = OUT
    assert torch.equal(silence(batch(), bands, frames, OUT), expected)


@given(st.lists(st.integers(-25, 25), min_size=1, max_size=5))
def test_a_shift_moves_frames_and_lets_only_silence_in(shifts: list[int]) -> None:
    windows = batch(len(shifts))
    moved = shift_frames(windows, torch.tensor(shifts), OUT)
    for before, after, shift in zip(windows, moved, shifts, strict=True):
        kept = max(N_FRAMES - abs(shift), 0)
        expected = torch.full_like(before, OUT)
        if kept and shift >= 0:
            expected[..., shift:] = before[..., :kept]
        elif kept:
            expected[..., :kept] = before[..., -kept:]
        assert torch.equal(after, expected)


def test_shifts_go_both_ways_as_far_as_asked_and_no_farther() -> None:
    drawn = draw(replace(OFF, shift_frames=3), 5000).shifts
    counts = torch.bincount(drawn + 3)
    assert len(counts) == 7
    assert counts.min() > 600


def test_mixing_blends_windows_and_targets_with_the_one_before_by_one_weight() -> None:
    targets = torch.eye(4)
    weights = torch.tensor([0.25, 1.0, 0.5, 0.0])
    mixed, wanted = mix(batch(), targets, weights)
    assert wanted.tolist() == [
        [0.25, 0, 0, 0.75],
        [0, 1, 0, 0],
        [0, 0.5, 0.5, 0],
        [0, 0, 1, 0],
    ]
    torch.testing.assert_close(mixed, torch.einsum("ij,jchw->ichw", wanted, batch()))


@given(st.integers(0, 1000), st.integers(1, 9), st.floats(0.05, 5))
def test_mixtures_are_convex_and_keep_sums_of_targets(seed: int, n: int, alpha: float) -> None:
    weights = draw(replace(OFF, mixup=alpha), n, seed).weights
    assert ((weights >= 0) & (weights <= 1)).all()
    windows, targets = batch(n), torch.eye(5)[torch.arange(n) % 5]
    mixed, wanted = mix(windows, targets, weights)
    torch.testing.assert_close(wanted.sum(dim=1), torch.ones(n))
    low = torch.minimum(windows, windows.roll(1, 0))
    high = torch.maximum(windows, windows.roll(1, 0))
    slack = 1e-4 * windows.abs().max()
    assert ((mixed >= low - slack) & (mixed <= high + slack)).all()


def test_weights_follow_the_beta_distribution() -> None:
    weights = draw(replace(OFF, mixup=0.4), 20_000).weights.double()
    assert float(weights.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(weights.var()) == pytest.approx(0.25 / (2 * 0.4 + 1), rel=0.02)


def test_a_single_window_mixed_is_itself() -> None:
    mixed, wanted = mix(batch(1), torch.eye(1), torch.tensor([0.3]))
    torch.testing.assert_close(mixed, batch(1))
    assert wanted.tolist() == [[1.0]]


def test_off_means_untouched() -> None:
    windows, targets = OFF.apply(batch(), torch.eye(4), draw(OFF, 4, seed=5), NO_FIELD)
    assert torch.equal(windows, batch())
    assert torch.equal(targets, torch.eye(4))


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_alone_changes_windows_and_mixup_alone_the_targets(switch: str) -> None:
    changes = replace(OFF, **{switch: getattr(ALL, switch)})
    windows, targets = changes.apply(batch(), torch.eye(4), draw(changes, 4), NO_FIELD)
    assert not torch.equal(windows, batch())
    assert torch.equal(targets, torch.eye(4)) == (switch != "mixup")
    assert windows.dtype == torch.float32
    assert windows.shape == batch().shape


@given(st.integers(0, 1000))
def test_the_changes_come_in_the_order_shift_silence_mix(seed: int) -> None:
    draws = draw(ALL, 4, seed)
    shifted = shift_frames(batch(), draws.shifts, OUT)
    expected = mix(silence(shifted, draws.bands, draws.frames, OUT), torch.eye(4), draws.weights)
    found = ALL.apply(batch(), torch.eye(4), draws, NO_FIELD)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_seed_means_the_same_draws_and_another_seed_others() -> None:
    assert equal(draw(ALL, 100, seed=5), draw(ALL, 100, seed=5))
    for one, other in zip(tensors(draw(ALL, 100, 5)), tensors(draw(ALL, 100, 6)), strict=True):
        assert not torch.equal(one, other)


@pytest.mark.parametrize("switch", SWITCHES)
def test_one_switch_does_not_move_the_draws_of_another(switch: str) -> None:
    off: dict[str, Any] = {switch: 0}
    one, other = draw(ALL, 50), draw(replace(ALL, **off), 50)
    own = {
        "mask_bands": "bands",
        "mask_frames": "frames",
        "shift_frames": "shifts",
        "mixup": "weights",
    }[switch]
    for field in fields(Draws)[1:]:
        same = torch.equal(getattr(one, field.name), getattr(other, field.name))
        assert same == (field.name != own), field.name


@given(st.integers(0, 1000), st.integers(1, 12))
def test_draws_and_changes_do_not_depend_on_the_batch_size(seed: int, size: int) -> None:
    n = 11
    changes = replace(ALL, mixup=0.0)
    draws = draw(changes, n, seed)
    at_once, _ = changes.apply(batch(n), torch.eye(n), draws, NO_FIELD)
    pieces = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    by_batch = [
        changes.apply(batch(n)[piece], torch.eye(n)[piece], draws.of(piece), NO_FIELD)[0]
        for piece in pieces
    ]
    assert torch.equal(torch.cat(by_batch), at_once)


def test_draws_of_some_windows_are_theirs() -> None:
    draws = draw(ALL, 10)
    for part, whole in zip(tensors(draws.of(slice(3, 7))), tensors(draws), strict=True):
        assert torch.equal(part, whole[3:7])


def test_recordings_are_imitated_before_anything_is_masked() -> None:
    changes = replace(ALL, channel=LOUD, mixup=0.0)
    generator = seeded()
    draws = changes.draw(4, N_MELS, N_FRAMES, generator)
    field = LOUD.draw_field(N_MELS, N_FRAMES, generator)
    assert draws.channel is not None
    heard = LOUD.apply(batch(), draws.channel, field)
    shifted = shift_frames(heard, draws.shifts, OUT)
    found, _ = changes.apply(batch(), torch.eye(4), draws, field)
    assert torch.equal(found, silence(shifted, draws.bands, draws.frames, OUT))
    part = draws.of(slice(1, 3)).channel
    assert part is not None
    assert torch.equal(part.noise, draws.channel.noise[1:3])


def test_no_draw_touches_a_generator_of_the_whole_process() -> None:
    before = global_states()
    ALL.apply(batch(50), torch.eye(50), draw(ALL, 50), NO_FIELD)
    assert global_states() == before


def global_states() -> tuple[bytes, str]:
    of_numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 (looked at, not used)
    return torch.get_rng_state().numpy().tobytes(), f"{of_numpy['pos']} {of_numpy['key'].tolist()}"


def test_one_generator_gives_epoch_after_epoch_other_draws() -> None:
    generator = seeded()
    one, other = (ALL.draw(100, N_MELS, N_FRAMES, generator) for _ in range(2))
    assert not equal(one, other)


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    rates = [learning_rate(p, 2.0, "cosine", 0.2) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0, 1, 2, 1, 0])


def test_a_constant_rate_is_constant_after_the_warmup() -> None:
    assert [learning_rate(p, 3.0, "constant", 0.5) for p in (0.25, 0.5, 1.0)] == [1.5, 3.0, 3.0]


@given(st.floats(0, 1), st.floats(0, 0.9))
def test_the_rate_never_exceeds_its_peak(progress: float, warmup: float) -> None:
    rate = learning_rate(progress, 1e-3, "cosine", warmup)
    assert 0 <= rate <= 1e-3 + 1e-12
    assert math.isfinite(rate)

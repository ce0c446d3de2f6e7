import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timbre.augmentation import Augmentation, draw_runs, shift_frames
from timbre.schedule import learning_rate

FLOOR = -80.0


def batch(n: int = 4, n_mels: int = 12, n_frames: int = 20) -> torch.Tensor:
    return -torch.arange(n * n_mels * n_frames, dtype=torch.float32).reshape(n, 1, n_mels, n_frames)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def longest_run(flags: list[bool]) -> int:
    text = "".join("x" if flag else " " for flag in flags)
    return max((len(run) for run in text.split()), default=0)


def changes(**amounts: float) -> Augmentation:
    off = {"n_masks": 1, "mask_bands": 0, "mask_frames": 0, "shift_frames": 0, "mixup": 0.0}
    return Augmentation(**(off | amounts), floor_db=FLOOR * 100)  # type: ignore[arg-type]


def applied(change: Augmentation, windows: torch.Tensor, seed: int) -> torch.Tensor:
    draws = change.draw(len(windows), *windows.shape[2:], seeded(seed))
    return change.apply(windows.clone(), torch.eye(len(windows)), draws)[0]


@given(st.integers(0, 1000), st.integers(1, 30))
def test_masked_bands_are_whole_and_no_wider_than_allowed(seed: int, widest: int) -> None:
    masked = applied(changes(mask_bands=widest), batch(), seed)
    hit = masked == FLOOR * 100
    assert torch.equal(hit.any(dim=3), hit.all(dim=3))
    assert all(longest_run(row.tolist()) <= widest for row in hit.all(dim=3)[:, 0])
    assert torch.equal(masked[~hit], batch()[~hit])


@given(st.integers(0, 1000), st.integers(1, 30))
def test_masked_frames_are_whole_and_no_longer_than_allowed(seed: int, longest: int) -> None:
    masked = applied(changes(mask_frames=longest), batch(), seed)
    hit = masked == FLOOR * 100
    assert torch.equal(hit.any(dim=2), hit.all(dim=2))
    assert all(longest_run(row.tolist()) <= longest for row in hit.all(dim=2)[:, 0])
    assert torch.equal(masked[~hit], batch()[~hit])


@given(st.integers(0, 1000), st.integers(0, 4), st.integers(0, 30), st.integers(1, 20))
def test_runs_lie_within_the_window(seed: int, n_masks: int, longest: int, length: int) -> None:
    runs = draw_runs(5, n_masks, longest, length, seeded(seed))
    assert runs.shape == (5, n_masks, 2)
    start, end = runs.unbind(-1)
    assert (start >= 0).all()
    assert (end <= length).all()
    assert ((end - start >= 0) & (end - start <= longest)).all()


def test_every_band_is_masked_about_equally_often() -> None:
    ones = torch.ones(20_000, 1, 8, 1)
    share = (applied(changes(mask_bands=3), ones, 0) != 1).float().mean(dim=(0, 1, 3))
    assert share[2:-2].std() < 0.01
    assert share.min() > 0.05


@given(st.integers(0, 1000), st.integers(0, 25))
def test_a_shift_moves_frames_and_lets_silence_in(seed: int, farthest: int) -> None:
    frames = batch(1)
    moved = applied(changes(shift_frames=farthest), frames, seed)
    kept = [column for column in moved[0, 0].T.tolist() if column[0] != FLOOR * 100]
    original = frames[0, 0].T.tolist()
    assert len(original) - len(kept) <= farthest
    assert kept in (original[: len(kept)], original[len(original) - len(kept) :])


def test_a_positive_shift_goes_to_later_frames() -> None:
    windows = torch.tensor([[[[1.0, 2.0, 3.0]]], [[[1.0, 2.0, 3.0]]]])
    moved = shift_frames(windows, torch.tensor([1, -2]), 0.0)
    assert moved[:, 0, 0].tolist() == [[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]


def test_windows_of_a_batch_are_shifted_by_their_own_amounts() -> None:
    same = batch(1).expand(50, -1, -1, -1)
    moved = applied(changes(shift_frames=5), same, 0)
    assert len({float(first) for first in moved[:, 0, 0, 10]}) > 5


def test_mixing_keeps_probabilities_and_blends_by_the_same_weights() -> None:
    change = changes(mixup=0.4)
    draws = change.draw(4, 12, 20, seeded(3))
    mixed, wanted = change.apply(batch(), torch.eye(4), draws)
    torch.testing.assert_close(wanted.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(mixed, torch.einsum("ij,jchw->ichw", wanted, batch()))
    assert 0 < draws.weights.min() < draws.weights.max() < 1


@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_size_of_the_batches_decides_nothing(seed: int, size: int) -> None:
    change = changes(n_masks=2, mask_bands=4, mask_frames=6, shift_frames=3)
    windows = batch(9)
    draws = change.draw(9, 12, 20, seeded(seed))
    whole, _ = change.apply(windows.clone(), torch.eye(9), draws)
    parts = [
        change.apply(windows[own].clone(), torch.eye(9)[own], draws.of(own))[0]
        for own in (slice(start, start + size) for start in range(0, 9, size))
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_a_seed_means_the_same_and_off_means_untouched() -> None:
    everything = changes(n_masks=2, mask_bands=4, mask_frames=6, shift_frames=3, mixup=0.3)
    assert torch.equal(applied(everything, batch(), 5), applied(everything, batch(), 5))
    assert not torch.equal(applied(everything, batch(), 5), applied(everything, batch(), 6))
    assert torch.equal(applied(changes(), batch(), 5), batch())


def test_drawing_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    changes(mask_bands=4, shift_frames=3, mixup=0.3).draw(9, 12, 20, seeded())
    assert torch.equal(torch.rand(3), expected)


def test_draws_go_to_a_device_whole() -> None:
    draws = changes(mask_bands=4, mixup=0.3).draw(9, 12, 20, seeded())
    moved = draws.to(torch.device("meta"))
    assert {moved.shifts.device.type, moved.bands.device.type, moved.weights.device.type} == {
        "meta"
    }


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

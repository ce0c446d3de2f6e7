import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timbre.augmentation import Augmentation, mask_bands, mask_frames, mix, shift_frames
from timbre.schedule import learning_rate

FLOOR = -80.0


def batch(n: int = 4, n_mels: int = 12, n_frames: int = 20) -> torch.Tensor:
    return -torch.arange(n * n_mels * n_frames, dtype=torch.float32).reshape(n, 1, n_mels, n_frames)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def longest_run(flags: list[bool]) -> int:
    text = "".join("x" if flag else " " for flag in flags)
    return max((len(run) for run in text.split()), default=0)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_masked_bands_are_whole_and_no_wider_than_allowed(seed: int, widest: int) -> None:
    masked = mask_bands(batch(), 1, widest, 99.0, seeded(seed))
    hit = masked == 99.0
    assert torch.equal(hit.any(dim=3), hit.all(dim=3))
    assert all(longest_run(row.tolist()) <= widest for row in hit.all(dim=3)[:, 0])
    assert torch.equal(masked[~hit], batch()[~hit])


@given(st.integers(0, 1000), st.integers(1, 30))
def test_masked_frames_are_whole_and_no_longer_than_allowed(seed: int, longest: int) -> None:
    masked = mask_frames(batch(), 1, longest, 99.0, seeded(seed))
    hit = masked == 99.0
    assert torch.equal(hit.any(dim=2), hit.all(dim=2))
    assert all(longest_run(row.tolist()) <= longest for row in hit.all(dim=2)[:, 0])


def test_every_band_is_masked_about_equally_often() -> None:
    ones = torch.ones(20_000, 1, 8, 1)
    share = (mask_bands(ones, 1, 3, 0.0, seeded()) == 0).float().mean(dim=(0, 1, 3))
    assert share[2:-2].std() < 0.01
    assert share.min() > 0.05


@given(st.integers(0, 1000), st.integers(0, 25))
def test_a_shift_moves_frames_and_lets_silence_in(seed: int, farthest: int) -> None:
    frames = batch(1)
    moved = shift_frames(frames, farthest, FLOOR * 100, seeded(seed))
    kept = [column for column in moved[0, 0].T.tolist() if column[0] != FLOOR * 100]
    original = frames[0, 0].T.tolist()
    assert len(original) - len(kept) <= farthest
    assert kept in (original[: len(kept)], original[len(original) - len(kept) :])


def test_windows_of_a_batch_are_shifted_by_their_own_amounts() -> None:
    same = batch(1).expand(50, -1, -1, -1)
    moved = shift_frames(same, 5, FLOOR, seeded())
    assert len({float(first) for first in moved[:, 0, 0, 10]}) > 5


def test_mixing_keeps_probabilities_and_blends_by_one_weight() -> None:
    targets = torch.eye(4)
    mixed, wanted = mix(batch(), targets, 0.4, seeded(3))
    torch.testing.assert_close(wanted.sum(dim=1), torch.ones(4))
    blended = torch.einsum("ij,jchw->ichw", wanted, batch())
    torch.testing.assert_close(mixed, blended)


def test_a_seed_means_the_same_and_off_means_untouched() -> None:
    changes = Augmentation(2, 4, 6, 3, 0.3, FLOOR)
    one = changes(batch(), torch.eye(4), seeded(5))
    other = changes(batch(), torch.eye(4), seeded(5))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    off = Augmentation(2, 0, 0, 0, 0.0, FLOOR)
    same, targets = off(batch(), torch.eye(4), seeded(5))
    assert torch.equal(same, batch())
    assert torch.equal(targets, torch.eye(4))


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

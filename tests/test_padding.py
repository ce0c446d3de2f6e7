"""What is the clip, and what the silence behind it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from timbre.padding import heard_frames, silence_behind

N_MELS, N_FRAMES = 4, 12
FLOOR = -80.0


def noise(n: int) -> torch.Tensor:
    """Windows above the floor in every cell."""
    return -70 * torch.rand(n, 1, N_MELS, N_FRAMES, generator=torch.Generator().manual_seed(n))


@given(st.lists(st.integers(1, N_FRAMES), min_size=1, max_size=6))
def test_what_was_silenced_is_found_again(lengths: list[int]) -> None:
    windows = silence_behind(noise(len(lengths)), torch.tensor(lengths), FLOOR)
    assert heard_frames(windows).tolist() == lengths


def test_it_ends_with_the_last_frame_above_silence_whatever_is_silent_before() -> None:
    windows = torch.full((4, 1, N_MELS, N_FRAMES), FLOOR)
    windows[0, 0, 3, 5] = windows[0, 0, 0, 9] = FLOOR + 1
    windows[1, 0, 0, N_FRAMES - 1] = 0.0
    windows[2, 0, 0, 7] += 0.01  # a hair above it, as interpolation leaves it
    assert heard_frames(windows).tolist() == [10, N_FRAMES, 1, 1]


def test_silence_lies_behind_what_is_heard_and_nowhere_else() -> None:
    found = silence_behind(noise(2), torch.tensor([3, N_FRAMES]), FLOOR)
    assert torch.equal(found[0, ..., :3], noise(2)[0, ..., :3])
    assert (found[0, ..., 3:] == FLOOR).all()
    assert torch.equal(found[1], noise(2)[1])

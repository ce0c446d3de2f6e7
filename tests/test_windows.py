import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from timbre.windows import cut, window_starts


def test_a_short_clip_gives_one_window() -> None:
    assert window_starts(3, window=5, hop=2) == [0]
    assert window_starts(5, window=5, hop=2) == [0]


def test_the_last_window_ends_with_the_clip() -> None:
    assert window_starts(10, window=5, hop=2) == [0, 2, 4, 5]
    assert window_starts(9, window=5, hop=2) == [0, 2, 4]


@given(st.integers(1, 500), st.integers(1, 60), st.data())
def test_every_sample_is_heard_and_no_window_twice(
    n: int, window: int, data: st.DataObject
) -> None:
    hop = data.draw(st.integers(1, window))
    starts = window_starts(n, window, hop)
    heard = {sample for start in starts for sample in range(start, min(start + window, n))}
    assert heard == set(range(n))
    assert starts == sorted(set(starts))
    assert all(start + window <= n for start in starts) or starts == [0]


def test_a_short_clip_is_padded_with_silence() -> None:
    pieces = cut(np.array([1, 2, 3], np.float32), [0], 5)
    assert pieces.tolist() == [[1, 2, 3, 0, 0]]


def test_windows_are_the_clips_own_samples() -> None:
    waveform = np.arange(10, dtype=np.float32)
    assert cut(waveform, [0, 5], 5).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from timbre.windows import Windowing, cut, stream_windows, window_starts


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


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 90), st.booleans())
def test_windows_are_the_waveform_itself_and_silence_behind_it(
    n: int, window: int, hop: int, keep_all: bool
) -> None:
    waveform = np.arange(1, n + 1, dtype=np.float32)
    starts = Windowing(window / 10, hop / 10, keep_all).starts(n, 10)
    assert starts == (window_starts(n, window, hop) if keep_all else [0])
    pieces = cut(waveform, starts, window)
    assert pieces.shape == (len(starts), window)
    padded = np.concatenate([waveform, np.zeros(window, np.float32)])
    for piece, start in zip(pieces, starts, strict=True):
        assert piece.tolist() == padded[start : start + window].tolist()


def test_a_short_clip_is_padded_with_silence() -> None:
    pieces = cut(np.array([1, 2, 3], np.float32), [0], 5)
    assert pieces.tolist() == [[1, 2, 3, 0, 0]]


def test_windows_are_the_clips_own_samples() -> None:
    waveform = np.arange(10, dtype=np.float32)
    assert cut(waveform, [0, 5], 5).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@given(st.integers(1, 60), st.lists(st.integers(0, 50), min_size=1, max_size=20), st.data())
def test_windows_of_a_stream_are_those_of_the_whole_whatever_its_pieces_are(
    window: int, lengths: list[int], data: st.DataObject
) -> None:
    hop = data.draw(st.integers(1, window))
    waveform = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    pieces = np.split(waveform, np.cumsum(lengths)[:-1])
    heard = np.stack(list(stream_windows(pieces, window, hop)))
    expected = cut(waveform, window_starts(len(waveform), window, hop), window)
    assert heard.tolist() == expected.tolist()

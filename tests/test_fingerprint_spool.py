"""Fingerprints on disk are what they were, in the order of their clips."""

import errno

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from timbre.fingerprint_spool import BATCH, Spool
from timbre.problems import InputError
from timbre.subfingerprints import N_BITS, Fingerprints

N_WORDS = 9


def made(n_windows: int, seed: int) -> Fingerprints:
    rng = np.random.default_rng(seed)
    return Fingerprints(
        rng.integers(0, 1 << N_BITS, (n_windows, N_WORDS)).astype(np.uint32),
        rng.integers(0, 2, (n_windows, N_WORDS)).astype(bool),
        rng.normal(0, 3, (n_windows, N_WORDS, N_BITS)),
    )


@given(st.dictionaries(st.integers(0, 500), st.integers(1, 3), min_size=1, max_size=90))
@settings(max_examples=15)
def test_what_is_added_is_read_back_by_clip_however_often(sizes: dict[int, int]) -> None:
    clips = {clip: made(n_windows, clip) for clip, n_windows in sizes.items()}
    with Spool() as spool:
        for clip, found in clips.items():
            spool.add(clip, found)
        for _ in range(2):
            parts = list(spool.parts())
            assert all(len(part.words) <= BATCH for part in parts)
            numbers = [number for number in sorted(clips) for _ in range(sizes[number])]
            assert spool.clips() == numbers
            for name in ("words", "audible"):
                kept = np.concatenate([getattr(part, name) for part in parts])
                added = np.concatenate([getattr(clips[clip], name) for clip in sorted(clips)])
                assert_array_equal(kept, added)
            changes = np.concatenate([part.changes for part in parts])
            expected = np.concatenate([clips[clip].changes for clip in sorted(clips)])
            assert_allclose(changes, expected, rtol=1e-3, atol=1e-4)


def test_an_empty_spool_holds_nothing() -> None:
    with Spool() as spool:
        assert (spool.clips(), list(spool.parts())) == ([], [])


def test_a_full_disk_is_one_line_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, _: int) -> None: ...

        def close(self) -> None: ...

        def write(self, _: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with Spool() as spool:
        spool._file.close()
        monkeypatch.setattr(spool, "_file", Full())
        with pytest.raises(InputError, match="make room, or let TMPDIR name a folder on another"):
            spool.add(0, made(1, 0))

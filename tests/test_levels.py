import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.levels import STEPS, change_level, clip_peaks


@given(st.floats(-60, 0), st.integers(1, 500))
def test_without_clipping_a_level_is_changed_to_half_a_step_of_16_bits(
    gain: float, n_samples: int
) -> None:
    clip = np.random.default_rng(n_samples).uniform(-0.99, 0.99, n_samples).astype(np.float32)
    stored = change_level(clip, gain)
    assert stored == pytest.approx(clip * 10 ** (gain / 20), abs=0.51 / STEPS)
    assert np.array_equal(stored * STEPS, np.rint(stored * STEPS))
    assert stored.dtype == np.float32


def test_what_would_be_louder_than_full_scale_is_clipped() -> None:
    clip = np.array([0.3, 0.6, -0.6, -0.1], np.float32)
    stored = change_level(clip, 20 * np.log10(2))
    assert stored == pytest.approx([0.6, 1 - 1 / STEPS, -1, -0.2], abs=1 / STEPS)


@given(st.floats(0, 60), st.floats(1e-3, 1))
def test_peaks_end_at_the_depth_below_the_loudest(depth: float, size: float) -> None:
    clip = (size * np.sin(np.arange(200))).astype(np.float32)
    clipped = clip_peaks(clip, depth)
    loudest = np.abs(clip).max()
    assert np.abs(clipped).max() == pytest.approx(loudest * 10 ** (-depth / 20), rel=1e-5)
    below = np.abs(clip) < np.abs(clipped).max()
    assert np.array_equal(clipped[below], clip[below])
    # However loud the clip is, the same share of its samples is cut off.
    assert clip_peaks(4 * clip, depth) == pytest.approx(4 * clipped, rel=1e-5)


def test_silence_and_nothing_stay() -> None:
    for n_samples in (0, 3):
        silence = np.zeros(n_samples, np.float32)
        assert np.array_equal(clip_peaks(silence, 10), silence)
        assert np.array_equal(change_level(silence, 6), silence)

"""How long a window is, how far apart its spectra are, how high it hears, where the clips decide.

Apart from what computes spectrograms: shards record these numbers, so that another rule here leaves
valid what was computed with the same ones.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

# s. In whole seconds, since another length means that all is extracted anew: one more clip seldom
# changes it. The notebook's windows have 5.
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 5.0
NEARLY_ALL = 0.99  # of the clips fit into a window, and end below its highest band
# A window has 256 spectra if they are no closer than speech recognition has them, and no further
# apart than in the notebook's 5 s.
N_SPECTRA, CLOSEST_SECONDS, FURTHEST_SECONDS = 256, 0.010, 0.0196
LOWEST_FMAX = 4000.0  # Hz; 128 bands that end lower would be finer than spectra of 2048 samples
HOP_STEP = 16  # samples: what n_fft and hop share, as large as an exported model's parts of sound


def fitting_seconds(lengths: npt.NDArray[np.floating[Any]]) -> float:
    """Return the length in s of a window that nearly all clips fit into, 5 s at most.

    `lengths` of the clips, `(n_clips,)`, are in s. Without clips it is the longest that it may be.
    """
    if not len(lengths):
        return LONGEST_SECONDS
    longest = np.quantile(lengths, NEARLY_ALL, method="inverted_cdf")
    return float(np.clip(np.ceil(longest), SHORTEST_SECONDS, LONGEST_SECONDS))


def fitting_hop(window_seconds: float, sample_rate: int) -> int:
    """Return how many samples lie between the spectra of a window, 10 to 20 ms."""
    seconds = min(max(window_seconds / (N_SPECTRA - 1), CLOSEST_SECONDS), FURTHEST_SECONDS)
    return HOP_STEP * max(1, round(seconds * sample_rate / HOP_STEP))


def fitting_fmax(sample_rates: npt.NDArray[np.integer[Any]], sample_rate: int) -> float:
    """Return the upper edge in Hz of the highest band, so that nearly no clip has sound above it.

    `sample_rates` of the clips, `(n_clips,)`, and the `sample_rate` that they are resampled to, in
    Hz. A band that training hears nothing in is one in which another recording is strange.
    """
    highest = sample_rate / 2
    if not len(sample_rates):
        return highest
    end = np.quantile(sample_rates, NEARLY_ALL, method="inverted_cdf") / 2
    return float(min(max(end, LOWEST_FMAX), highest))

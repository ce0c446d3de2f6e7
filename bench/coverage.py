"""How often a 95 % interval holds the truth: simulated corpora whose accuracy is known.

Groups are beta-binomial: each has an accuracy of its own, drawn so that two clips of a group agree
with a correlation of 0.15, as clips of one recording do. Group sizes are equal, or log-normal: with
a deviation of 0.5 a tenth of the groups are four times as large as another tenth, with 1.0 thirteen
times. The truth is the mean accuracy of all groups there could be.
"""

import numpy as np
import numpy.typing as npt

from bench.figures import Figure, value_figure
from bench.workshop import Workshop
from timbre.intervals import accuracy_interval

ACCURACIES = (0.6, 0.8, 0.9, 0.95, 0.98, 0.995)
N_GROUPS = (12, 20, 30, 60)
SIZES = {"equal groups": 0.0, "unequal groups": 0.5, "very unequal groups": 1.0}
N_CLIPS = 15  # in a group, on average
WITHIN = 0.15  # correlation of the clips of one group
REPLICATES = 1000
LEAST = 93.0  # % of the runs


def coverage(workshop: Workshop) -> list[Figure]:
    """Return a figure for each accuracy and kind of group; its values are those of N_GROUPS."""
    n_runs = workshop.size(2000, 20)
    figures = []
    for kind, spread in SIZES.items():
        for accuracy in ACCURACIES:
            held = [100 * share_held(accuracy, n, spread, n_runs) for n in N_GROUPS]
            name = f"95 % intervals that hold an accuracy of {accuracy:.1%}, {kind}"
            figures.append(value_figure(name, held, "%", target=LEAST, target_is="at least"))
    return figures


def share_held(accuracy: float, n_groups: int, spread: float, n_runs: int) -> float:
    """Return the share of simulated corpora whose interval holds their true accuracy."""
    rng = np.random.default_rng(n_groups)
    hits = 0
    for run in range(n_runs):
        correct, groups = corpus(accuracy, n_groups, spread, rng)
        low, high = accuracy_interval(correct, groups, seed=run, replicates=REPLICATES)
        hits += low <= accuracy <= high
    return hits / n_runs


def corpus(
    accuracy: float, n_groups: int, spread: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return which clips are right `(n_clips,)`, and the group of each."""
    # Less half the variance: the mean of a log-normal size is then N_CLIPS.
    sizes = N_CLIPS * np.exp(rng.normal(-(spread**2) / 2, spread, n_groups))
    groups = np.repeat(np.arange(n_groups), np.maximum(1, sizes.round()).astype(np.int64))
    strength = (1 - WITHIN) / WITHIN
    shares = rng.beta(accuracy * strength, (1 - accuracy) * strength, n_groups)
    return rng.random(len(groups)) < shares[groups], groups

"""What several folds and seeds say of one metric: mean, interval, spread."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Estimate:
    """What several runs say of one metric."""

    mean: float
    interval: tuple[float, float] | None  # of 95 %; None for a single fold
    lowest: float  # of the folds' means
    highest: float
    over_folds: float | None  # standard deviation between the means of the folds
    over_seeds: float | None  # standard deviation between seeds inside a fold
    n_folds: int
    n_runs: int


def estimate(
    values: Sequence[float],
    units: Sequence[object],
    repeats: Sequence[object],
    overlap: float = 0.0,
) -> Estimate:
    """Sum one metric up; `units` and `repeats` say for each value its fold, and of which division.

    A fold is one observation, however many seeds trained on it: seeds are averaged inside folds.
    The interval is Student's, over the folds. Of several divisions of the same clips into folds
    the mean variance counts, not its share: dividing old clips anew brings no new ones.

    `overlap` is for random splits in place of folds, whose test clips are partly the same: test
    clips over training clips, which Nadeau and Bengio (2003) add to 1 / number of splits. Folds'
    training clips overlap too. There is no unbiased variance for that (Bengio and Grandvalet 2004),
    so intervals over folds err on the narrow side.
    """
    cells: dict[object, dict[object, list[float]]] = {}
    for value, unit, repeat in zip(values, units, repeats, strict=True):
        cells.setdefault(repeat, {}).setdefault(unit, []).append(value)
    means = [np.array([np.mean(seeds) for seeds in folds.values()]) for folds in cells.values()]
    everyone = np.concatenate(means)
    mean = float(np.mean([folds.mean() for folds in means]))
    n_folds = min(map(len, means))
    interval = spread = None
    if n_folds > 1:
        variances = np.array([folds.var(ddof=1) for folds in means])
        shares = np.array([1 / len(folds) for folds in means])
        error = float(np.sqrt((variances * (shares + overlap)).mean()))
        reach = float(special.stdtrit(n_folds - 1, 0.975)) * error
        interval, spread = (mean - reach, mean + reach), float(np.sqrt(variances.mean()))
    by_seed = _pooled_deviation([seeds for folds in cells.values() for seeds in folds.values()])
    lowest, highest = float(everyone.min()), float(everyone.max())
    return Estimate(mean, interval, lowest, highest, spread, by_seed, n_folds, len(values))


def _pooled_deviation(groups: Iterable[Sequence[float]]) -> float | None:
    several = [group for group in groups if len(group) > 1]
    if not several:
        return None
    squares = sum((len(group) - 1) * float(np.var(group, ddof=1)) for group in several)
    return math.sqrt(squares / sum(len(group) - 1 for group in several))

"""95 % intervals of scores when clips come in groups: a bootstrap over groups.

Clips of one recording are right or wrong together. An interval that takes clips for independent is
too narrow, so whole groups are drawn with replacement (Davison and Hinkley 1997, section 3.8).

Of the ways to turn replicates into limits, simulation with 12-60 beta-binomial groups favoured the
studentised bootstrap on the log-odds scale: it covers the truth in 93-98 % of runs at 60-95 %
accuracy, mostly in 94-96 %. At 97 % percentile limits fell to 80 % and BCa limits to 84 %. It errs
most for groups whose sizes differ tenfold (too narrow by a point or two) and where hardly a clip is
wrong (too wide). `bench/coverage.py` simulates this.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

REPLICATES = 2000
TAIL = 0.025  # of the probability, on either side of a 95 % interval

# A replicate that drew hardly any error has hardly any spread, and its studentised deviation
# explodes. Below this part of the observed variance its variance is not believed: a smaller part
# widens the intervals near 100 %, a larger one lets them miss (both found by simulation).
LEAST_VARIANCE = 0.05

CELLS = 4_000_000  # replicates x groups held in memory at once

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """The limits of a 95 % confidence interval, 0 <= low <= estimate <= high <= 1."""

    low: float
    high: float


class _Counts(NamedTuple):
    """Clips and right answers as float64 `(n_groups, n_classes)`; no class is empty."""

    clips: Floats
    right: Floats
    strata: npt.NDArray[np.intp]  # (n_groups,): groups are exchanged inside a stratum only


def accuracy_interval(
    correct: npt.ArrayLike, groups: npt.ArrayLike, seed: int = 0, replicates: int = REPLICATES
) -> Interval:
    """95 % interval of the share of right answers, for groups drawn like these.

    `correct` bool `(n_clips,)`, `groups` any labels `(n_clips,)`; the clips' order is irrelevant.

    The studentised bootstrap (Efron and Tibshirani 1993, section 12.5) over groups, on the scale
    of smoothed log-odds (Haldane 1956). The observed standard error is Bell and McCaffrey's (2002)
    CR2, which allows for few and unequal groups. The result never leaves the limits that hold
    however strongly clips of a group agree, and is equal to them where the spread between groups
    cannot be estimated: all answers right, all wrong, errors in one group only, one group only.
    These are Clopper and Pearson's (1934) with the number of groups for the number of trials, as
    Korn and Graubard (1998) put an effective sample size there; for unequal groups it is Kish's
    (1965), 1 / sum of squared shares. All right in 30 equal groups gives [0.884, 1], whatever the
    number of clips; all right in a single group gives [0.025, 1]: one group says next to nothing
    of others.

    Raises ValueError for no clips or arrays of unequal length.
    """
    return balanced_accuracy_interval(
        correct, np.zeros(np.shape(correct), dtype=int), groups, seed, replicates
    )


def balanced_accuracy_interval(
    correct: npt.ArrayLike,
    targets: npt.ArrayLike,
    groups: npt.ArrayLike,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Interval:
    """95 % interval of the mean recall of the classes that occur in `targets`.

    As `accuracy_interval`; `targets` int `(n_clips,)`. Groups are redrawn inside a stratum: classes
    that share a group, directly or through others, form one. Where every recording holds one class
    the classes are the strata, so that no replicate loses a class; where every speaker says every
    word there is one stratum. A stratum of a single group shows no spread; then the wide limits
    hold. The standard error is that of the linearised mean of ratios.
    """
    counts = _count(np.asarray(correct, dtype=bool), np.asarray(targets), np.asarray(groups))
    shares = (counts.clips / counts.clips.sum(axis=0)).mean(axis=1)
    n_effective = float(1 / np.square(shares).sum())
    estimate = float((counts.right.sum(axis=0) / counts.clips.sum(axis=0)).mean())
    widest = _clopper_pearson(estimate, n_effective)
    if not _spread_is_known(counts):
        return widest
    limits = _studentised(counts, shares, n_effective, np.random.default_rng(seed), replicates)
    return Interval(
        min(max(limits.low, widest.low), estimate), max(min(limits.high, widest.high), estimate)
    )


def _count(
    correct: npt.NDArray[np.bool_], targets: npt.NDArray[np.int64], groups: npt.NDArray[np.str_]
) -> _Counts:
    if not len(correct) or not correct.shape == targets.shape == groups.shape:
        shapes = f"{correct.shape}, {targets.shape}, {groups.shape}"
        raise ValueError(f"correct, targets, groups: need one entry a clip, got {shapes}")
    classes, target = np.unique(targets, return_inverse=True)
    names, group = np.unique(groups, return_inverse=True)
    shape, cell = (len(names), len(classes)), group * len(classes) + target
    size = len(names) * len(classes)
    clips = np.bincount(cell, minlength=size).reshape(shape)
    right = np.bincount(cell, weights=correct, minlength=size).reshape(shape)
    holds = sparse.csr_array(clips > 0)
    # Groups and classes are the nodes of a graph, an edge says that the group holds the class.
    graph = sparse.block_array([[None, holds], [holds.T, None]])
    strata = sparse.csgraph.connected_components(graph, directed=False)[1][: len(names)]
    return _Counts(
        clips.astype(float), right.astype(float), np.unique(strata, return_inverse=True)[1]
    )


def _spread_is_known(counts: _Counts) -> bool:
    wrong_groups = int((counts.right < counts.clips).any(axis=1).sum())
    right_groups = int(counts.right.any(axis=1).sum())
    smallest_stratum = int(np.bincount(counts.strata).min())
    if min(wrong_groups, right_groups, smallest_stratum) < 2:
        return False
    # Every group of a class may have the same recall, as when each is half right.
    recalls = counts.right.sum(axis=0) / counts.clips.sum(axis=0)
    return bool(np.abs(counts.right - counts.clips * recalls).max() > 1e-9)


def _clopper_pearson(estimate: float, n: float) -> Interval:
    hits, misses = estimate * n, (1 - estimate) * n
    low = 0.0 if hits <= 0 else float(special.betaincinv(hits, misses + 1, TAIL))
    high = 1.0 if misses <= 0 else float(special.betaincinv(hits + 1, misses, 1 - TAIL))
    return Interval(min(low, estimate), max(high, estimate))


def _studentised(
    counts: _Counts, shares: Floats, n: float, rng: np.random.Generator, replicates: int
) -> Interval:
    sizes = np.bincount(counts.strata)[counts.strata]
    leverage = shares / np.bincount(counts.strata, shares)[counts.strata]
    once = np.ones((1, len(shares)))
    (estimate,), (variance,) = _estimates(counts, once, 1 / (1 - leverage))
    means, variances = np.empty(replicates), np.empty(replicates)
    step = max(1, CELLS // len(shares))
    for start in range(0, replicates, step):
        rows = slice(start, min(start + step, replicates))
        draws = _redraw(counts.strata, rows.stop - rows.start, rng)
        means[rows], variances[rows] = _estimates(counts, draws, sizes / (sizes - 1))
    errors = _slope(means, n) * np.sqrt(np.maximum(variances, LEAST_VARIANCE * variance))
    centre, error = _log_odds(estimate, n), _slope(estimate, n) * np.sqrt(variance)
    low, high = np.quantile((_log_odds(means, n) - centre) / errors, [TAIL, 1 - TAIL])
    # The upper tail of the deviations gives the lower limit, and the reverse.
    limits = _from_log_odds(centre - error * np.array([high, low]), n)
    return Interval(float(limits[0]), float(limits[1]))


def _redraw(strata: npt.NDArray[np.intp], rows: int, rng: np.random.Generator) -> Floats:
    """How often each group is drawn, `(rows, n_groups)`: multinomial counts in every stratum."""
    draws = np.empty((rows, len(strata)))
    for stratum in range(int(strata.max()) + 1):
        members = np.flatnonzero(strata == stratum)
        size = len(members)
        # Counting drawn indices is many times faster than rng.multinomial for many groups.
        cells = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        counted = np.bincount(cells.ravel(), minlength=rows * size)
        draws[:, members] = counted.reshape(rows, size)
    return draws


def _estimates(counts: _Counts, draws: Floats, corrections: Floats) -> tuple[Floats, Floats]:
    """Mean recall and its linearised variance `(rows,)` of each row of `draws`.

    A group adds its residuals, right answers less recall x clips, over the drawn clips of the
    class. `corrections` `(n_groups,)` multiply the squares for the few groups they come from.
    """
    clips = draws @ counts.clips
    drawn = clips > 0  # in a stratum of several classes a replicate may miss one
    scale = drawn / np.where(drawn, clips, 1) / drawn.sum(axis=1, keepdims=True)
    recalls = (draws @ counts.right) / np.where(drawn, clips, 1)
    means = recalls.sum(axis=1) / drawn.sum(axis=1)
    residuals = scale @ counts.right.T - (scale * recalls) @ counts.clips.T
    return means, (draws * np.square(residuals)) @ corrections


def _smooth(share: Floats, n: float) -> Floats:
    return (share * n + 0.5) / (n + 1)


def _log_odds(share: Floats, n: float) -> Floats:
    return np.asarray(special.logit(_smooth(share, n)))


def _slope(share: Floats, n: float) -> Floats:
    smooth = _smooth(share, n)
    return n / (n + 1) / (smooth * (1 - smooth))


def _from_log_odds(log_odds: Floats, n: float) -> Floats:
    return np.asarray((special.expit(log_odds) * (n + 1) - 0.5) / n)

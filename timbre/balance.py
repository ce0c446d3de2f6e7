"""Deal clips into parts of wanted sizes: units stay whole, every class is spread evenly."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Codes = NDArray[np.int64] | NDArray[np.int32]
FloatArray = NDArray[np.float64]

MOST_CHAINS = 32  # restarts that run side by side
MOST_STEPS = 10_000  # of hill climbing
PATIENCE = 1000  # steps without a better best chain, after which the climbing ends
GREEDY_WORK = 5e6  # cells computed by all chains together: some seconds at most
WIDEST_SHUFFLE = 2.0  # of the order "big units first", in natural logarithms of their share


def deal(targets: IntArray, units: Codes, fractions: FloatArray, seed: int) -> IntArray:
    """Give every clip a part, 0 to len(fractions) - 1, so that no unit stands in two parts.

    targets and units are `(n_clips,)` codes of class and unit; fractions are the parts' wanted
    shares and sum to 1. Minimised are first the (part, class) pairs without a clip, then
    sum((got - wanted)**2 / wanted) over the clip counts of every class and of all clips together
    in every part. With units of one clip this is Sainte-Lague's apportionment of each class.

    Several chains deal big units first, each to the part that gains most, in orders shuffled more
    from chain to chain; then each tries random moves and swaps. The best chain counts. Dealing by
    per-class counts is the idea of scikit-learn's StratifiedGroupKFold, which knows equal parts
    only and never takes a decision back.
    """
    rng = np.random.default_rng(seed)
    unit_of_clip = np.unique(units, return_inverse=True)[1]
    kinds, kind_of_unit = kinds_of(np.unique(targets, return_inverse=True)[1], unit_of_clip)
    bundle_of_unit, sizes = _bundles(kind_of_unit, len(fractions), rng)
    kind_of_bundle = np.empty(len(sizes), np.int64)
    kind_of_bundle[bundle_of_unit] = kind_of_unit
    task = _Task(kinds, kind_of_bundle, sizes, fractions)
    parts, dealt = _greedy(task, _orders(task, rng))
    _climb(task, parts, dealt, rng)
    best: IntArray = parts[task.error(dealt).argmin()]
    return best[bundle_of_unit][unit_of_clip]


@dataclass(frozen=True)
class _Task:
    kinds: IntArray  # (n_kinds, n_columns) clips per class, and of all classes in the last column
    kind: IntArray  # (n_bundles,)
    size: IntArray  # (n_bundles,) units in the bundle
    fractions: FloatArray  # (n_parts,)

    def counts(self, bundles: IntArray) -> IntArray:
        """Clips per column of the given bundles."""
        return self.kinds[self.kind[bundles]] * self.size[bundles, None]

    @cached_property
    def totals(self) -> IntArray:
        units_of_kind = np.bincount(self.kind, weights=self.size).astype(np.int64)
        return units_of_kind @ self.kinds

    @cached_property
    def wanted(self) -> FloatArray:
        """Clips per part and column, `(n_parts, n_columns)`."""
        return self.fractions[:, None] * self.totals

    @cached_property
    def penalty(self) -> float:
        """Error of one empty (part, class) pair: more than any unevenness can cost."""
        return float(2 * len(self.fractions) * self.totals[-1] / self.fractions.min())

    def error(self, dealt: FloatArray) -> FloatArray:
        """What is minimised, for `dealt` clips of shape `(n_chains, n_parts, n_columns)`."""
        uneven = ((dealt - self.wanted) ** 2 / self.wanted).sum((1, 2))
        error: FloatArray = uneven + self.penalty * (dealt == 0).sum((1, 2))
        return error


def kinds_of(targets: IntArray, units: IntArray) -> tuple[IntArray, IntArray]:
    """Units with equal class counts are of one kind: `(n_kinds, n_columns)`, `(n_units,)`.

    Kinds are numbered in the order of their first units.
    """
    n_classes = int(targets.max()) + 1
    pairs, counts = np.unique(units * n_classes + targets, return_counts=True)
    unit, target = np.divmod(pairs, n_classes)
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    runs = equal_runs(target * (int(counts.max()) + 1) + counts, starts)
    _, first, same = np.unique(runs, return_index=True, return_inverse=True)
    kind_of_unit = np.argsort(np.argsort(first))[same]
    is_first = np.zeros(len(starts), bool)
    is_first[first] = True
    shown = is_first[unit]
    kinds = np.zeros((len(first), n_classes + 1), np.int64)
    kinds[kind_of_unit[unit[shown]], target[shown]] = counts[shown]
    kinds[:, -1] = kinds.sum(1)
    return kinds, kind_of_unit


def equal_runs(cells: IntArray, starts: IntArray) -> IntArray:
    """Number the runs of `cells` that begin at `starts`; equal runs have equal numbers.

    All runs grow by a cell at a time. Those of equal beginnings have equal numbers so far; one that
    has ended keeps its number, which no longer one gets.
    """
    lengths = np.diff(starts, append=len(cells))
    cells = np.unique(cells, return_inverse=True)[1]
    n_numbers = n_cells = int(cells.max()) + 1
    numbers: IntArray = cells[starts]
    growing = np.arange(len(starts))
    for place in range(1, int(lengths.max())):
        growing = growing[lengths[growing] > place]
        longer = numbers[growing] * n_cells + cells[starts[growing] + place]
        numbers[growing] = n_numbers + np.unique(longer, return_inverse=True)[1]
        n_numbers = int(numbers.max()) + 1
    return numbers


def _bundles(
    kind_of_unit: IntArray, n_parts: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Bundle of each unit, and each bundle's number of units.

    Units of one kind are interchangeable, so many of them are dealt in bundles that shrink to
    single units: a million clips cost some hundred steps, and the single ones even out the rest.
    """
    members = rng.permutation(len(kind_of_unit))
    members = members[np.argsort(kind_of_unit[members], kind="stable")]
    sizes: list[int] = []
    for left in np.bincount(kind_of_unit).tolist():
        while left:
            sizes.append(max(1, left // (8 * n_parts)))
            left -= sizes[-1]
    bundle_of_unit = np.empty(len(members), np.int64)
    bundle_of_unit[members] = np.repeat(np.arange(len(sizes)), sizes)
    return bundle_of_unit, np.array(sizes)


def _orders(task: _Task, rng: np.random.Generator) -> IntArray:
    """Bundles by falling share of the class they weigh most in, `(n_chains, n_bundles)`."""
    largest_share = (task.kinds / task.totals).max(1)[task.kind] * task.size
    n_cells = len(task.kind) * task.wanted.size
    n_chains = int(np.clip(GREEDY_WORK // n_cells, 1, MOST_CHAINS))
    noise = rng.normal(size=(n_chains, len(task.kind)))
    noise *= np.linspace(0, WIDEST_SHUFFLE, n_chains)[:, None]
    return np.argsort(noise - np.log(largest_share), axis=1, kind="stable")


def _greedy(task: _Task, orders: IntArray) -> tuple[IntArray, FloatArray]:
    """Part of each bundle `(n_chains, n_bundles)`, clips `(n_chains, n_parts, n_columns)`."""
    chains = np.arange(len(orders))
    wanted, penalty = task.wanted, task.penalty
    dealt = np.zeros((len(chains), *wanted.shape))
    parts = np.empty_like(orders)
    left = np.tile(np.bincount(task.kind) @ (task.kinds > 0), (len(chains), 1))  # bundles
    for bundles in orders.T:
        counts = task.counts(bundles)
        columns = np.flatnonzero(counts.any(0))  # few of many, where a unit is of one class
        counts = counts[:, columns]
        now, more = dealt[:, :, columns], counts[:, None, :]
        cost = (more * (2 * (now - wanted[:, columns]) + more) / wanted[:, columns]).sum(2)
        # The last bundles of a class are kept for the parts that still lack it.
        empty = now == 0
        scarce = (counts > 0) & (empty.sum(1) >= left[:, columns])
        cost += penalty * (scarce[:, None, :] & ~empty).sum(2)
        chosen = cost.argmin(1)
        parts[chains, bundles] = chosen
        dealt[chains[:, None], chosen[:, None], columns] += counts
        left[:, columns] -= counts > 0
    return parts, dealt


def _climb(task: _Task, parts: IntArray, dealt: FloatArray, rng: np.random.Generator) -> None:
    """Move one bundle or swap two, at random, wherever that does not hurt; in place."""
    chains = np.arange(len(parts))
    (n_parts, _), n_bundles = task.wanted.shape, len(task.kind)
    lowest = task.error(dealt)
    n_stale = 0
    for _ in range(MOST_STEPS):
        one, other = rng.integers(n_bundles, size=(2, len(chains)))
        swaps = rng.random(len(chains)) < 0.5
        origin = parts[chains, one]
        goal = np.where(swaps, parts[chains, other], rng.integers(n_parts, size=len(chains)))
        change = task.counts(one) - task.counts(other) * swaps[:, None]
        tried = dealt.copy()
        tried[chains, origin] -= change
        tried[chains, goal] += change
        error = task.error(tried)
        n_stale = 0 if error.min() < lowest.min() else n_stale + 1
        if n_stale == PATIENCE:
            break
        kept = error <= lowest
        dealt[kept], lowest[kept] = tried[kept], error[kept]
        parts[chains[kept], one[kept]] = goal[kept]
        kept &= swaps
        parts[chains[kept], other[kept]] = origin[kept]

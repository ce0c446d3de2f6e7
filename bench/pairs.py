"""How two ways to do the same work are compared: in alternating pairs.

A machine that is shared speeds up and slows down by the minute. Two runs next to each other see the
same machine, so each pair gives one ratio, and the order within a pair changes from pair to pair.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[], float | None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Side:
    """One way to do the work."""

    run: Run  # one round; returns the seconds that count, or None for all that passed
    n_units: float = 1  # done in one round: a slow side may do fewer


@dataclass(frozen=True)
class Comparison:
    """The outcome; a ratio is the baseline's seconds per unit over ours, so more is better."""

    ratios: list[float]  # one a pair
    baseline_seconds: list[float]  # per unit
    ours_seconds: list[float]  # per unit

    @property
    def ratio(self) -> float:
        """Return the median over the pairs."""
        return statistics.median(self.ratios)


def compare(
    baseline: Side,
    ours: Side,
    n_pairs: int,
    *,
    warm_up: bool = True,
    clock: Clock = time.perf_counter,
) -> Comparison:
    """Time both sides `n_pairs` times: A B, B A, A B ...; before that each once without timing."""
    if warm_up:
        baseline.run()
        ours.run()
    timed: dict[str, list[float]] = {"baseline": [], "ours": []}
    for pair in range(n_pairs):
        sides = [("baseline", baseline), ("ours", ours)]
        for name, side in sides if pair % 2 == 0 else reversed(sides):
            timed[name].append(seconds_per_unit(side, clock))
    pairs = zip(timed["baseline"], timed["ours"], strict=True)
    return Comparison([theirs / own for theirs, own in pairs], timed["baseline"], timed["ours"])


def repeat(
    side: Side, n_rounds: int, *, warm_up: bool = True, clock: Clock = time.perf_counter
) -> list[float]:
    """Time one side alone; return seconds per unit of each round."""
    if warm_up:
        side.run()
    return [seconds_per_unit(side, clock) for _ in range(n_rounds)]


def untold(work: Callable[[], object]) -> Run:
    """Return the same work as a round: all of its time counts, and its result is dropped."""

    def run() -> None:
        work()

    return run


def seconds_per_unit(side: Side, clock: Clock = time.perf_counter) -> float:
    """Time one round."""
    start = clock()
    told = side.run()
    passed = clock() - start
    return (passed if told is None else told) / side.n_units

"""What a benchmark found, as one figure each: with its target, and whether that is met."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.pairs import Comparison

JsonValue = str | float | int | bool | None


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    With a baseline, `median` to `max` are ratios baseline over Timbre, and the two `_median`s say
    what each side took or did, in `unit`. Without one, they are Timbre's own values in `unit`.
    """

    name: str
    baseline: str | None
    unit: str
    pairs: int  # or rounds
    median: float
    min: float
    max: float
    baseline_median: float | None
    ours_median: float
    target: float | None
    target_is: str  # "at least" or "at most"
    met: bool | None

    def document(self) -> dict[str, JsonValue]:
        """Return the figure for JSON, numbers to four digits: the rest is noise."""
        values: dict[str, JsonValue] = asdict(self)
        return {key: _rounded(value) for key, value in values.items()}


def ratio_figure(
    name: str,
    baseline: str,
    found: Comparison,
    *,
    unit: str = "clips/s",
    target: float | None = None,
) -> Figure:
    """Return the figure of a comparison; unit `X/s` shows rates, `ms` or `s` times a unit."""
    return Figure(
        name=name,
        baseline=baseline,
        unit=unit,
        pairs=len(found.ratios),
        median=found.ratio,
        min=min(found.ratios),
        max=max(found.ratios),
        baseline_median=_in_unit(statistics.median(found.baseline_seconds), unit),
        ours_median=_in_unit(statistics.median(found.ours_seconds), unit),
        target=target,
        target_is="at least",
        met=None if target is None else found.ratio >= target,
    )


def value_figure(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    target: float | None = None,
    target_is: str = "at most",
) -> Figure:
    """Return the figure of Timbre's own values, already in `unit`."""
    middle = statistics.median(values)
    good = None
    if target is not None:
        good = middle <= target if target_is == "at most" else middle >= target
    return Figure(
        name=name,
        baseline=None,
        unit=unit,
        pairs=len(values),
        median=middle,
        min=min(values),
        max=max(values),
        baseline_median=None,
        ours_median=middle,
        target=target,
        target_is=target_is,
        met=good,
    )


def _in_unit(seconds: float, unit: str) -> float:
    if unit.endswith("/s"):
        return 1 / seconds
    return seconds * {"s": 1, "ms": 1000}[unit]


def _rounded(value: JsonValue) -> JsonValue:
    return float(f"{value:.4g}") if isinstance(value, float) else value

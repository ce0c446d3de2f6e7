"""How a classifier fares under conditions: one row a condition, their summary, the picture."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from timbre import intervals
from timbre.atomic import replacing
from timbre.condition_names import FAMILIES, Condition

DIGITS = 6  # a last bit that differs between machines must not show up as a changed metric
CLEAN = "clean"
COLOURS = {
    "clean": "#718096",
    "level": "#2b6cb0",
    "codec": "#2c7a7b",
    "line": "#6b46c1",
    "room": "#b7791f",
    "noise": "#c53030",
    "time": "#4a5568",
}
FAINT = 0.55  # of the bars of extreme conditions
GAP = 0.7  # bars, before each family

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """What was achieved under one condition."""

    condition: Condition
    accuracy: float
    low: float  # of the accuracy's 95 % interval over groups
    high: float
    n_wrong: int  # clips
    # Mean probability that wrong answers had, None without any. Near 1: wrong and sure of it.
    wrong_confidence: float | None

    @property
    def name(self) -> str:
        """Return the condition's name."""
        return self.condition.name

    def values(self) -> dict[str, float | None]:
        """Return accuracy, limits and confidence by name."""
        return {
            "accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
            "wrong_confidence": self.wrong_confidence,
        }


def measure(
    condition: Condition,
    probs: Floats,
    predicted: Integers,
    targets: Integers,
    groups: Sequence[str],
) -> Score:
    """Score one condition; `probs` `(n_clips, n_classes)`, the others `(n_clips,)`."""
    correct = predicted == targets
    limits = intervals.accuracy_interval(correct, groups)
    wrong = probs.max(axis=1)[~correct]
    return Score(
        condition=condition,
        accuracy=round(float(correct.mean()), DIGITS),
        low=round(limits.low, DIGITS),
        high=round(limits.high, DIGITS),
        n_wrong=len(wrong),
        wrong_confidence=round(float(wrong.mean()), DIGITS) if len(wrong) else None,
    )


def ordered(scores: Sequence[Score]) -> list[Score]:
    """Return the scores by family, in each the best first."""
    place = FAMILIES.index
    return sorted(scores, key=lambda s: (place(s.condition.kind.family), -s.accuracy, s.name))


def summary(scores: Sequence[Score], n_clips: int, n_groups: int) -> dict[str, object]:
    """Return the content of metrics/robustness.json.

    Mean and worst are over all conditions but the clean one; worst_usual_* leave the extreme ones
    out as well. A key that has no such condition is missing.
    """
    found: dict[str, object] = {"n_clips": n_clips, "n_groups": n_groups}
    changed = [score for score in scores if score.name != CLEAN]
    usual = [score for score in changed if not score.condition.extreme]
    for score in scores:
        if score.name == CLEAN:
            found["clean_accuracy"] = score.accuracy
    if changed:
        found["mean_accuracy"] = round(sum(s.accuracy for s in changed) / len(changed), DIGITS)
    for key, some in (("worst_usual", usual), ("worst", changed)):
        if some:
            worst = min(some, key=lambda score: score.accuracy)
            found[f"{key}_accuracy"] = worst.accuracy
            found[f"{key}_condition"] = worst.name
    return found | {"conditions": {score.name: score.values() for score in scores}}


def write_rows(scores: Sequence[Score], path: Path) -> None:
    """Write one row a condition as CSV; an empty cell: there was no wrong answer."""
    header = ["condition", "family", "accuracy", "low", "high", "wrong_confidence", "n_wrong"]
    rows = [[s.name, s.condition.kind.family, *s.values().values(), s.n_wrong] for s in scores]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def draw(scores: Sequence[Score], path: Path) -> None:
    """Draw scores, families together, into the PNG file `path`: a bar a condition.

    Whiskers are the 95 % intervals, the line is the clean accuracy, faint bars are extreme
    conditions. Equal input gives equal bytes with one version of Matplotlib.
    """
    places = _places(scores)
    figure = Figure(figsize=(8.5, 1.5 + 0.235 * max([4.0, *places])), dpi=110)
    axes = figure.add_subplot()
    for place, score in zip(places, scores, strict=True):
        _draw_bar(axes, place, score)
    if not scores:
        axes.text(0.5, 0.5, "nothing measured: no conditions", ha="center")
    _dress(axes, places, scores)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _places(scores: Sequence[Score]) -> list[float]:
    """Return where the bars stand, from the top."""
    families = [score.condition.kind.family for score in scores]
    n_before = [len(set(families[: number + 1])) - 1 for number in range(len(families))]
    return [number + GAP * n for number, n in enumerate(n_before)]


def _draw_bar(axes: Axes, place: float, score: Score) -> None:
    share, faint = score.accuracy, FAINT if score.condition.extreme else 1.0
    colour = COLOURS[score.condition.kind.family]
    axes.barh(place, share, height=0.8, color=colour, alpha=faint)
    whisker = np.array([[share - score.low], [score.high - share]])
    axes.errorbar(share, place, xerr=whisker, color="#222222", capsize=2.5, lw=1)
    axes.text(1.02, place, f"{share:.1%}", va="center", ha="left", size=8.5, color=colour)


def _dress(axes: Axes, places: list[float], scores: Sequence[Score]) -> None:
    axes.set_yticks(places, [score.name for score in scores], size=9)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Test clips under conditions (dashed: clean; faint: extreme)", size=11)
    axes.set_ylim(max(places, default=1) + 0.7, -0.7)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_xlabel("accuracy on the test clips; whiskers: 95 % intervals over groups")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for score in scores:
        if score.name == CLEAN:
            axes.axvline(score.accuracy, color="#1a202c", lw=1, ls="--", zorder=0.9)

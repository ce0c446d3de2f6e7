"""What a model knows, all on one page: the flattering number beside those that do not flatter."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from timbre.atomic import replacing
from timbre.problems import InputError

Metrics = Mapping[str, Any]  # the content of a metrics file

WHOLE_GROUPS = ("grouped", "hashed")  # methods of the split
NOT_MEASURED = "not measured"
FEW_GROUPS = 12  # below it an interval says little more than that it is wide
BEARABLE = 0.10  # points of accuracy that a usual condition may cost
SURE_ENOUGH = 0.05  # calibration error, mean difference of confidence and accuracy
GOOD, BAD, OTHER = "#2b6cb0", "#a0aec0", "#c53030"


@dataclass(frozen=True)
class Measure:
    """One line of the page; `value` and limits are shares, None where nothing was measured."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    meaning: str
    colour: str


def read_metrics(path: Path) -> Metrics:
    """Read one metrics file; raises InputError if it cannot be read."""
    try:
        found: Metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}): run dvc repro") from None
    return found


def measures(split: Metrics, test: Metrics, robustness: Metrics) -> list[Measure]:
    """Return the lines from the content of split.json, test.json and robustness.json."""
    return [*accuracies(split, test), *conditions(robustness), *rejection(test), *calibration(test)]


def accuracies(split: Metrics, test: Metrics) -> list[Measure]:
    """Return what random rows show, and what new groups do."""
    flattering = "clips of groups that were trained on: it flatters, never quote it alone"
    honest = f"{test['n_clips']} clips of {test['n_groups']} groups that were not trained on"
    if whole_groups(split):
        return [
            _accuracy("random rows", test, "random_rows_accuracy", flattering, BAD),
            _accuracy("new groups", test, "accuracy", honest, GOOD),
        ]
    absent = "the split does not keep groups whole: use split.method grouped"
    return [
        _accuracy("random rows", test, "accuracy", flattering, BAD),
        _accuracy("new groups", {}, "accuracy", absent, GOOD),
    ]


def conditions(robustness: Metrics) -> list[Measure]:
    """Return what is left under conditions, of the mean and of the worst ones."""
    told = robustness["conditions"]
    n_changed = len([name for name in told if name != "clean"])
    found = [
        Measure(
            "mean of the conditions",
            robustness.get("mean_accuracy"),
            None,
            None,
            f"{n_changed} conditions: noise, rooms, codecs and more",
            GOOD,
        )
    ]
    for key, name in (("worst_usual", "worst condition"), ("worst", "worst, extreme ones too")):
        worst = robustness.get(f"{key}_condition")
        values = told.get(worst, {})
        limits = values.get("low"), values.get("high")
        meaning = f"`{worst}`" if worst else "robustness.conditions names none"
        found.append(Measure(name, values.get("accuracy"), *limits, meaning, OTHER))
    return found


def rejection(test: Metrics) -> list[Measure]:
    """Return how well unknown classes are told, and at what cost."""
    way = "name classes in evaluate.unknown, or turn evaluate.unknown_folds"
    auroc, accepts = test.get("unknown_auroc"), test.get("unknown_false_accepts")
    about = "how well known and unknown classes are told apart; 50 % is guessing"
    share = "clips of unknown classes, at the model's threshold"
    rejected = None if accepts is None else 1 - accepts
    return [
        Measure("unknown, AUROC", auroc, None, None, way if auroc is None else about, GOOD),
        Measure("unknown, rejected", rejected, None, None, way if auroc is None else share, GOOD),
        Measure(
            "known, rejected",
            test["false_rejects"],
            None,
            None,
            "test clips wrongly taken for unknown",
            OTHER,
        ),
    ]


def calibration(test: Metrics) -> list[Measure]:
    """Return how far confidence is from the share of right answers."""
    before = f"mean distance of confidence and accuracy; {test['ece_uncalibrated']:.1%} before"
    return [Measure("calibration error", test["ece"], None, None, f"{before} calibration", OTHER)]


def doubts(split: Metrics, test: Metrics, robustness: Metrics) -> list[str]:
    """Return the reasons not to trust the score, each with what can be done about it."""
    found = []
    if n_bad := split.get("quarantined"):
        found.append(f"{n_bad} clips cannot be used and are in no split: see data/quarantine.csv")
    for kind, n_leaks in split["leaks"].items():
        if n_leaks:
            found.append(f"{n_leaks} leaks between the splits ({kind}): use split.method grouped")
    if not whole_groups(split):
        found.append("the test split shares groups with training: use split.method grouped")
    if test["n_groups"] < FEW_GROUPS:
        found.append(
            f"the test split has {test['n_groups']} groups only: its interval is wide. Turn the "
            "folds (split.n_folds), or record more"
        )
    clean, worst = robustness.get("clean_accuracy"), robustness.get("worst_usual_accuracy")
    if clean is not None and worst is not None and clean - worst > BEARABLE:
        found.append(
            f"`{robustness['worst_usual_condition']}` costs {100 * (clean - worst):.0f} points: "
            "the model hears the recording as well as the class. Record each class in several ways"
        )
    if test["ece"] > SURE_ENOUGH:
        found.append(
            f"confidence is {test['ece']:.1%} off: more validation groups calibrate it better"
        )
    if "unknown_auroc" not in test:
        found.append("nobody knows what it says of classes that it was never taught")
    return found


def markdown(split: Metrics, test: Metrics, robustness: Metrics) -> str:
    """Return the page."""
    reasons = [f"- {reason}." for reason in doubts(split, test, robustness)]
    return "\n".join(
        [
            "# What this model knows",
            "",
            "Written by the stage `report` from the files in `metrics/`. How each number is made:",
            "[honest evaluation](../docs/honest-evaluation.md),",
            "[robustness](../docs/robustness.md).",
            "",
            *table(measures(split, test, robustness)),
            "",
            "## Doubts",
            "",
            *(reasons or ["None of those that can be computed."]),
            "",
        ]
    )


def table(found: Sequence[Measure]) -> list[str]:
    """Return the lines of a table of what was measured, and of what was not."""
    rows = [
        f"| {m.name} | {_share(m.value) or NOT_MEASURED} | {_limits(m)} | {m.meaning} |"
        for m in found
    ]
    return ["| measured on | result | 95 % interval | what it is |", "|---|---|---|---|", *rows]


def write_page(text: str, path: Path) -> None:
    """Write the page."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_rows(found: Sequence[Measure], path: Path) -> None:
    """Write what was measured as CSV, one row a line of the page."""
    rows = [[m.name, m.value, m.low, m.high] for m in found if m.value is not None]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [["measure", "value", "low", "high"], *rows]
        )


def draw(found: Sequence[Measure], path: Path) -> None:
    """Draw a bar a line, whiskers for intervals; grey flatters, red is what is feared."""
    # Here, since its import takes twice as long as all that the stage writes before.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 1.2 + 0.36 * len(found)), dpi=110)
    axes = figure.add_subplot()
    for place, measure in enumerate(found):
        told = _share(measure.value) or NOT_MEASURED
        axes.barh(place, measure.value or 0.0, height=0.75, color=measure.colour)
        if measure.value is not None and measure.low is not None and measure.high is not None:
            whisker = np.array([[measure.value - measure.low], [measure.high - measure.value]])
            axes.errorbar(measure.value, place, xerr=whisker, color="#222222", capsize=2.5, lw=1)
        axes.text(1.02, place, told, va="center", size=9, color=measure.colour)
    axes.set_yticks(range(len(found)), [measure.name for measure in found])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_title("What this model knows (whiskers: 95 % intervals)", size=11)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def whole_groups(split: Metrics) -> bool:
    """Tell whether no group of the test split was trained on."""
    return split["method"] in WHOLE_GROUPS or not split["leaks"]["group"]


def _accuracy(name: str, found: Metrics, key: str, meaning: str, colour: str) -> Measure:
    value, low, high = (found.get(key + end) for end in ("", "_low", "_high"))
    return Measure(name, value, low, high, meaning, colour)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _limits(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return ""
    return f"{measure.low:.1%} to {measure.high:.1%}"

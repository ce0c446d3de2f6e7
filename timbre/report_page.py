"""The page to look at and listen to: what was measured, and the clips, as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from timbre import charts, report
from timbre.cards import LEFT_OUT, Card
from timbre.condition_names import parse
from timbre.confusion import MOST_CLASSES, Matrix, most_confused
from timbre.curves import Epoch
from timbre.features import Features
from timbre.inspection import Choice
from timbre.model_file import ModelCard
from timbre.page import render

SHADES = 6  # of a cell
FILES = ("report.html", "report.css", "report.js")
KINDS = {report.GOOD: "share", report.BAD: "flatters", report.OTHER: "feared"}
LIMITS = {"value": "", "low": "_low", "high": "_high"}


@dataclass(frozen=True)
class Heard:
    """The clips, and what is said of all of them."""

    cards: Sequence[Card]
    choice: Choice
    unsure_below: float
    threshold: float  # of the rejection
    n_refused: int  # sounds and pictures that found no room
    matrix: Matrix  # clips of class i (row) taken for class j


class Row(NamedTuple):
    """A condition."""

    name: str
    family: str
    extreme: bool
    accuracy: float
    low: float
    high: float
    bar: Markup


def text(
    metrics: tuple[report.Metrics, report.Metrics, report.Metrics],
    epochs: Sequence[Epoch],
    bins: pd.DataFrame,
    card: ModelCard,
    features: Features,
    heard: Heard,
) -> str:
    """Return the page; `metrics` are those of the split, of the test and of robustness.

    Raises LookupError, TypeError, ValueError or InputError for metrics of another form.
    """
    split, test, robustness = metrics
    best_epoch = int(card.trained["best_epoch"])
    rows = [dict(zip(bins.columns, row, strict=True)) for row in bins.to_numpy().tolist()]
    return render(
        *FILES,
        score={name: test[f"accuracy{end}"] for name, end in LIMITS.items()},
        n_clips=test["n_clips"],
        n_groups=test["n_groups"],
        whole=report.whole_groups(split),
        measures=[(measure, _bar(measure)) for measure in report.measures(*metrics)],
        doubts=report.doubts(*metrics),
        curves=[charts.curve(epochs, best_epoch, name) for name in ("loss", "accuracy")],
        epochs=epochs,
        best_epoch=best_epoch,
        conditions=[_row(name, own) for name, own in robustness["conditions"].items()],
        reliability=charts.reliability(rows),
        bins=rows,
        classes=card.classes,
        matrix=_matrix(heard.matrix, heard.cards),
        heard=heard,
        left_out=LEFT_OUT,
        seconds=features.window_seconds,
        hertz=(features.front_end.fmin, features.front_end.fmax),
    )


def _bar(measure: report.Measure) -> Markup:
    if measure.value is None:
        return Markup("")
    return charts.bar(measure.value, measure.low, measure.high, KINDS[measure.colour])


def _row(name: str, own: report.Metrics) -> Row:
    condition = parse(name)
    values = own["accuracy"], own["low"], own["high"]
    return Row(name, condition.kind.family, condition.extreme, *values, charts.bar(*values))


def _matrix(matrix: Matrix, cards: Sequence[Card]) -> dict[str, object]:
    """Return the counts of clips, the classes that are shown, shades, and clips that are below.

    Of a row's clips a cell's share decides its shade; the root brings out the few wrong ones.
    """
    below: npt.NDArray[np.int64] = np.zeros_like(matrix)
    for card in cards:
        below[card.actual, card.predicted] += 1
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shades = np.minimum(np.sqrt(shares) * SHADES, SHADES - 1).astype(int)
    return {
        "shown": most_confused(matrix, MOST_CLASSES),
        "counts": matrix.tolist(),
        "shades": shades.tolist(),
        "below": below.tolist(),
    }

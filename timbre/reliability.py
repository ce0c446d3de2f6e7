"""Whether confidences are true: the expected calibration error and the reliability diagram."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from timbre.atomic import replacing
from timbre.problems import InputError

N_BINS = 15
CLAIM_COLOUR, BAR_COLOUR = "#c53030", "#2b6cb0"

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


def bins(confidence: Floats, correct: Booleans) -> pd.DataFrame:
    """Count clips by confidence in 15 bins of equal width, ((m - 1) / 15, m / 15].

    `confidence` `(n_clips,)`, the highest probability of each clip; `correct` `(n_clips,)`. Rows
    have the columns middle, n_clips, confidence and accuracy; the last two are the means over the
    bin's clips, NaN without any.
    """
    edges = np.linspace(0, 1, N_BINS + 1)
    place = np.searchsorted(edges[1:-1], confidence)
    n_clips = np.bincount(place, minlength=N_BINS)
    sums = [
        np.bincount(place, weights=values, minlength=N_BINS) for values in (confidence, correct)
    ]
    means = [total / np.where(n_clips, n_clips, np.nan) for total in sums]
    middle = (edges[:-1] + edges[1:]) / 2
    return pd.DataFrame(
        {"middle": middle, "n_clips": n_clips, "confidence": means[0], "accuracy": means[1]}
    )


def expected_calibration_error(confidence: Floats, correct: Booleans) -> float:
    """Mean over the clips of |accuracy - confidence| of their bin.

    Sources: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", 2015, for the measure; Guo and others, 2017, for 15 bins of the highest probability.
    With few clips a bin's accuracy is chance: even a perfectly calibrated model has an error then.
    """
    found = bins(confidence, correct)
    gaps = (found["accuracy"] - found["confidence"]).abs().fillna(0.0)
    return float((gaps * found["n_clips"]).sum() / len(confidence))


def rows(uncalibrated: pd.DataFrame, calibrated: pd.DataFrame) -> pd.DataFrame:
    """Put two tables of `bins` side by side, as plots/reliability.csv holds them."""
    before = uncalibrated.drop(columns="middle").add_suffix("_uncalibrated")
    return pd.concat([calibrated, before], axis=1).round(6)


def write_rows(table: pd.DataFrame, path: Path) -> None:
    """Write the table of `rows` as CSV; a bin without clips has empty cells."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def read_rows(path: Path) -> pd.DataFrame:
    """Read what `write_rows` wrote. Raises InputError if it is missing or no such table."""
    columns = [*bins(np.zeros(0), np.zeros(0, np.bool_)).columns]
    try:
        table = pd.read_csv(path, encoding="utf-8").astype(np.float64)
        if missing := [name for name in columns if name not in table]:
            raise ValueError(f"it has no column {missing[0]}")
        if ((table["n_clips"] > 0) & table[columns].isna().any(axis=1)).any():
            raise ValueError("a bin with clips has empty cells")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{path}: cannot be used ({reason}): run `dvc repro`") from None
    return table


def draw(uncalibrated: pd.DataFrame, calibrated: pd.DataFrame, path: Path) -> None:
    """Draw two tables of `bins` side by side into the PNG file `path`.

    Equal input gives equal bytes with one version of Matplotlib.
    """
    figure = Figure(figsize=(9, 4.6), dpi=110)
    panels = figure.subplots(1, 2)
    _draw_panel(panels[0], uncalibrated, "before")
    _draw_panel(panels[1], calibrated, "after temperature scaling")
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_panel(axes: Axes, found: pd.DataFrame, title: str) -> None:
    shown = found[found["n_clips"] > 0]
    width = 1 / N_BINS
    middle, gap = shown["middle"], shown["confidence"] - shown["accuracy"]
    axes.bar(middle, shown["accuracy"], 0.9 * width, color=BAR_COLOUR, alpha=0.7, label="accuracy")
    left, right = middle - width / 2, middle + width / 2
    claimed = "mean confidence"
    axes.hlines(shown["confidence"], left, right, color=CLAIM_COLOUR, lw=2.5, label=claimed)
    axes.plot([0, 1], [0, 1], color="#222222", lw=1, ls="--", label="true confidences")
    for x, n in zip(middle, shown["n_clips"], strict=True):
        axes.text(x, 1.03, str(n), ha="center", size=6, color="#555555")
    n_clips = int(found["n_clips"].sum())
    error = float((gap.abs() * shown["n_clips"]).sum()) / max(n_clips, 1)
    axes.set_title(f"{title}: calibration error {error:.3f}\n{n_clips} clips; their number on top")
    axes.set(xlim=(0, 1), ylim=(0, 1.08), xlabel="confidence", ylabel="share of right answers")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.97), frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)

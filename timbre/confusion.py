"""Which class was taken for which: the table for `dvc plots` and the matrix as a picture."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from sklearn import metrics

from timbre.atomic import replacing

MOST_CLASSES = 50  # more rows than this cannot be read on a screen
MOST_COUNTED = 20  # above it a cell has no room for a number
MOST_LETTERS = 24  # of a class name on an axis
COLOURS = "Blues"
EMPTY = "#eeeeee"  # the row of a class without clips
DARK_LUMINANCE = 0.25  # a cell below it needs white letters

Matrix = npt.NDArray[np.int64]


def confusion_rows(labels_true: Sequence[str], labels_pred: Sequence[str]) -> pd.DataFrame:
    """One row a clip, columns actual and predicted: DVC's `confusion` templates count the rows."""
    return pd.DataFrame({"actual": list(labels_true), "predicted": list(labels_pred)}, dtype="str")


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write the table of `confusion_rows` as CSV."""
    with replacing(path) as temporary:
        rows.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")


def count(targets: npt.ArrayLike, predicted: npt.ArrayLike, n_classes: int) -> Matrix:
    """Clips of class i (row) taken for class j (column): int64 `(n_classes, n_classes)`."""
    matrix = metrics.confusion_matrix(targets, predicted, labels=np.arange(n_classes))
    return np.asarray(matrix, dtype=np.int64)


def draw(matrix: Matrix, class_names: Sequence[str], path: Path, title: str) -> None:
    """Draw the counts `(n_classes, n_classes)` of `count` into the PNG file `path`.

    A cell's colour is its share of the row, the class's own clips (grey: it has none); up to 20
    classes it also shows the count. The title gains the accuracy. Of more than 50 classes the 50
    most confused are shown, and a line says so. Equal input gives equal bytes with one version of
    Matplotlib.
    """
    shown = most_confused(matrix, MOST_CLASSES)
    figure = Figure(figsize=_size(len(shown)), dpi=120)
    axes = figure.add_subplot()
    names = [_short(class_names[i]) for i in shown]
    _draw_cells(figure, axes, matrix, shown)
    _name_axes(axes, names)
    hits, clips = int(matrix.trace()), int(matrix.sum())
    share = f"{hits / clips:.1%}" if clips else "unknown"
    lines = [f"{title}: accuracy {share} ({hits} of {clips} clips)"]
    if len(shown) < len(matrix):
        lines.append(f"the {len(shown)} most confused of {len(matrix)} classes")
    axes.set_title("\n".join(lines), parse_math=False, pad=12, fontsize=11)
    with warnings.catch_warnings(), replacing(path) as temporary:
        # A script that the font lacks shows as boxes; the CSV still holds the names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})


def most_confused(matrix: Matrix, most: int) -> list[int]:
    """Indices, ascending, of the `most` classes with the most wrong clips, to them or from them."""
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    return sorted(np.argsort(-wrong, kind="stable")[:most].tolist())


def _size(n_classes: int) -> tuple[float, float]:
    side = min(2.6 + 0.32 * n_classes, 11.0)  # inches
    return side * 1.18, side  # the colour bar takes its share of the width


def _draw_cells(figure: Figure, axes: Axes, matrix: Matrix, shown: list[int]) -> None:
    # Shares are of the whole row, also where some of its columns are left out.
    sums = matrix.sum(axis=1, keepdims=True).astype(np.float64)
    shares = (matrix / np.where(sums > 0, sums, np.nan))[np.ix_(shown, shown)]
    colours = colormaps[COLOURS].with_extremes(bad=EMPTY)
    # The square root brings out the few wrong clips beside the many right ones.
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap=colours, norm=scale, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, format="{x:.0%}")
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])
    bar.set_label("share of the actual class's clips")
    if len(shown) > MOST_COUNTED:
        return
    cells = colours(scale(np.ma.masked_invalid(shares)))
    for (row, column), clips in np.ndenumerate(matrix[np.ix_(shown, shown)]):
        _write_count(axes, row, column, int(clips), cells[row, column])


def _write_count(
    axes: Axes, row: int, column: int, clips: int, colour: npt.NDArray[np.float64]
) -> None:
    letters = "white" if _luminance(colour) < DARK_LUMINANCE else "#222222"
    faint = 0.35 if clips == 0 else 1.0
    size = 9 if clips < 1000 else 7
    centre = {"ha": "center", "va": "center"}
    axes.text(column, row, str(clips), centre, color=letters, alpha=faint, size=size)


def _luminance(colour: npt.NDArray[np.float64]) -> float:
    """Relative luminance of an sRGB colour, 0 black to 1 white (WCAG 2.1)."""
    red_green_blue = colour[:3]
    linear = np.where(
        red_green_blue <= 0.04045, red_green_blue / 12.92, ((red_green_blue + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _name_axes(axes: Axes, names: list[str]) -> None:
    size = 10 if len(names) <= MOST_COUNTED else 7
    ticks = np.arange(len(names))
    # Names are data: a dollar sign in one must not start a formula.
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", size=size)
    axes.set_yticks(ticks, names, size=size)
    for name in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        name.set_parse_math(False)
    axes.set_xticks(ticks[1:] - 0.5, minor=True)
    axes.set_yticks(ticks[1:] - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5 if len(names) <= MOST_COUNTED else 0.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")


def _short(name: str) -> str:
    """A name on one line; of a long one the two ends, for both may tell it from others."""
    line = "".join(letter if letter.isprintable() else " " for letter in name)
    if len(line) <= MOST_LETTERS:
        return line
    half = (MOST_LETTERS - 1) // 2
    return f"{line[: MOST_LETTERS - 1 - half]}…{line[-half:]}"

"""Learning curves: one row an epoch as CSV, the picture, and where overfitting began."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from timbre.atomic import replacing
from timbre.problems import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr")

PATIENCE = 3  # epochs that validation loss must have stayed up
RISE = 0.05  # of the lowest validation loss: less is not worth a warning
NOISES = 2.0  # the lowest of 25 noisy but level losses lies about 1.1 deviations too low

TRAIN_COLOUR, VAL_COLOUR, WARN_COLOUR = "#2b6cb0", "#dd6b20", "#c53030"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training split gave.

    `epoch` counts from 1; losses in nats, accuracies 0 to 1, `lr` the learning rate it ended with.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float


def write_csv(epochs: Sequence[Epoch], path: Path) -> None:
    """Write COLUMNS with 6 significant digits. A reader sees the old file or the new one."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for epoch in epochs:
        table.writerow([epoch.epoch, *(f"{getattr(epoch, name):.6g}" for name in COLUMNS[1:])])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def read_csv(path: Path) -> list[Epoch]:
    """Read what `write_csv` wrote.

    Raises InputError if it cannot be read, or with one line for every row that is not six numbers,
    the first a whole one.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}): run dvc repro") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        found = ",".join(rows[0]) if rows else "nothing"
        raise InputError(f"{path}: columns {found}, expected {','.join(COLUMNS)}")
    epochs, problems = [], []
    for line, row in enumerate(rows[1:], start=2):
        try:
            number, *values = row
            cells = dict(zip(COLUMNS[1:], map(float, values), strict=True))
            epochs.append(Epoch(epoch=int(number), **cells))
        except ValueError:
            problems.append(f"{path}, line {line}: '{','.join(row)}' is not six numbers")
    if problems:
        raise InputError(problems)
    return epochs


def overfitting_epoch(epochs: Sequence[Epoch], patience: int = PATIENCE) -> int | None:
    """First epoch of overfitting: validation loss rises while training loss goes on falling.

    Both losses are smoothed by the mean over an epoch and its neighbours. Let m be the epoch where
    the smoothed validation loss is lowest. Overfitting starts at m + 1 if

    1. at least `patience` epochs follow m,
    2. the mean validation loss of all epochs after m, and the smoothed one of each of the last
       `patience`, exceed the lowest by more than 5 % and by more than twice the noise, and
    3. the mean training loss of the last `patience` epochs is below the smoothed one at m.

    The noise is the deviation of second differences, which a smooth curve hardly has (Gasser,
    Sroka and Jennen-Steinmetz 1986). None without overfitting or with a loss that is not finite.
    """
    train = np.array([epoch.train_loss for epoch in epochs], dtype=np.float64)
    val = np.array([epoch.val_loss for epoch in epochs], dtype=np.float64)
    if len(epochs) <= patience or not np.isfinite(train + val).all():
        return None
    smooth_val = _smooth(val)
    lowest = int(smooth_val.argmin())
    if len(epochs) - 1 - lowest < patience:
        return None
    limit = smooth_val[lowest] + max(RISE * smooth_val[lowest], NOISES * _noise(val))
    rose = val[lowest + 1 :].mean() > limit and smooth_val[-patience:].min() > limit
    fell = train[-patience:].mean() < _smooth(train)[lowest]
    return epochs[lowest + 1].epoch if rose and fell else None


def _smooth(losses: Floats) -> Floats:
    """Mean over three neighbours; over two at the ends."""
    kernel = np.ones(3)
    weights = np.convolve(np.ones_like(losses), kernel, mode="same")
    return np.asarray(np.convolve(losses, kernel, mode="same") / weights)


def _noise(losses: Floats) -> float:
    """Standard deviation of the noise on a smooth curve of at least three values."""
    second = np.diff(losses, n=2)
    # The median leaves a single jump out of account; 0.6745 makes it a normal deviation.
    return float(np.median(np.abs(second)) / 0.6745 / math.sqrt(6))


def draw(
    epochs: Sequence[Epoch], best_epoch: int | None, overfitting_epoch: int | None, path: Path
) -> None:
    """Draw `picture` into the PNG file `path`; a reader sees the old picture or the new one.

    Equal input gives equal bytes with one version of Matplotlib.
    """
    figure = picture(epochs, best_epoch, overfitting_epoch)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def picture(
    epochs: Sequence[Epoch], best_epoch: int | None, overfitting_epoch: int | None
) -> "Figure":
    """Draw loss and accuracy of both splits side by side.

    `best_epoch`, the one kept, gets a marker; from `overfitting_epoch` on the ground is shaded;
    None leaves either out.
    """
    from matplotlib.figure import Figure  # a third of a second, not before training starts

    figure = Figure(figsize=(10, 4), dpi=110)
    panels = figure.subplots(1, 2)
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        _draw_panel(axes, epochs, quantity, best_epoch, overfitting_epoch)
    panels[0].set_ylim(0, _ceiling(epochs))
    panels[1].set_ylim(0, 1.02)
    panels[1].yaxis.set_major_formatter("{x:.0%}")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False)
    # A layout engine would draw everything twice, and training waits for this.
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.13, top=0.86, wspace=0.2)
    return figure


def _ceiling(epochs: Sequence[Epoch]) -> float:
    """Top of the loss axis: room above the highest loss, wherever a run diverged."""
    losses = [loss for epoch in epochs for loss in (epoch.train_loss, epoch.val_loss)]
    return 1.08 * max(filter(math.isfinite, losses), default=1.0) or 1.0


def _draw_panel(
    axes: "Axes",
    epochs: Sequence[Epoch],
    quantity: str,
    best: int | None,
    overfitting: int | None,
) -> None:
    numbers = [epoch.epoch for epoch in epochs]
    marker = "o" if len(epochs) <= 40 else None
    for split, name, colour in (
        ("train", "training", TRAIN_COLOUR),
        ("val", "validation", VAL_COLOUR),
    ):
        values = [getattr(epoch, f"{split}_{quantity}") for epoch in epochs]
        axes.plot(numbers, values, color=colour, label=name, marker=marker, markersize=3.5)
    for epoch in epochs:
        if epoch.epoch == best:
            star = axes.plot(best, getattr(epoch, f"val_{quantity}"), "*", markersize=15)[0]
            star.set(color=VAL_COLOUR, markeredgecolor="white", label=f"best epoch ({best})")
            star.set_zorder(3)
    if overfitting is not None:
        label = f"overfitting (from epoch {overfitting})"
        end = numbers[-1] + 0.5
        axes.axvspan(overfitting - 0.5, end, color=WARN_COLOUR, alpha=0.1, lw=0, label=label)
    if numbers:
        axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (nats)" if quantity == "loss" else quantity)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)

"""Charts as SVG inside a page: text that scales, prints, and takes its colours from the page.

Each hover shows the values, as the page's tables do for those who cannot hover.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from timbre.curves import Epoch

WIDTH, HEIGHT = 460, 250  # of a chart, in its own units
LEFT, RIGHT, TOP, FOOT = 46, 10, 22, 34  # what axes and title take
BAR_WIDTH, BAR_HEIGHT = 240, 14


@dataclass(frozen=True)
class Panel:
    """From values to places in a chart."""

    x: tuple[float, float]  # lowest and highest value
    y: tuple[float, float]

    def across(self, value: float) -> float:
        """Return where a value of x is."""
        low, high = self.x
        return LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def up(self, value: float) -> float:
        """Return where a value of y is."""
        low, high = self.y
        return HEIGHT - FOOT - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - FOOT)

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        """Return a line through points."""
        places = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        return Markup('<polyline class="{}" points="{}"/>').format(kind, places)

    def box(self, x: tuple[float, float], y: tuple[float, float], kind: str, told: str) -> Markup:
        """Return a box over ranges of both, which says `told` when pointed at."""
        left, right, foot, top = (
            *(self.across(value) for value in x),
            *(self.up(value) for value in y),
        )
        return Markup(
            '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
            "<title>{}</title></rect>"
        ).format(kind, left, top, max(right - left, 0.5), max(foot - top, 0), told)

    def axes(
        self,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        names: tuple[str, str],
        written: Callable[[float], str],
    ) -> Markup:
        """Return grid, numbers and names; `written` is how values of y are."""
        foot = HEIGHT - FOOT
        parts = [
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
                '<text class="tick" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
            ).format(LEFT, WIDTH - RIGHT, self.up(y), LEFT - 5, self.up(y) + 4, written(y))
            for y in y_ticks
        ]
        parts += [
            Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                self.across(x), foot + 14, f"{x:g}"
            )
            for x in x_ticks
        ]
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            Markup(
                '<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>'
                '<text class="name" x="4" y="13">{}</text>'
            ).format(middle, HEIGHT - 3, names[0], names[1])
        )
        return Markup("").join(parts)


def curve(epochs: Sequence[Epoch], kept: int, quantity: str) -> Markup:
    """Draw `loss` or `accuracy` of training and validation by epoch; `kept` is the best epoch."""
    lines = {
        split: [(float(e.epoch), float(getattr(e, f"{split}_{quantity}"))) for e in epochs]
        for split in ("train", "val")
    }
    highest = max((y for points in lines.values() for _, y in points), default=1.0)
    top = 1.0 if quantity == "accuracy" else max(highest, 1e-9)
    last = epochs[-1].epoch if epochs else 1
    panel = Panel((0.5, last + 0.5), (0.0, top))
    written = _percent if quantity == "accuracy" else _short
    exact = "{:.1%}" if quantity == "accuracy" else "{:.3f}"
    names = "epoch", {"loss": "cross-entropy, nats", "accuracy": "accuracy"}[quantity]
    parts = [panel.axes(_whole_ticks(last), [top * n / 4 for n in range(5)], names, written)]
    if any(epoch.epoch == kept for epoch in epochs):
        parts.append(panel.line([(kept, 0), (kept, top)], "kept"))
    parts += [panel.line(points, split) for split, points in lines.items()]
    for epoch in epochs:
        train, val = (exact.format(getattr(epoch, f"{split}_{quantity}")) for split in lines)
        told = f"epoch {epoch.epoch}: training {train}, validation {val}"
        parts.append(panel.box((epoch.epoch - 0.5, epoch.epoch + 0.5), (0, top), "hover", told))
    return _chart(parts, f"{quantity} by epoch")


def reliability(bins: Sequence[Mapping[str, float]]) -> Markup:
    """Draw the share of right answers by confidence; rows as in plots/reliability.csv."""
    panel, half = Panel((0, 1), (0, 1)), 0.5 / max(len(bins), 1)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    names = "confidence", "share of right answers"
    parts = [panel.axes(ticks, ticks, names, _percent), panel.line([(0, 0), (1, 1)], "ideal")]
    for row in bins:
        if not row["n_clips"]:
            continue
        x = row["middle"] - half, row["middle"] + half
        told = (
            f"{row['n_clips']:.0f} clips: mean confidence {row['confidence']:.1%}, "
            f"{row['accuracy']:.1%} right"
        )
        parts.append(panel.box(x, (0, row["accuracy"]), "share", told))
        parts.append(panel.line([(x[0], row["confidence"]), (x[1], row["confidence"])], "claim"))
        parts.append(panel.box(x, (0, 1), "hover", told))
    return _chart(parts, "share of right answers by confidence")


def bar(value: float, low: float | None, high: float | None, kind: str = "share") -> Markup:
    """Draw a share of 1 as a bar, with its interval as a whisker; hidden from screen readers.

    The numbers stand beside it.
    """
    middle, width = BAR_HEIGHT / 2, BAR_WIDTH
    parts = [
        Markup('<rect class="all" width="{}" height="{}"/>').format(width, BAR_HEIGHT),
        Markup('<rect class="{}" width="{:.1f}" height="{}"/>').format(
            kind, value * width, BAR_HEIGHT
        ),
    ]
    if low is not None and high is not None:
        parts.append(
            Markup(
                '<path class="whisker" d="M{0:.1f} {2}H{1:.1f}M{0:.1f} {3}V{4}M{1:.1f} {3}V{4}"/>'
            ).format(low * width, high * width, middle, middle - 4, middle + 4)
        )
    return Markup('<svg class="bar" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>').format(
        width, BAR_HEIGHT, Markup("").join(parts)
    )


def _chart(parts: Sequence[Markup], name: str) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, name, Markup("").join(parts))


def _whole_ticks(last: int) -> list[float]:
    step = next(
        s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**4, 10**5, 10**9) if last <= 8 * s
    )
    return [float(n) for n in range(step, last + 1, step)]


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _short(value: float) -> str:
    return f"{value:.2f}"

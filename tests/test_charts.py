import re
from xml.etree import ElementTree

import pytest

from timbre import charts
from timbre.charts import HEIGHT, LEFT, RIGHT, WIDTH, Panel
from timbre.curves import Epoch

EPOCHS = [Epoch(n, 2.0 / n, 1 - 0.6 / n, 2.2 / n, 1 - 0.7 / n, 0.01) for n in range(1, 31)]
BINS = [
    {"middle": 0.25, "n_clips": 0.0, "confidence": float("nan"), "accuracy": float("nan")},
    {"middle": 0.75, "n_clips": 4.0, "confidence": 0.8, "accuracy": 0.5},
]


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 (our own)


def titles(svg: str) -> list[str]:
    """Return what a chart says where it is pointed at; it must be well-formed."""
    return [element.text or "" for element in parsed(svg).iter("title")]


def numbers(svg: str, kind: str) -> list[dict[str, float]]:
    """Return places and sizes of all boxes of a kind."""
    boxes = [e for e in parsed(svg).iter("rect") if e.get("class") == kind]
    return [{k: float(v) for k, v in e.items() if k != "class"} for e in boxes]


def test_a_panel_puts_the_lowest_values_left_and_down() -> None:
    panel = Panel((0, 10), (-1, 1))
    assert (panel.across(0), panel.across(10)) == (LEFT, WIDTH - RIGHT)
    assert panel.up(-1) > panel.up(0) > panel.up(1) > 0
    assert panel.up(-1) < HEIGHT


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_every_epoch_tells_its_values(quantity: str) -> None:
    told = titles(charts.curve(EPOCHS, 7, quantity))
    assert len(told) == len(EPOCHS)
    shown = {
        "loss": "training 2.000, validation 2.200",
        "accuracy": "training 40.0%, validation 30.0%",
    }
    assert told[0] == f"epoch 1: {shown[quantity]}"


def test_the_kept_epoch_is_marked_where_it_is_among_them() -> None:
    assert charts.curve(EPOCHS, 7, "loss").count('class="kept"') == 1
    assert charts.curve(EPOCHS, 99, "loss").count('class="kept"') == 0


@pytest.mark.parametrize("epochs", [EPOCHS[:1], []])
def test_hardly_any_epochs_make_a_chart_all_the_same(epochs: list[Epoch]) -> None:
    assert len(titles(charts.curve(epochs, 1, "loss"))) == len(epochs)


def test_the_ticks_of_any_number_of_epochs_are_few() -> None:
    for last in (1, 7, 60, 999, 12_345):
        epochs = [Epoch(last, 1.0, 0.5, 1.0, 0.5, 0.1)]
        assert charts.curve(epochs, 1, "loss").count('text-anchor="middle"') <= 10


def test_only_bins_with_clips_are_drawn_as_high_as_their_share_of_right_answers() -> None:
    svg = charts.reliability(BINS)
    (share,) = numbers(svg, "share")
    (whole,) = numbers(svg, "hover")
    assert share["height"] == pytest.approx(whole["height"] / 2, abs=0.1)
    assert titles(svg) == ["4 clips: mean confidence 80.0%, 50.0% right"] * 2


def test_a_bar_is_as_long_as_its_share_and_its_whisker_spans_the_interval() -> None:
    svg = charts.bar(0.25, 0.1, 0.4)
    (whole,), (share,) = numbers(svg, "all"), numbers(svg, "share")
    assert share["width"] == pytest.approx(whole["width"] / 4)
    (path,) = parsed(svg).iter("path")
    places = [float(x) for x in re.findall(r"[MH]([\d.]+)", path.get("d", ""))]
    assert [min(places), max(places)] == [0.1 * whole["width"], 0.4 * whole["width"]]
    assert "whisker" not in charts.bar(0.25, None, None)


def test_what_is_told_is_escaped() -> None:
    told = "<script>&\"'"
    svg = charts.Panel((0, 1), (0, 1)).box((0, 1), (0, 1), "hover", told)
    assert "<script>" not in svg
    assert titles(f"<svg>{svg}</svg>") == [told]

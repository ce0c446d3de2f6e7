"""Segments: where they begin and end, and how they are written."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.timeline import FORMATS, Segment, cells, merge
from timbre.windows import window_starts

SEGMENTS = [Segment(0.0, 2.5, "anna, the first", 0.9), Segment(2.5, 7.1234, "unknown", 0.25)]


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_a_cell_is_told_by_all_windows_that_hear_its_start(
    n: int, window: int, data: st.DataObject
) -> None:
    starts = window_starts(n, window, data.draw(st.integers(1, window)))
    cell, asked = cells(starts, window)
    pairs = [
        (c, w)
        for c, start in enumerate(starts)
        for w, begin in enumerate(starts)
        if begin <= start < begin + window
    ]
    assert list(zip(cell.tolist(), asked.tolist(), strict=True)) == pairs


def test_neighbours_with_one_label_become_one_segment() -> None:
    pieces = [
        Segment(0, 1, "a", 0.5),
        Segment(1, 4, "a", 0.9),
        Segment(4, 5, "b", 0.7),
        Segment(5, 6, "a", 0.6),
    ]
    found = merge(pieces)
    assert [(s.start, s.end, s.label) for s in found] == [(0, 4, "a"), (4, 5, "b"), (5, 6, "a")]
    assert [s.confidence for s in found] == pytest.approx([0.8, 0.7, 0.6])


def test_a_table_has_a_row_a_segment() -> None:
    rows = list(csv.reader(io.StringIO(FORMATS["csv"]({"x.wav": SEGMENTS, "y.wav": []}))))
    assert rows == [
        ["file", "start", "end", "label", "confidence"],
        ["x.wav", "0.000", "2.500", "anna, the first", "0.9000"],
        ["x.wav", "2.500", "7.123", "unknown", "0.2500"],
    ]


def test_json_gives_every_segment_back() -> None:
    (read,) = json.loads(FORMATS["json"]({"x.wav": SEGMENTS}))
    assert read["file"] == "x.wav"
    assert [Segment(**segment) for segment in read["segments"]] == SEGMENTS


def test_audacity_gets_start_end_and_label_between_tabs() -> None:
    segments = [*SEGMENTS, Segment(8, 9, "two\nlines\tand tab", 1)]
    assert FORMATS["audacity"]({"x.wav": segments}) == (
        "0.000\t2.500\tanna, the first\n2.500\t7.123\tunknown\n8.000\t9.000\ttwo lines and tab\n"
    )

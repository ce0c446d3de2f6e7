"""Columns of text as numbers: laws that hold for any column."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from timbre.coded import Coder, Picked, coded

COLUMNS = st.lists(st.text(max_size=3))


@dataclass(frozen=True)
class Table:
    """Some columns."""

    columns: dict[str, Iterable[object]]

    def __len__(self) -> int:
        return len(list(self.columns["label"]))

    def __getitem__(self, column: str) -> Iterable[object]:
        return self.columns[column]


@given(COLUMNS)
def test_a_coded_column_reads_as_it_was_and_its_texts_are_sorted(cells: list[str]) -> None:
    column = coded(cells)
    assert column.tolist() == list(column) == cells
    assert column.names == column.used_names() == sorted({*cells})
    assert len(column) == len(cells)


@given(COLUMNS)
def test_a_column_that_is_coded_is_not_coded_again(cells: list[str]) -> None:
    column = coded(cells)
    assert coded(column) is column


@given(st.lists(COLUMNS))
def test_parts_are_coded_as_the_whole(parts: list[list[str]]) -> None:
    coder = Coder()
    for part in parts:
        coder.add(part)
    whole = coded([cell for part in parts for cell in part])
    found = coder.coded()
    assert found.names == whole.names
    assert found.codes.tolist() == whole.codes.tolist()


@given(COLUMNS, st.text(max_size=1))
def test_a_question_is_answered_for_each_row(cells: list[str], sought: str) -> None:
    found = coded(cells).where(lambda text: sought in text)
    assert found.tolist() == [sought in cell for cell in cells]


@given(st.lists(st.tuples(st.text(max_size=2), st.integers(), st.booleans())))
def test_picked_rows_are_those_of_the_table_coded_or_not(
    rows: Sequence[tuple[str, int, bool]],
) -> None:
    table = pd.DataFrame(rows, columns=["label", "target", "kept"]).astype({"label": "str"})
    kept = np.array([flag for *_, flag in rows], bool)
    columns: dict[str, Iterable[object]] = {
        "label": coded(table["label"]),
        "target": table["target"],
        "kept": kept,
    }
    for chosen in (kept, np.flatnonzero(kept)[::-1]):
        expected = table[chosen] if chosen is kept else table.iloc[chosen]
        for source in (table, Table(columns)):
            picked = Picked(source, chosen)
            assert len(picked) == len(expected)
            assert list(picked["label"]) == expected["label"].tolist()
            assert list(picked["target"]) == expected["target"].tolist()


def test_texts_that_no_picked_row_has_are_not_counted_as_used() -> None:
    table = Table({"label": coded(["b", "a", "c", "a"])})
    picked = coded(Picked(table, np.array([True, False, True, False]))["label"])
    assert picked.used_names() == ["b", "c"]
    assert len(picked.used()) == 2

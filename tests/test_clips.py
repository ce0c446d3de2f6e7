"""What passes between the stages comes back as it was written, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from timbre.clips import (
    CLIP_COLUMNS,
    SPLIT_COLUMNS,
    known_classes,
    read_classes,
    read_clips,
    read_splits,
    write_clips,
    write_splits,
)
from timbre.problems import InputError

Read = Callable[[Path], object]


def table(columns: dict[str, str], n_rows: int = 3) -> pd.DataFrame:
    """Rows sorted by clip_id; texts that pandas would take for something else."""
    texts = ("NA", "01", "true")
    return pd.DataFrame(
        {
            name: pd.Series(
                [texts[row] if kind == "str" else row for row in range(n_rows)], dtype=kind
            )
            for name, kind in columns.items()
        }
    ).assign(clip_id=[f"clip {row}, \u0639" for row in range(n_rows)])


def test_tables_come_back_as_they_were_written_whatever_the_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    for columns, write, read in (
        (CLIP_COLUMNS, write_clips, read_clips),
        (SPLIT_COLUMNS, write_splits, read_splits),
    ):
        written = table(columns)
        write(written[::-1], path)
        pd.testing.assert_frame_equal(read(path), written, check_dtype=False)
        assert path.read_bytes().count(b"\r") == 0


def test_classes_come_back_as_text_in_the_order_of_their_targets(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"classes": ["z", "NA", "01"]}), encoding="utf-8")
    assert read_classes(path) == ["z", "NA", "01"]


@pytest.mark.parametrize("read", [read_clips, read_splits, read_classes])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "(No columns to parse from file|Expecting value)"),
        (b"\xff\xfe", "'utf-8' codec can't decode"),
    ],
)
def test_a_missing_or_damaged_file_is_named_with_the_reason(
    read: Read, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"file: cannot be used \({reason}.*\): run `dvc repro`"):
        read(path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"classes": 3}'])
def test_labels_without_classes_are_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.json: cannot be used"):
        read_classes(path)


def test_other_columns_are_refused_with_those_expected(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("clip_id,label\n1,2\n")
    with pytest.raises(InputError) as caught:
        read_splits(path)
    assert caught.value.problems == [
        f"{path}: columns ['clip_id', 'label'], expected {list(SPLIT_COLUMNS)}"
    ]


def test_a_target_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(",".join(SPLIT_COLUMNS) + "\na,b,one,c,train\n")
    with pytest.raises(InputError, match=r"splits\.csv: cannot be used \(.*'one'"):
        read_splits(path)


def test_known_classes_are_those_of_the_labels_in_their_order_less_the_unknown() -> None:
    splits = pd.DataFrame(
        {"label": ["b", "a", "c", "b"], "split": ["unknown", "val", "x", "unknown"]}
    )
    assert known_classes(["z", "c", "b", "a"], splits) == ["z", "c", "a"]

"""What passes between the stages comes back as it was written, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from timbre.clips import (
    known_classes,
    read_classes,
    read_clips,
    read_divided,
    read_split_clips,
    read_splits,
    write_clips,
    write_splits,
)
from timbre.columns import CLIP_COLUMNS, SPLIT_COLUMNS
from timbre.problems import InputError

NEEDED = ("train", "val")
Divided = tuple[list[tuple[list[str], list[int]]], list[str]]
Read = Callable[..., Any]


def table(columns: dict[str, str], n_rows: int = 3) -> pd.DataFrame:
    """Rows sorted by clip_id; texts that pandas would take for something else."""
    texts = ("NA", "01", "true")
    return pd.DataFrame(
        {
            name: pd.Series(
                [
                    texts[row] if kind == "str" else row + (name != "target")
                    for row in range(n_rows)
                ],
                dtype=kind,
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


def test_what_looks_like_numbers_stays_text(tmp_path: Path) -> None:
    written = table(SPLIT_COLUMNS).assign(label="01", group="1e3")
    write_splits(written, tmp_path / "splits.csv")
    found = read_splits(tmp_path / "splits.csv")
    assert (found["label"][0], found["group"][0]) == ("01", "1e3")


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
    labels, splits = ["b", "a", "c", "b"], ["unknown", "val", "x", "unknown"]
    assert known_classes(["z", "c", "b", "a"], labels, splits) == ["z", "c", "a"]


GOOD_ROWS = ["a.wav,x,0,g,train", "b.wav,y,1,g,val", "c.wav,x,0,h,test", "d.wav,z,-1,h,unknown"]


def with_pandas(splits: Path, labels: Path) -> Divided:
    table, known = read_divided(splits, labels, NEEDED)
    own = (table[table["split"] == name] for name in NEEDED)
    return [(clips["clip_id"].tolist(), clips["target"].tolist()) for clips in own], known


def without_pandas(splits: Path, labels: Path) -> Divided:
    found, known = read_split_clips(splits, labels, NEEDED)
    return [(clips.clip_ids, clips.targets.tolist()) for clips in found], known


def divided(read: Read, folder: Path, rows: list[str], classes: list[str]) -> Divided:
    """Read both files; return the clips and targets of each split, and the known classes."""
    splits, labels = folder / "splits.csv", folder / "labels.json"
    splits.write_text("\n".join([",".join(SPLIT_COLUMNS), *rows, ""]), encoding="utf-8")
    labels.write_text(json.dumps({"classes": classes}), encoding="utf-8")
    found: Divided = read(splits, labels)
    return found


@pytest.mark.parametrize("read", [with_pandas, without_pandas])
def test_a_split_and_its_labels_are_read_together(read: Read, tmp_path: Path) -> None:
    found = divided(read, tmp_path, [*GOOD_ROWS, "f.wav,y,1,g,train"], ["x", "y", "z"])
    assert found == ([(["a.wav", "f.wav"], [0, 1]), (["b.wav"], [1])], ["x", "y"])


@pytest.mark.parametrize("read", [with_pandas, without_pandas])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "(No columns to parse from file|it is empty)"),
        (b"\xff\xfe", "'utf-8' codec can't decode"),
        (b"clip_id,label,target,group,split\na,b,one,c,train\n", ".*'one'"),
        (
            b"clip_id,label,target,group,split\na,b," + b"9" * 30 + b",c,train\n",
            ".*too (large|big)",
        ),
    ],
)
def test_a_split_that_is_no_table_is_told(
    read: Read, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "splits.csv").write_bytes(content)
    (tmp_path / "labels.json").write_text('{"classes": ["b"]}')
    with pytest.raises(InputError, match=rf"splits\.csv: cannot be used \({reason}.*\): run `dvc"):
        read(tmp_path / "splits.csv", tmp_path / "labels.json")


@pytest.mark.parametrize("read", [with_pandas, without_pandas])
@pytest.mark.parametrize(
    ("rows", "classes", "reasons"),
    [
        (GOOD_ROWS[:1], ["x", "y"], ["no clip is in the split val"]),
        ([], ["x"], ["no clip is in the split train", "no clip is in the split val"]),
        ([*GOOD_ROWS, "e.wav,x,0,g,Test"], ["x", "y", "z"], ["there is no split named 'Test'"]),
        ([*GOOD_ROWS, GOOD_ROWS[0]], ["x", "y", "z"], ["a clip stands in it twice"]),
        (GOOD_ROWS, ["y", "x", "z"], ["its targets are not those of {labels}"]),
        (GOOD_ROWS, ["x", "z"], ["its targets are not those of {labels}"]),
        (
            [*GOOD_ROWS, "e.wav,x,1,g,val"],
            ["x", "y", "z"],
            ["its targets are not those of {labels}"],
        ),
        (
            [*GOOD_ROWS, "e.wav,x,-1,g,val"],
            ["x", "y", "z"],
            ["its targets are not those of {labels}"],
        ),
    ],
)
def test_a_split_that_was_altered_is_told_with_all_reasons(
    read: Read, tmp_path: Path, rows: list[str], classes: list[str], reasons: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        divided(read, tmp_path, rows, classes)
    assert caught.value.problems == [
        f"{tmp_path / 'splits.csv'}: cannot be used "
        f"({reason.format(labels=tmp_path / 'labels.json')}): run `dvc repro`, which makes it anew"
        for reason in reasons
    ]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("clip_id", "clip 0, \u0639", "a clip stands in it twice"),
        ("target", -1, "a target is negative"),
        ("sample_rate", 0, "a sample_rate is not positive"),
        ("n_samples", 0, "a clip has no samples"),
        ("target", "9" * 30, ".*int too (large|big)"),
    ],
)
def test_clips_that_were_altered_are_told(
    tmp_path: Path, column: str, value: str | int, reason: str
) -> None:
    clips = table(CLIP_COLUMNS).astype(object)
    clips.loc[1, column] = value
    write_clips(clips, tmp_path / "clips.csv")
    with pytest.raises(InputError, match=rf"clips\.csv: cannot be used \({reason}"):
        read_clips(tmp_path / "clips.csv")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"classes": "abc"}', "its classes are no list of names"),
        ('{"classes": [1, 2]}', "its classes are no list of names"),
        ('{"classes": ["a", "a"]}', "a class stands in it twice"),
        ("[" * 100_000, "maximum recursion"),
    ],
)
def test_labels_that_were_altered_are_told(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(InputError, match=rf"labels\.json: cannot be used \({reason}"):
        read_classes(tmp_path / "labels.json")

"""clips.csv and splits.csv without pandas: what pandas reads and writes, cell by cell."""

from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import timbre.clip_table
from timbre.clip_table import read_clip_table, write_split_table
from timbre.clips import read_clips, write_clips, write_splits
from timbre.columns import CLIP_COLUMNS, SPLIT_COLUMNS
from timbre.problems import InputError

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)
HASHES = st.text("0123456789abcdef", min_size=1, max_size=6)
ROWS = st.tuples(CELLS, CELLS, st.integers(0, 9), CELLS, CELLS, CELLS, HASHES)
TABLES = st.lists(ROWS, max_size=12, unique_by=lambda row: row[0])
NAMES = ("clip_id", "label", "target", "group", "table_group", "split", "sha256")


def frame(rows: list[tuple[str, str, int, str, str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(NAMES))
    return table.assign(path="x", sample_rate=8000, n_channels=1, n_samples=1)


def small() -> pd.DataFrame:
    return frame([(f"{n}.wav", "a", 0, "g", "", "", f"{n:064x}") for n in range(3)])


@given(TABLES, st.integers(1, 5), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_a_table_is_read_as_pandas_reads_it_whatever_its_order_and_its_parts(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, int, str, str, str, str]],
    n_rows: int,
    shuffler: Random,
) -> None:
    path = tmp_path_factory.mktemp("t") / "clips.csv"
    write_clips(frame(rows), path)
    expected = read_clips(path)
    lines = expected[list(CLIP_COLUMNS)].to_numpy().tolist()
    shuffler.shuffle(lines)
    shuffled = pd.DataFrame(lines, columns=list(CLIP_COLUMNS))
    shuffled.to_csv(path, index=False, lineterminator="\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timbre.clip_table, "ROWS", n_rows)
        table = read_clip_table(path)
    assert len(table) == len(expected)
    for name in NAMES:
        assert list(table[name]) == expected[name].tolist()


@given(TABLES, st.data())
@settings(max_examples=50)
def test_a_split_is_written_to_the_byte_as_pandas_writes_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, int, str, str, str, str]],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("t")
    write_clips(frame(rows), folder / "clips.csv")
    table = read_clip_table(folder / "clips.csv")
    names = st.sampled_from(["train", "val", "test", "unknown"])
    splits = np.array(data.draw(st.lists(names, min_size=len(rows), max_size=len(rows))), np.str_)
    write_split_table(table, splits, folder / "ours.csv")
    columns = {name: splits if name == "split" else list(table[name]) for name in SPLIT_COLUMNS}
    write_splits(pd.DataFrame(columns), folder / "pandas.csv")
    assert (folder / "ours.csv").read_bytes() == (folder / "pandas.csv").read_bytes()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("clip_id", "0.wav", "a clip stands in it twice"),
        ("target", -1, "a target is negative"),
        ("sample_rate", 0, "a sample_rate is not positive"),
        ("n_samples", 0, "a clip has no samples"),
        ("target", "one", "invalid literal for int.*'one'"),
        ("target", "9" * 30, ".*int too (large|big).*"),
        ("sha256", "\u0639", "'ascii' codec can't encode.*"),
    ],
)
def test_clips_that_were_altered_are_told(
    tmp_path: Path, column: str, value: str | int, reason: str
) -> None:
    clips = small().astype(object)
    clips.loc[1, column] = value
    write_clips(clips, tmp_path / "clips.csv")
    way_out = r"\): run `dvc repro`, which makes it anew"
    with pytest.raises(InputError, match=rf"clips\.csv: cannot be used \({reason}{way_out}"):
        read_clip_table(tmp_path / "clips.csv")


HEADER = ",".join(CLIP_COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"\xff\xfe", "'utf-8' codec can't decode"),
        ((HEADER + "a.wav\n").encode(), "not all rows have 11 cells"),
        ((HEADER + '"a.wav').encode(), "unexpected end of data"),
    ],
)
def test_a_missing_or_damaged_table_is_named_with_the_reason(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "clips.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot be used \({reason}.*\): run `dvc repro`"):
        read_clip_table(path)


def test_other_columns_are_refused_with_those_expected(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text("clip_id,label\n1,2\n")
    with pytest.raises(InputError) as caught:
        read_clip_table(path)
    assert caught.value.problems == [
        f"{path}: columns ['clip_id', 'label'], expected {list(CLIP_COLUMNS)}"
    ]

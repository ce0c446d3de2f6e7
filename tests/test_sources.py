import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.clips import read_clips, write_clips
from timbre.columns import CLIP_COLUMNS
from timbre.problems import InputError
from timbre.sources import Source, read_sources

HEADER = "clip_id,path,sha256\n"
cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "clips.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def frame(names: list[str]) -> pd.DataFrame:
    """Clips of these names, as encode_labels lists them."""
    rows = [
        {name: 1 if kind == "int64" else "NA" for name, kind in CLIP_COLUMNS.items()}
        | {"clip_id": name, "path": f"files/{name}", "sha256": f"{number:064x}"}
        for number, name in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=list(CLIP_COLUMNS))


def test_sources_are_what_the_clips_table_says_in_its_order(tmp_path: Path) -> None:
    names = ["b.wav", "a, b.wav", 'say "a".wav', "سورة/آية 1.wav", "NA", "01", " a ", "a\nb.wav"]
    write_clips(frame(names), tmp_path / "clips.csv")
    clips = read_clips(tmp_path / "clips.csv")
    expected = list(zip(clips.clip_id, clips.path, clips.sha256, strict=True))
    assert read_sources(tmp_path / "clips.csv") == expected
    assert [clip_id for clip_id, _, _ in expected] == sorted(names)


@given(st.lists(st.tuples(cells, cells, cells), max_size=5))
def test_any_cell_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("clips") / "clips.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        # Quoted: the reader would take a bare "\r" in a cell for the end of a row.
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([HEADER.strip().split(","), *rows])
    assert read_sources(path) == [Source(*row) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "clip_id,path,sha256\na,f,0\nb,g,1\n",
        "sha256,clip_id,path\n0,a,f\n1,b,g\n",
        "label,path,clip_id,,sha256,n\nx,f,a,,0,3\nx,g,b,,1,3\n",
        "clip_id,path,sha256\r\na,f,0\r\nb,g,1",
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, text: str) -> None:
    assert read_sources(table(tmp_path, text)) == [Source("a", "f", "0"), Source("b", "g", "1")]


def test_a_table_without_clips_has_no_sources(tmp_path: Path) -> None:
    assert read_sources(table(tmp_path, HEADER)) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("", "it is empty"),
        ("clip_id,path\na,f\n", "'sha256' is not in list"),
        ("path,sha256\n", "'clip_id' is not in list"),
        (HEADER + "a,f,0\nb,g\n", "list index out of range"),
        (HEADER + "\n", "list index out of range"),
        (HEADER.encode() + "ö,f,0\n".encode("latin-1"), "'utf-8' codec can't decode byte 0xf6"),
        (HEADER + '"a"b,f,0\n', """',' expected after '"'"""),
        (HEADER + '"a,f,0\n', "unexpected end of data"),
    ],
)
def test_what_is_no_such_table_is_named_with_its_reason(
    tmp_path: Path, content: str | bytes | None, reason: str
) -> None:
    path = tmp_path / "clips.csv"
    if content is not None:
        table(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_sources(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: cannot be used ({reason}")
    assert problem.endswith("): run `dvc repro`, which makes it anew")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be used \(Is a directory\)"):
        read_sources(tmp_path)

import csv
import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import timbre.table_text
from timbre.problems import InputError
from timbre.table import Table, read_table

PLAIN = "FilePath,Class,Group,Split\na.wav,cat,g1,train\nb.wav,dog,g2,test\n"


def read(tmp_path: Path, content: str | bytes) -> Table:
    path = tmp_path / "filespaths.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def problems(tmp_path: Path, content: str | bytes) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    return caught.value.problems


def cells(table: Table, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(row) for row in table.rows[list(columns)].to_numpy().tolist()]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_every_unicode_encoding_gives_the_same_rows(tmp_path: Path, encoding: str) -> None:
    text = "FilePath,Class\nصوت.wav,عبد الرحمن\nb.wav,ö\n"
    table = read(tmp_path, text.encode(encoding))
    assert cells(table, "file_path", "label") == [("صوت.wav", "عبد الرحمن"), ("b.wav", "ö")]
    assert table.warnings == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "cp1252"])
def test_a_letter_between_two_parts_of_the_file_changes_nothing(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = ("FilePath,Class\n" + "öäü.wav,é\nb.wav,ö\n" * 3).encode(encoding)
    whole = read(tmp_path, content)
    monkeypatch.setattr(timbre.table_text, "PART", 1)
    parts = read(tmp_path, content)
    assert parts.rows.equals(whole.rows)
    assert parts.warnings == whole.warnings


@pytest.mark.parametrize("byte", [b"\xe9", b"\xe9\x81"])
def test_other_encodings_are_read_as_western_with_a_warning(tmp_path: Path, byte: bytes) -> None:
    table = read(tmp_path, b"FilePath,Class\na.wav,caf" + byte + b"\nb.wav,x\n")
    assert table.rows["label"][0].startswith("café")
    assert "is not UTF-8" in table.warnings[0]
    assert "save it as UTF-8" in table.warnings[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separator_and_line_end_change_nothing(tmp_path: Path, separator: str, end: str) -> None:
    text = PLAIN.replace(",", separator).replace("\n", end)
    assert read(tmp_path, text).rows.equals(read(tmp_path, PLAIN).rows)


@given(
    st.lists(
        st.tuples(
            *[
                st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")).map(
                    "x{}y".format
                )
            ]
            * 2
        ),
        min_size=1,
    ),
    st.sampled_from([",", ";", "\t"]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([("FilePath", "Class"), *rows])
    table = read(tmp_path_factory.mktemp("t"), text.getvalue())
    assert table.rows["file_path"].to_list() == [path for path, _ in rows]
    assert table.rows["row"].to_list() == list(range(2, len(rows) + 2))


words = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(words, words), max_size=6),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_rows_are_read_as_written_or_told_by_their_number(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    encoding: str,
    separator: str,
    end: str,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerows([("FilePath", "Class"), *(("x" + path, label) for path, label in rows)])
    folder = tmp_path_factory.mktemp("t")
    content = text.getvalue().encode(encoding)
    if not rows or any(not label.strip() for _, label in rows):
        assert all("row" in problem for problem in problems(folder, content))
    else:
        table = read(folder, content)
        assert table.rows["file_path"].to_list() == ["x" + path for path, _ in rows]
        labels = [unicodedata.normalize("NFC", label.strip()) for _, label in rows]
        assert table.rows["label"].to_list() == labels


def test_quoted_line_breaks_blank_lines_and_quotes_keep_the_numbers_of_a_spreadsheet(
    tmp_path: Path,
) -> None:
    table = read(tmp_path, '\nFilePath,Class\n"a\nb.wav","say ""hi"", cat"\n\n,,\nc.wav,dog\n')
    assert cells(table, "file_path", "label") == [("a\nb.wav", 'say "hi", cat'), ("c.wav", "dog")]
    assert table.rows["row"].to_list() == [3, 6]


@pytest.mark.parametrize("body", ['"a.wav,cat\nb.wav,dog\n', '"a"b.wav,cat\n', '"' + "x" * 200_000])
def test_a_broken_quotation_mark_is_told_with_its_row(tmp_path: Path, body: str) -> None:
    (told,) = problems(tmp_path, "FilePath,Class\n" + body)
    assert "filespaths.csv: row 2: " in told
    assert "quotation mark not closed" in told


def test_a_quotation_mark_left_open_in_the_header_is_told(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, '"FilePath,Class\na,b\n')
    assert "row 1: " in told


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04...", "save it as CSV"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\xff\xfeF\x00i", "is damaged utf-16 text"),
    ],
)
def test_what_is_no_table_is_told_with_the_way_out(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (told,) = problems(tmp_path, content)
    assert reason in told


def test_an_unreadable_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: cannot be read: No such file"):
        read_table(tmp_path / "nowhere.csv")

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.problems import MAX_LISTED, InputError, Lines, capped
from timbre.table import Table, examine_table, find_table, read_table

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


def test_rows_are_the_cells_and_their_numbers_count_from_the_header(tmp_path: Path) -> None:
    table = read(tmp_path, PLAIN)
    assert table.rows.to_dict("list") == {
        "file_path": ["a.wav", "b.wav"],
        "label": ["cat", "dog"],
        "group": ["g1", "g2"],
        "split": ["train", "test"],
        "row": [2, 3],
    }
    assert table.warnings == []


@pytest.mark.parametrize(
    "header", ["file_path,class", "File Path,CLASS", " filePath , Class ", "FILE_PATH,cLaSs"]
)
def test_spelling_of_the_header_changes_nothing(tmp_path: Path, header: str) -> None:
    table = read(tmp_path, f"{header}\na.wav,cat\n")
    assert cells(table, "file_path", "label", "group", "split") == [("a.wav", "cat", "", "")]


def test_columns_are_found_by_name_and_others_are_ignored(tmp_path: Path) -> None:
    table = read(tmp_path, "Note,Class,,Group,FilePath,Note\nx,cat,1,g,a.wav,\ny,dog,2,h,b.wav,\n")
    assert cells(table, "file_path", "label", "group") == [
        ("a.wav", "cat", "g"),
        ("b.wav", "dog", "h"),
    ]


@pytest.mark.parametrize(
    "label", ["NA", "None", "nan", "null", "true", "01", "1.0", "1e3", "-", "=1"]
)
def test_every_label_is_text(tmp_path: Path, label: str) -> None:
    table = read(tmp_path, f"FilePath,Class,Group\n{label},{label},{label}\n")
    assert cells(table, "file_path", "label", "group") == [(label, label, label)]


def test_labels_and_groups_lose_outer_blanks_and_paths_do_not(tmp_path: Path) -> None:
    table = read(tmp_path, "FilePath,Class,Group,Split\n a.wav , big cat , g , TRAIN \n")
    assert cells(table, "file_path", "label", "group", "split") == [
        (" a.wav ", "big cat", "g", "train")
    ]


def test_labels_in_either_unicode_form_are_one_label(tmp_path: Path) -> None:
    table = read(tmp_path, "FilePath,Class\na.wav,caf\u00e9\nb.wav,cafe\u0301\n")
    assert table.rows["label"].to_list() == ["caf\u00e9"] * 2


@pytest.mark.parametrize(
    ("words", "split"),
    [
        ("train Training TRAIN", "train"),
        ("val validation dev Valid", "val"),
        ("test Testing", "test"),
    ],
)
def test_every_usual_word_for_a_split_is_known(tmp_path: Path, words: str, split: str) -> None:
    rows = "".join(f"{word}.wav,cat,{word}\n" for word in words.split())
    table = read(tmp_path, "FilePath,Class,Split\n" + rows)
    assert set(table.rows["split"]) == {split}


@pytest.mark.parametrize("header", ["Split", "Fold", " fold"])
def test_folds_are_numbers_in_a_column_of_either_name(tmp_path: Path, header: str) -> None:
    table = read(tmp_path, f"FilePath,Class,{header}\na.wav,cat,1\nb.wav,cat, 02 \nc.wav,dog,10\n")
    assert table.rows["split"].to_list() == ["1", "2", "10"]


def test_a_table_has_one_split_by_whatever_name(tmp_path: Path) -> None:
    told = problems(tmp_path, "FilePath,Class,Fold,Split\na.wav,cat,1,train\n")
    (line,) = told
    assert line.endswith(": column Split is there more than once: 'Fold', 'Split': keep one")


def test_labels_that_look_alike_are_kept_apart_with_a_warning(tmp_path: Path) -> None:
    table = read(tmp_path, "FilePath,Class\na,Cat\nb,cat\nc,big cat\nd,bigcat\ne,dog\n")
    assert table.rows["label"].nunique() == 5
    assert [warning.split(" differ")[0] for warning in table.warnings] == [
        "labels 'Cat', 'cat'",
        "labels 'big cat', 'bigcat'",
    ]


def test_labels_that_differ_by_outer_blanks_are_one_with_a_warning(tmp_path: Path) -> None:
    table = read(tmp_path, "FilePath,Class\na,cat\nb,cat \n")
    assert set(table.rows["label"]) == {"cat"}
    assert table.warnings == [
        "some labels differ only by blanks around them: they are read as one label"
    ]


def test_all_problems_of_the_rows_are_told_at_once(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        "FilePath,Class,Group,Split\n"
        "a.wav,,g,train\n"
        " ,cat,g,test\n"
        "c.wav,cat,,val\n"
        "d.wav,cat,g,\n"
        "e.wav,cat,g,often\n"
        "f,g.wav,cat,g,train\n"
        "h.wav\n",
    )
    assert told == [
        "row 7: has 5 cells, the header has 4: a name with a separator in it must stand in "
        "quotation marks",
        "row 3: FilePath is empty",
        "row 2: Class is empty",
        "row 8: Class is empty",
        "row 4: Group is empty: fill all cells of the column or none",
        "row 8: Group is empty: fill all cells of the column or none",
        "row 5: Split is empty: fill all cells of the column or none",
        "row 8: Split is empty: fill all cells of the column or none",
        "row 6: Split 'often' is unknown: write train, val or test, or a fold's number",
        "row 7: Split 'g' is unknown: write train, val or test, or a fold's number",
    ]


def test_what_is_too_long_for_a_fold_is_told_and_not_counted_with(tmp_path: Path) -> None:
    told = problems(tmp_path, f"FilePath,Class,Fold\na,x,0007\nb,y,{'1' * 5000}\n")
    assert len(told) == 1
    assert told[0].startswith("row 3: Split '11111")


def test_wholly_empty_group_and_split_columns_are_as_none(tmp_path: Path) -> None:
    table = read(tmp_path, "FilePath,Class,Group,Split\na,x,,\nb,y, ,\n")
    assert set(table.rows["group"]) | set(table.rows["split"]) == {""}


def test_a_carriage_return_inside_a_cell_is_a_problem(tmp_path: Path) -> None:
    told = problems(tmp_path, 'FilePath,Class\n"a\rb.wav",cat\nc.wav,"d\0"\n')
    assert told == [
        "row 2: FilePath holds a carriage return or a NUL",
        "row 3: Class holds a carriage return or a NUL",
    ]


def test_missing_columns_are_told_with_those_that_are_there(tmp_path: Path) -> None:
    told = problems(tmp_path, "path;label\na;b\n")
    assert [line.split("csv: ")[1] for line in told] == [
        "column FilePath is missing; the table has 'path', 'label'",
        "column Class is missing; the table has 'path', 'label'",
    ]


def test_doubly_named_columns_are_told(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "FilePath,file_path,Class\na,b,c\n")
    assert told.endswith(
        "column FilePath is there more than once: 'FilePath', 'file_path': keep one"
    )


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n"])
def test_an_empty_table_is_told(tmp_path: Path, content: bytes) -> None:
    (told,) = problems(tmp_path, content)
    assert told.endswith("filespaths.csv: is empty: it needs the columns FilePath and Class")


def test_a_header_alone_is_told(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "FilePath,Class\n\n")
    assert told.endswith("filespaths.csv: there is a header but no row below it")


@pytest.mark.parametrize("name", ["filespaths.csv", "files_paths.csv"])
def test_the_table_is_found_by_either_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(PLAIN)
    assert find_table(tmp_path) == tmp_path / name


def test_two_tables_or_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(PLAIN)
    with pytest.raises(InputError, match=r"filespaths\.csv is missing \(there is mine\.csv\)"):
        find_table(tmp_path)
    (tmp_path / "filespaths.csv").write_text(PLAIN)
    (tmp_path / "files_paths.csv").write_text(PLAIN)
    with pytest.raises(InputError, match=r"both filespaths\.csv and files_paths\.csv"):
        find_table(tmp_path)


def test_a_missing_root_is_told_with_what_queued_runs_need(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.root must be a folder .*`dvc add`"):
        find_table(tmp_path / "nowhere")


@given(st.integers(0, 3 * MAX_LISTED))
def test_a_long_list_is_cut_and_nothing_goes_uncounted(n: int) -> None:
    told = capped([str(i) for i in range(n)])
    assert told[:MAX_LISTED] == [str(i) for i in range(min(n, MAX_LISTED))]
    assert told[MAX_LISTED:] == ([f"... and {n - MAX_LISTED} more like the one above"] * (n > 50))


def test_of_ten_million_messages_only_those_shown_are_written() -> None:
    written: list[int] = []

    def write(number: int) -> str:
        written.append(number)
        return str(number)

    told = capped(Lines(10_000_000, write))
    assert written == list(range(MAX_LISTED))
    assert told[-1] == f"... and {10_000_000 - MAX_LISTED} more like the one above"


def test_every_message_can_be_had(tmp_path: Path) -> None:
    path = tmp_path / "filespaths.csv"
    path.write_text("FilePath,Class\n" + "a.wav,\n" * 200)
    (empty,) = examine_table(path).problems
    assert list(empty) == [f"row {number}: Class is empty" for number in range(2, 202)]


def test_two_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    n = 200_000
    text = "FilePath,Class,Group\n" + "".join(f"c{i}.wav,k{i % 9},g{i % 99}\n" for i in range(n))
    start = time.process_time()
    assert len(read(tmp_path, text).rows) == n
    assert time.process_time() - start < 10  # 1 s here; a loop over pandas rows takes minutes


def test_a_named_table_is_taken_and_a_missing_one_told(tmp_path: Path) -> None:
    for name in ("filespaths.csv", "speakers.csv"):
        (tmp_path / name).write_text("FilePath,Class\n")
    assert find_table(tmp_path, "speakers.csv") == tmp_path / "speakers.csv"
    with pytest.raises(InputError, match=r"words\.csv is missing \(there is filespaths\.csv, spe"):
        find_table(tmp_path, "words.csv")

import errno
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.audio_tree import list_tree
from timbre.cli import main
from timbre.corpus import resolve_paths
from timbre.index import index_rows, pattern_rows, write_index
from timbre.problems import InputError
from timbre.table import read_table


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def problems(folder: Path, force: bool = False) -> list[str]:
    with pytest.raises(InputError) as caught:
        write_index(folder, folder / "filespaths.csv", force)
    return caught.value.problems


def test_the_class_is_the_first_folder_and_rows_are_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.WAV", "cat/z.ogg", "cat/a.flac", "cat/deep/er/c.mp3")
    told = write_index(tmp_path, tmp_path / "filespaths.csv", force=False)
    assert told.endswith("filespaths.csv: 4 clips, 2 classes")
    assert (tmp_path / "filespaths.csv").read_text() == (
        "FilePath,Class\ncat/a.flac,cat\ncat/deep/er/c.mp3,cat\ncat/z.ogg,cat\ndog/b.WAV,dog\n"
    )


def test_the_second_folder_is_the_group_where_every_file_has_one() -> None:
    assert index_rows(["cat/tom/a.wav", "cat/tom/b/c.wav", "dog/rex/a.wav"]) == [
        ["FilePath", "Class", "Group"],
        ["cat/tom/a.wav", "cat", "tom"],
        ["cat/tom/b/c.wav", "cat", "tom"],
        ["dog/rex/a.wav", "dog", "rex"],
    ]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.wav", "cat/.b.wav", ".git/c.wav", "cat/._a.wav")
    assert list_tree(tmp_path) == (["cat/a.wav"], [])


def test_what_is_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.wav", "cat/b.m4a", "dog/c.M4A", "dog/README")
    (tmp_path / "bird").symlink_to("cat")
    told = write_index(tmp_path, tmp_path / "filespaths.csv", force=False)
    assert "1 clips, 1 classes; skipped" in told
    assert told.endswith(".m4a (2), bird (1), dog/README (1)")


def test_a_folder_without_audio_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "cat/b.m4a")
    (told,) = problems(tmp_path)
    assert told.startswith(f"{tmp_path}: no audio found in its folders; skipped")
    assert told.endswith(".m4a (1)")
    assert not (tmp_path / "filespaths.csv").exists()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: no such folder"]


def test_all_files_without_a_class_and_all_unfit_names_are_told_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "cat/c\rd.wav", " dog/e.wav", "cat/x /f.wav", " dog/g.wav")
    assert problems(tmp_path) == [
        "'a.wav' lies in no class folder: move it into a folder named as its class",
        "'b.wav' lies in no class folder: move it into a folder named as its class",
        "folder ' dog' begins or ends with a blank, which labels cannot: rename it",
        "'cat/c\\rd.wav' has a carriage return in its name: rename it",
        "folder 'x ' begins or ends with a blank, which labels cannot: rename it",
    ]


def test_a_name_that_is_not_utf8_is_told() -> None:
    name = b"cat/caf\xe9.wav".decode("utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match="has a name that is not UTF-8: rename it"):
        index_rows([name])


def test_a_table_is_replaced_only_by_force(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.wav")
    (tmp_path / "filespaths.csv").write_text("mine")
    (told,) = problems(tmp_path)
    assert told.endswith("is there already: remove it, or replace it with --force")
    assert (tmp_path / "filespaths.csv").read_text() == "mine"
    write_index(tmp_path, tmp_path / "filespaths.csv", force=True)
    assert (tmp_path / "filespaths.csv").read_text() == "FilePath,Class\ncat/a.wav,cat\n"


def test_a_second_table_of_the_other_name_is_never_made(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.wav", "files_paths.csv")
    (told,) = problems(tmp_path, force=True)
    assert "files_paths.csv: is there already" in told


def test_a_table_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.wav", "file")
    with pytest.raises(InputError, match=r"t\.csv: cannot be written: "):
        write_index(tmp_path, tmp_path / "file/t.csv", force=False)


names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0\r"), min_size=1, max_size=8
).map(lambda text: unicodedata.normalize("NFC", text.strip()))
folders = names.filter(lambda name: name and name == name.strip() and not name.startswith("."))


@settings(max_examples=40)
@given(
    st.dictionaries(folders, st.sets(names.map("{}.wav".format)), min_size=2).filter(
        lambda tree: sum(map(bool, tree.values())) > 1
    ),
    st.booleans(),
)
def test_what_is_indexed_is_read_back_with_its_folder_as_label(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, set[str]], grouped: bool
) -> None:
    root = tmp_path_factory.mktemp("corpus")
    inner = "take one/" if grouped else ""
    wanted = {
        f"{folder}/{inner}{name}": folder
        for folder, files in tree.items()
        for name in files
        if not name.startswith(".")
    }
    if len(set(wanted.values())) < 2:
        return
    touch(root, *wanted)
    write_index(root, root / "filespaths.csv", force=False)
    rows = read_table(root / "filespaths.csv").rows
    found = resolve_paths(rows, root, "", allow_outside=False).rows
    assert dict(zip(found["clip_id"], found["label"], strict=True)) == wanted
    assert set(found["group"]) == {"take one" if grouped else ""}


def test_a_table_beside_the_audio_folder_is_read_with_that_folder(tmp_path: Path) -> None:
    touch(tmp_path, "Dataset/cat/a.wav", "Dataset/dog/a.wav")
    output = tmp_path / "filespaths.csv"
    assert main(["index", str(tmp_path / "Dataset"), "--output", str(output)]) == 0
    found = resolve_paths(read_table(output).rows, tmp_path, "Dataset", allow_outside=False)
    assert found.rows["clip_id"].to_list() == ["cat/a.wav", "dog/a.wav"]


def test_a_problem_ends_the_command_with_one_line_and_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: no audio found in its folders\n"


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "cat/a.wav", "dog/b.wav")
    scandir = os.scandir

    def refuse(folder: str) -> Iterator[os.DirEntry[str]]:  # not by its mode: root may read all
        if folder.endswith("dog"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert problems(tmp_path) == [f"{tmp_path}/dog: cannot be read: Permission denied"]
    assert not (tmp_path / "filespaths.csv").exists()


def test_a_pattern_says_what_stands_where_in_the_paths() -> None:
    audio = ["test/anna_07_yes.wav", "train/tom_1_2_no.wav"]
    assert pattern_rows(audio, "{split}/{group}_*_{class}.wav") == [
        ["FilePath", "Class", "Group", "Split"],
        ["test/anna_07_yes.wav", "yes", "anna", "test"],
        ["train/tom_1_2_no.wav", "2_no", "tom", "train"],  # each takes as little as it can
    ]
    assert pattern_rows(["a/b/c/5-x-0-3.ogg", "5-y-0-4.ogg"], "**{group}-{}-*-{class}.*") == [
        ["FilePath", "Class", "Group"],
        ["a/b/c/5-x-0-3.ogg", "3", "5"],
        ["5-y-0-4.ogg", "4", "5"],
    ]


def test_a_pattern_takes_the_layouts_of_known_corpora_apart() -> None:
    for path, pattern, row in (
        ("audio/1-100032-A-0.wav", "audio/{fold}-{group}-*-{class}.wav", ["0", "100032", "1"]),
        ("yes/0a7c2a8d_nohash_0.wav", "{class}/{group}_nohash_*.wav", ["yes", "0a7c2a8d"]),
        ("fold5/100032-3-0-0.wav", "fold{fold}/{group}-{class}-*-*.wav", ["3", "100032", "5"]),
        ("recordings/7_jackson_32.wav", "recordings/{class}_{group}_*.wav", ["7", "jackson"]),
    ):
        assert pattern_rows([path], pattern)[1] == [path, *row]


@given(st.lists(st.from_regex(r"[a-z.()+]{1,5}", fullmatch=True), min_size=2, max_size=2))
def test_what_is_no_placeholder_stands_for_itself(names: list[str]) -> None:
    path = "/".join(["in (1).[x]+", *names])
    assert pattern_rows([path], "in (1).[x]+/{class}/{group}")[1] == [path, *names]


def test_all_files_that_a_pattern_does_not_fit_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "yes/a_1.wav", "yes/b.wav", "no/ c _1.wav", "no/_1.wav")
    with pytest.raises(InputError) as caught:
        write_index(tmp_path, tmp_path / "t.csv", False, "{class}/{group}_*.wav")
    assert caught.value.problems == [
        "'yes/b.wav' does not fit the pattern '{class}/{group}_*.wav'",
        "'no/ c _1.wav': its group is ' c ': a label is not empty and ends in no blank",
        "'no/_1.wav': its group is '': a label is not empty and ends in no blank",
    ]
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    ("pattern", "reasons"),
    [
        ("*/{group}.wav", ["it has no {class}"]),
        ("{split}/{fold}/{class}.wav", ["{split} and {fold} are one column"]),
        ("{class}/{class}_{speaker}.wav", ["no column is called 'speaker'", "{class} stands in"]),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(pattern: str, reasons: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        pattern_rows(["a/b.wav"], pattern)
    for problem, reason in zip(caught.value.problems, reasons, strict=True):
        assert problem.startswith(f"pattern {pattern!r}: {reason}")


def test_the_command_takes_a_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path, "yes_anna.wav", "no_tom.wav")
    assert main(["index", str(tmp_path), "--pattern", "{class}_{group}.wav"]) == 0
    assert capsys.readouterr().out.endswith("filespaths.csv: 2 clips, 2 classes, 2 groups\n")

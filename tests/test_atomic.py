"""A file appears whole or not at all; equal documents are equal bytes."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.atomic import replacing, write_json


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_somebody_planted_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timbre.atomic.secrets.token_hex", lambda _: "guessed")
    (tmp_path / "precious").write_text("theirs")
    (tmp_path / f".a.txt.guessed.{os.getpid()}.tmp").symlink_to("precious")
    with pytest.raises(FileExistsError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("ours")
    assert (tmp_path / "precious").read_text() == "theirs"
    assert not (tmp_path / "a.txt").exists()


def test_a_link_at_the_place_itself_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("theirs")
    (tmp_path / "a.txt").symlink_to("precious")
    write_json("ours", tmp_path / "a.txt")
    assert (tmp_path / "precious").read_text() == "theirs"
    assert not (tmp_path / "a.txt").is_symlink()


def test_temporary_names_cannot_be_told_and_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    names = set()
    for _ in range(9):
        with replacing(tmp_path / "a.txt") as temporary:
            names.add(temporary.name)
    assert len(names) == 9
    (tmp_path / "usual").touch()
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_json_is_indented_text_with_its_letters_and_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    write_json({"b": ["عبد", 1], "a": None}, path)
    assert path.read_bytes().decode("utf-8") == (
        '{\n  "b": [\n    "عبد",\n    1\n  ],\n  "a": null\n}\n'
    )
    assert list(path.parent.iterdir()) == [path]


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=5,
)


@given(documents)
def test_json_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "document.json"
    write_json(document, path)
    assert json.loads(path.read_text(encoding="utf-8")) == document


def test_what_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json("old", path)
    with pytest.raises(TypeError):
        write_json({"path": path}, path)
    assert list(tmp_path.iterdir()) == [path]
    assert json.loads(path.read_text(encoding="utf-8")) == "old"

"""A file appears whole or not at all; equal documents are equal bytes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.atomic import _host, leftovers, replacing, write_json


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
    (tmp_path / f".a.txt.guessed.{os.getpid()}-{_host()}.tmp").symlink_to("precious")
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


def fail_with(error: Exception, path: Path) -> None:
    with replacing(path):
        raise error


def test_an_error_of_the_system_names_the_file_and_not_its_temporary_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timbre.atomic.secrets.token_hex", lambda _: "token")
    path = tmp_path / "a.txt"
    temporary = str(path.with_name(f".a.txt.token.{os.getpid()}-{_host()}.tmp"))
    for name in (temporary, None):
        with pytest.raises(OSError, match="no room") as caught:
            fail_with(OSError(28, "no room", name), path)
        assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="no room") as caught:
        fail_with(OSError(28, "no room", "another"), path)
    assert caught.value.filename == "another"


@pytest.mark.parametrize(
    "said", ["I/O error: No space (os error 28)", "write failed: errno = 28, error message = 'No'"]
)
def test_an_error_that_a_library_hides_is_the_systems(said: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught:
        fail_with(RuntimeError(said), tmp_path / "a")
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "a"))
    with pytest.raises(RuntimeError, match="another reason"):
        fail_with(RuntimeError("another reason"), tmp_path / "a")


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {
        f".a[1].txt.{gone.pid}.tmp": True,
        f".a[1].txt.{gone.pid}-{_host()}.tmp": True,
        f".a[1].txt.{gone.pid}-0badcafe.tmp": False,  # on another machine it may run
        f".b.txt.{gone.pid}.tmp": False,  # of another file
        f".a[1].txt.{os.getppid()}.tmp": False,  # of a process that runs
        ".a[1].txt.99999999999.tmp": False,  # no process was ever called so
        ".a[1].txt.mine.tmp": False,
    }
    for name in names:
        (tmp_path / name).write_text("half")
    others = f".b.txt.{gone.pid}.tmp"
    assert {p.name for p in leftovers(tmp_path)} == {others, *(n for n in names if names[n])}
    with replacing(tmp_path / "a[1].txt") as temporary:
        temporary.write_text("whole")
    assert {name: not (tmp_path / name).exists() for name in names} == names


def test_a_temporary_file_of_another_user_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    (tmp_path / ".a.1.tmp").write_text("half")
    monkeypatch.setattr(psutil.Process, "status", refuse)
    assert leftovers(tmp_path) == []


def test_a_writer_that_nobody_buried_is_gone_as_well(tmp_path: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert zombie.stdout
    zombie.stdout.read()
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    left = tmp_path / f".a.{zombie.pid}.tmp"
    left.write_text("half")
    assert leftovers(tmp_path) == [left]
    zombie.communicate()


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

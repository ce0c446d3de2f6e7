import os
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from timbre.places import Finder


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def one(root: Path, written: str, audio: str = "", allow_outside: bool = False) -> tuple[str, str]:
    """Find a good path; return its clip_id and path."""
    place = Finder(root, root / audio, allow_outside).find(written)
    assert place.problem == ""
    return place.clip_id, place.path


def fault(root: Path, written: str, audio: str = "") -> str:
    """Look for a bad path; return what is said of it."""
    return Finder(root, root / audio, allow_outside=False).find(written).problem


def test_path_is_below_root_and_clip_id_below_the_audio_folder(tmp_path: Path) -> None:
    touch(tmp_path, "audio/cat/a.wav")
    assert one(tmp_path, "cat/a.wav", "audio") == ("cat/a.wav", "audio/cat/a.wav")
    assert one(tmp_path, "cat/a.wav", "./audio/") == ("cat/a.wav", "audio/cat/a.wav")


@pytest.mark.parametrize(
    "written",
    ["cat/a.wav", "./cat/a.wav", "cat\\a.wav", ".\\cat\\a.wav", "cat//x/../a.wav", " cat/a.wav "],
)
def test_every_spelling_of_a_path_names_the_same_clip(tmp_path: Path, written: str) -> None:
    touch(tmp_path, "cat/a.wav")
    assert one(tmp_path, written) == ("cat/a.wav", "cat/a.wav")


@pytest.mark.parametrize(
    "name",
    ["a b.wav", " a.wav", "a,b.wav", "a\nb.wav", "-a.wav", "=a.wav", "a\\b.wav", "صوت.wav", "~"],
)
def test_odd_names_are_found_as_they_are(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    assert one(tmp_path, name) == (name, name)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_either_unicode_form_finds_the_file_and_ids_are_nfc(
    tmp_path: Path, on_disk: Literal["NFC", "NFD"], in_table: Literal["NFC", "NFD"]
) -> None:
    disk = unicodedata.normalize(on_disk, "é/ö.wav")
    touch(tmp_path, disk)
    clip_id, path = one(tmp_path, unicodedata.normalize(in_table, "é/ö.wav"))
    assert clip_id == unicodedata.normalize("NFC", "é/ö.wav")
    assert (tmp_path / path).read_bytes() == disk.encode()


def test_absolute_paths_are_taken_inside_the_audio_folder_alone(tmp_path: Path) -> None:
    touch(tmp_path, "corpus/audio/a.wav", "corpus/b.wav")
    root = tmp_path / "corpus"
    assert one(root, str(root / "audio/a.wav"), "audio") == ("a.wav", "audio/a.wav")
    assert "lies outside" in fault(root, str(root / "b.wav"), "audio")


def test_an_absolute_path_through_a_linked_root_is_inside(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.wav")
    (tmp_path / "link").symlink_to("real")
    assert one(tmp_path / "link", str(tmp_path / "real/a.wav")) == ("a.wav", "a.wav")
    assert one(tmp_path / "link", str(tmp_path / "link/a.wav")) == ("a.wav", "a.wav")


@pytest.mark.parametrize("written", ["../a.wav", "..\\a.wav", "x/../../a.wav", "/etc/hosts"])
def test_a_path_out_of_the_audio_folder_is_told_with_the_setting(
    tmp_path: Path, written: str
) -> None:
    touch(tmp_path, "a.wav", "corpus/x/b.wav")
    told = fault(tmp_path / "corpus", written)
    assert told.startswith("lies outside ")
    assert "data.allow_outside" in told


def test_files_outside_are_taken_where_allowed_and_ids_stay_distinct(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "corpus/audio/a.wav", "corpus/a.wav")
    root = tmp_path / "corpus"
    places = [one(root, up + "a.wav", "audio", allow_outside=True) for up in ("", "../", "../../")]
    outside = str(tmp_path / "a.wav")
    assert places == [("a.wav", "audio/a.wav"), ("../a.wav", "a.wav"), (outside, outside)]
    assert [(root / path).read_bytes() for _, path in places] == [
        b"corpus/audio/a.wav",
        b"corpus/a.wav",
        b"a.wav",
    ]


@pytest.mark.parametrize("link", ["a.wav", "folder"])
def test_a_symbolic_link_out_of_the_corpus_is_told_unless_allowed(
    tmp_path: Path, link: str
) -> None:
    touch(tmp_path, "elsewhere/a.wav", "corpus/x.wav")
    root = tmp_path / "corpus"
    (root / "a.wav").symlink_to(tmp_path / "elsewhere/a.wav")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    written = "a.wav" if link == "a.wav" else "folder/a.wav"
    told = fault(root, written)
    assert told.startswith("is reached by a symbolic link that leads out of the corpus: ")
    assert "data.allow_outside" in told
    assert one(root, written, allow_outside=True) == (written, written)


@pytest.mark.parametrize(
    "cache", ["corpus/real", ".dvc/cache/files/md5/ab", "shared-cache/files/md5/ab"]
)
def test_links_inside_the_corpus_and_into_a_dvc_cache_are_taken(tmp_path: Path, cache: str) -> None:
    target = tmp_path / cache / ("0123456789abcdef" * 2)[:30]
    touch(tmp_path, str(target.relative_to(tmp_path)))
    root = tmp_path / "corpus"
    root.mkdir(exist_ok=True)
    (root / "a.wav").symlink_to(target)
    assert one(root, "a.wav") == ("a.wav", "a.wav")


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "folder/a.wav")
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "broken.wav").symlink_to("nowhere")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    assert fault(tmp_path, "folder") == "is a folder, not an audio file"
    assert fault(tmp_path, ".") == "is a folder, not an audio file"
    assert fault(tmp_path, "fifo.wav") == "is a FIFO or device, not an audio file"
    assert fault(tmp_path, "broken.wav") == "is a symbolic link to a file that is not there"
    assert fault(tmp_path, "loop.wav").startswith("cannot be read: ")
    assert fault(tmp_path, "folder/a.wav/b.wav").startswith("is not there: no such file in ")
    assert fault(tmp_path, "x" * 300).startswith("cannot be read: ")
    assert fault(tmp_path, "a\0b").startswith("cannot be the name of a file: ")
    assert fault(tmp_path, "C:\\data\\a.wav").startswith("names a Windows drive: ")


def test_a_clip_id_never_holds_the_folder_of_the_machine(tmp_path: Path) -> None:
    for root in (tmp_path / "here", tmp_path / "there/below"):
        touch(root, "cat/a.wav")
        assert one(root, str(root / "cat/a.wav")) == ("cat/a.wav", "cat/a.wav")

"""Where the file of a table's row is: spellings of its path, and what may not be a clip."""

# Text and os.path: a million rows are looked up, and a Path object costs more than a system call.
# ruff: noqa: PTH100, PTH114, PTH116, PTH118

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OUTSIDE = "move it in, or set data.allow_outside to true (DVC will not see when the file changes)"
# Files and links that DVC has placed point into its cache, wherever that is configured to be.
DVC_CACHE = re.compile(r"/\.dvc/cache/|/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
WINDOWS_DRIVE = re.compile(r"\s*[A-Za-z]:[\\/]")


class Place(NamedTuple):
    """Where a row's file is, or why it is nowhere; `problem` is "" for a good file."""

    clip_id: str
    path: str
    problem: str


class Finder:
    """Finds rows' files below one audio folder; remembers real folders, as realpath is slow."""

    def __init__(self, root: Path, audio: Path, allow_outside: bool) -> None:
        """Take the corpus's folder, the folder in it that FilePath is relative to, and the rule."""
        self.root = os.path.abspath(root)
        self.audio = os.path.abspath(audio)
        self.shown = audio
        self.real_root = os.path.realpath(root)
        self.real_audio = os.path.realpath(audio)
        self.allow_outside = allow_outside
        self.missing = f"is not there: no such file in {audio}"
        self._real_folders: dict[str, str] = {}

    def find(self, written: str) -> Place:
        """Try the path as `written`, then its other spellings; the first that exists is meant."""
        for spelling in _spellings(written):
            place = self._look(spelling)
            if place.problem != self.missing:
                return place
        if WINDOWS_DRIVE.match(written):
            return Place("", "", f"names a Windows drive: write it relative to {self.shown}")
        return Place("", "", self.missing)

    def _look(self, spelling: str) -> Place:
        place = os.path.normpath(os.path.join(self.audio, spelling))
        inside = _below(place, self.audio) or _below(place, self.real_audio)
        if inside:
            place = os.path.join(self.audio, inside)
        elif not self.allow_outside:
            return Place("", "", f"lies outside {self.shown}: {OUTSIDE}")
        problem = self._problem(place)
        if problem:
            return Place("", "", problem)
        path = _below(place, self.root)
        # Outside the audio folder an id must never equal one inside it: hence the "../".
        clip_id = inside or (os.path.relpath(place, self.audio) if path else place)
        return Place(nfc(_posix(clip_id)), _posix(path or place), "")

    def _problem(self, place: str) -> str:
        try:
            mode = os.lstat(place).st_mode
            linked = stat.S_ISLNK(mode)
            mode = os.stat(place).st_mode if linked else mode
        except (FileNotFoundError, NotADirectoryError):
            broken = os.path.islink(place)
            return "is a symbolic link to a file that is not there" if broken else self.missing
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except ValueError as error:
            return f"cannot be the name of a file: {error}"
        if stat.S_ISDIR(mode):
            return "is a folder, not an audio file"
        if not stat.S_ISREG(mode):
            return "is a FIFO or device, not an audio file"
        if self.allow_outside or self._stays(place, linked):
            return ""
        return f"is reached by a symbolic link that leads out of the corpus: {OUTSIDE}"

    def _stays(self, place: str, linked: bool) -> bool:
        folder, name = os.path.split(place)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(place) if linked else os.path.join(self._real_folders[folder], name)
        in_corpus = _below(real, self.real_root) is not None
        return in_corpus or DVC_CACHE.search(_posix(real)) is not None


def nfc(text: str) -> str:
    """Return `text` in Unicode's NFC, in which equal-looking names are equal."""
    return unicodedata.normalize("NFC", text)


def _spellings(written: str) -> Iterator[str]:
    yield written
    # Windows' separators, blanks beside a comma, and Unicode as macOS or as others write it.
    slashed = written.replace("\\", "/")
    tried = {written}
    for text in (written, slashed, written.strip(), slashed.strip()):
        for spelling in (text, nfc(text), unicodedata.normalize("NFD", text)):
            if spelling not in tried:
                tried.add(spelling)
                yield spelling


def _below(path: str, folder: str) -> str | None:
    """Return `path` relative to `folder`, "." for the folder itself, None for what is outside."""
    if path == folder:
        return "."
    prefix = folder.rstrip(os.sep) + os.sep
    return path[len(prefix) :] if path.startswith(prefix) else None


def _posix(path: str) -> str:
    return path.replace(os.sep, "/")

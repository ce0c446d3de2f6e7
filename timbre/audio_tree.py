"""The audio files below a folder."""

import os
from pathlib import Path
from typing import NamedTuple, Never

from timbre.problems import InputError

# What libsndfile reads, by the names that such files have.
AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("wav", "wave", "w64", "rf64", "flac", "ogg", "oga", "opus"),
        *("mp3", "aif", "aiff", "aifc", "au", "snd", "caf"),
    )
)


class Tree(NamedTuple):
    """What lies below a folder, as sorted posix paths relative to it."""

    audio: list[str]
    skipped: list[str]  # files that are not audio by their name, and links to folders


def list_tree(folder: Path) -> Tree:
    """List what lies below `folder`; hidden files and folders are left out.

    Raises InputError for a folder that cannot be read.
    """
    audio: list[str] = []
    skipped: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(parent).relative_to(folder)
        # Links to folders are not followed: they may lead in circles.
        skipped += [
            (below / name).as_posix() for name in folders if (folder / below / name).is_symlink()
        ]
        for name in names:
            if not name.startswith("."):
                is_audio = Path(name).suffix.lower() in AUDIO_SUFFIXES
                (audio if is_audio else skipped).append((below / name).as_posix())
    return Tree(sorted(audio), sorted(skipped))


def _unreadable(error: OSError) -> Never:
    raise InputError(f"{error.filename}: cannot be read: {error.strerror}")

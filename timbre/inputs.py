"""The audio files that a command is given: files, folders, standard input."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj

from timbre.audio_tree import list_tree
from timbre.problems import InputError

STANDARD_INPUT = "-"


@contextmanager
def audio_files(inputs: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Give each file by the name that it is to be called, in the order of `inputs`.

    A folder stands for all audio below it; a file is taken whatever its name is. Standard input
    lies in a temporary file meanwhile: a decoder goes back and forth. Raises InputError with all
    folders that hold no audio, and all that is neither.
    """
    problems = [problem for given in inputs if (problem := _problem(given))]
    if problems:
        raise InputError(problems)
    with tempfile.TemporaryDirectory(prefix="timbre-") as folder:
        found: dict[str, Path] = {}
        for given in inputs:
            if given == STANDARD_INPUT:
                found[given] = _spooled(Path(folder) / "standard-input")
            elif Path(given).is_dir():
                below = [Path(given, name) for name in list_tree(Path(given)).audio]
                found |= {str(path): path for path in below}
            else:
                found[given] = Path(given)
        yield found


def _problem(given: str) -> str:
    path = Path(given)
    if given == STANDARD_INPUT or path.is_file():
        return ""
    if not path.exists():
        return f"{given}: no such file or folder"
    if not path.is_dir():
        return f"{given}: neither a file nor a folder"
    return "" if list_tree(path).audio else f"{given}: no audio found in this folder"


def _spooled(path: Path) -> Path:
    with path.open("wb") as file:
        copyfileobj(sys.stdin.buffer, file)
    return path

"""Make filespaths.csv from a tree with one folder per class."""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from timbre.atomic import replacing
from timbre.audio_tree import list_tree
from timbre.problems import InputError
from timbre.table import TABLE_NAMES, capped

MAX_NAMED = 5  # examples in one line
INTERRUPTED = 130  # the shell's exit code for SIGINT

EXAMPLES = """\
examples:
  python -m timbre.index data/mine
      data/mine/cat/a.wav and data/mine/dog/b.wav make the classes cat and dog
      in data/mine/filespaths.csv; data/mine/cat/tom/a.wav also has the group tom
      (a recording, a speaker: what must not stand in both training and test)
      where every file has such a second folder
  python -m timbre.index data/mine/Dataset --output data/mine/filespaths.csv
      for a table beside the audio folder, with data.audio: Dataset in params.yaml
"""


def index_rows(audio: Sequence[str]) -> list[list[str]]:
    """Return the table of `audio`, posix paths class/[group/...]file: a header, then a row a file.

    The class is the first folder. Group is the second, where every file has one. Raises InputError
    naming all files that lie in no folder and all names that a table cannot hold.
    """
    problems = [
        f"{path!r} lies in no class folder: move it into a folder named as its class"
        for path in audio
        if "/" not in path
    ]
    problems = capped(problems) + capped([line for path in audio for line in _name_problems(path)])
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    grouped = all(path.count("/") > 1 for path in audio)
    header = ["FilePath", "Class", "Group"] if grouped else ["FilePath", "Class"]
    n_folders = len(header) - 1
    return [header, *([path, *path.split("/")[:n_folders]] for path in audio)]


def write_index(folder: Path, output: Path, force: bool) -> str:
    """Write the table of the class folders in `folder` to `output`; return a closing line.

    Raises InputError, also where a table is there already, unless `force` is given.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    _check_output(output, force)
    tree = list_tree(folder)
    if not tree.audio:
        raise InputError(f"{folder}: no audio found in its folders{_skipped(tree.skipped)}")
    rows = index_rows(tree.audio)
    try:
        with replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            csv.writer(f, lineterminator="\n").writerows(rows)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from None
    n_classes = len({row[1] for row in rows[1:]})
    groups = f", {len({row[2] for row in rows[1:]})} groups" if len(rows[0]) > 2 else ""
    found = f"{len(tree.audio)} clips, {n_classes} classes{groups}"
    return f"{output}: {found}{_skipped(tree.skipped)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m timbre.index",
        description="Write filespaths.csv for audio files that lie in one folder per class.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the folder that holds the class folders")
    parser.add_argument("--output", type=Path, help=f"default: {TABLE_NAMES[0]} in FOLDER")
    parser.add_argument("--force", action="store_true", help="replace a table that is there")
    given = parser.parse_args(arguments)
    try:
        print(write_index(given.folder, given.output or given.folder / TABLE_NAMES[0], given.force))
    except InputError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _name_problems(path: str) -> list[str]:
    if "\r" in path:
        return [f"{path!r} has a carriage return in its name: rename it"]
    if not path.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in path):
        return [f"{path!r} has a name that is not UTF-8: rename it"]
    folders = PurePosixPath(path).parts[:-1][:2]
    return [
        f"folder {name!r} begins or ends with a blank, which labels cannot: rename it"
        for name in folders
        if name != name.strip()
    ]


def _check_output(output: Path, force: bool) -> None:
    if output.exists() and not force:
        raise InputError(f"{output}: is there already: remove it, or replace it with --force")
    twins = [output.with_name(name) for name in TABLE_NAMES if output.name in TABLE_NAMES]
    for twin in twins:
        if twin != output and twin.exists():
            raise InputError(f"{twin}: is there already, and only one table may be: remove it")


def _skipped(skipped: Sequence[str]) -> str:
    """Count what was left out by kind: an .m4a folder must not vanish without a word."""
    if not skipped:
        return ""
    kinds = Counter(PurePosixPath(path).suffix.lower() or path for path in skipped).most_common()
    named = ", ".join(f"{kind} ({n})" for kind, n in kinds[:MAX_NAMED])
    more = ", ..." if len(kinds) > MAX_NAMED else ""
    return f"; skipped what is not audio that libsndfile reads, and linked folders: {named}{more}"


if __name__ == "__main__":
    sys.exit(main())

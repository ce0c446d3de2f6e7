"""Make filespaths.csv from a tree with one folder per class, or of paths that a pattern fits."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from timbre.atomic import replacing
from timbre.audio_tree import list_tree
from timbre.problems import InputError, capped
from timbre.table import TABLE_NAMES

MAX_NAMED = 5  # examples in one line
# Of a pattern, and their columns.
FIELDS = {"class": "Class", "group": "Group", "split": "Split", "fold": "Fold"}
WILD = {"{}": "[^/]*?", "*": "[^/]*?", "**": ".*?"}


def index_rows(audio: Sequence[str]) -> list[list[str]]:
    """Return the table of `audio`, posix paths class/[group/...]file: a header, then a row a file.

    The class is the first folder. Group is the second, where every file has one. Raises InputError
    naming all files that lie in no folder and all names that a table cannot hold.
    """
    homeless = [line for path in audio if "/" not in path for line in path_problems(path)]
    unfit = [line for path in audio if "/" in path for line in path_problems(path)]
    if problems := capped(homeless) + capped(unfit):
        raise InputError(list(dict.fromkeys(problems)))
    grouped = all(path.count("/") > 1 for path in audio)
    header = ["FilePath", "Class", "Group"] if grouped else ["FilePath", "Class"]
    n_folders = len(header) - 1
    return [header, *([path, *path.split("/")[:n_folders]] for path in audio)]


def path_problems(path: str) -> list[str]:
    """Return why a file at `path` can have no row in a table of folders; [] if it can."""
    if "/" in path:
        return _name_problems(path) or _blank_folders(path)
    return [
        f"{path!r} lies in no class folder: move it into a folder named as its class",
        *_name_problems(path),
    ]


def pattern_rows(audio: Sequence[str], pattern: str) -> list[list[str]]:
    """Return the table of `audio`, posix paths that `pattern` takes apart.

    In a pattern `{class}`, `{group}`, `{split}` and `{fold}` stand for columns, `{}` or `*` for
    anything within a name, `**` for any folders: `{split}/{class}/{group}_*.wav`. Each takes as
    little as it can. Raises InputError naming all files that do not fit.
    """
    matcher = read_pattern(pattern)
    found = {path: matcher.fullmatch(path) for path in audio}
    problems = capped(
        [f"{path!r} does not fit the pattern {pattern!r}" for path, fit in found.items() if not fit]
    ) + capped([line for path in audio for line in _name_problems(path)])
    values = {path: fit.groupdict() for path, fit in found.items() if fit}
    problems += capped(
        [
            f"{path!r}: its {name} is {value!r}: a label is not empty and ends in no blank"
            for path, own in values.items()
            for name, value in own.items()
            if not value or value != value.strip()
        ]
    )
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    names = [name for name in FIELDS if name in matcher.groupindex]
    header = ["FilePath", *(FIELDS[name] for name in names)]
    return [header, *([path, *(own[name] for name in names)] for path, own in values.items())]


def read_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern. Raises InputError for one without a class."""
    named = re.findall(r"\{(\w+)\}", pattern)
    wrong = [f"no column is called {name!r}" for name in named if name not in FIELDS]
    wrong += [f"{{{name}}} stands in it twice" for name in FIELDS if named.count(name) > 1]
    wrong += [] if "class" in named else ["it has no {class}"]
    both = {"split", "fold"} <= {*named}
    wrong += ["{split} and {fold} are one column: use one of them"] if both else []
    if wrong:
        raise InputError(
            f"pattern {pattern!r}: {reason}: an example is '{{class}}/{{group}}_*.wav'"
            for reason in dict.fromkeys(wrong)
        )
    parts = re.split(r"(\{\w*\}|\*\*|\*)", pattern)
    own = {f"{{{name}}}": f"(?P<{name}>[^/]*?)" for name in FIELDS}
    return re.compile("".join({**WILD, **own}.get(part, re.escape(part)) for part in parts))


def write_index(folder: Path, output: Path, force: bool, pattern: str | None = None) -> str:
    """Write the table of the audio in `folder` to `output`; return a closing line.

    Classes are the folders, or what `pattern` says, as in `pattern_rows`. Raises InputError, also
    where a table is there already, unless `force` is given.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    _check_output(output, force)
    tree = list_tree(folder)
    if not tree.audio:
        raise InputError(f"{folder}: no audio found in its folders{_skipped(tree.skipped)}")
    rows = index_rows(tree.audio) if pattern is None else pattern_rows(tree.audio, pattern)
    try:
        with replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            csv.writer(f, lineterminator="\n").writerows(rows)
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from None
    n_classes = len({row[1] for row in rows[1:]})
    groups = f", {len({row[2] for row in rows[1:]})} groups" if "Group" in rows[0] else ""
    found = f"{len(tree.audio)} clips, {n_classes} classes{groups}"
    return f"{output}: {found}{_skipped(tree.skipped)}"


def _name_problems(path: str) -> list[str]:
    if "\r" in path:
        return [f"{path!r} has a carriage return in its name: rename it"]
    if not path.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in path):
        return [f"{path!r} has a name that is not UTF-8: rename it"]
    return []


def _blank_folders(path: str) -> list[str]:
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

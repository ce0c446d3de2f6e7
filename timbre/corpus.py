"""From the table's rows to clips: files that exist, their hashes, groups that may not be split."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from tqdm import tqdm

from timbre.places import Finder
from timbre.problems import InputError, Lines, capped
from timbre.table import Examined, Kind, Table, without_problems
from timbre.table_cells import HEADERS

N_THREADS = 8  # keeps a disk or a network folder busy; more would wait for each other
MAX_NAMED = 5  # examples in one line
MIN_CLIPS = 3  # one for each of train, val and test

Result = TypeVar("Result")


def audio_folder(root: Path, audio: str) -> Path:
    """Return the folder in `root` that FilePath is relative to; raise InputError without one."""
    inner = Path(os.path.normpath(audio))
    folder = root / inner
    if inner.is_absolute() or ".." in inner.parts:
        raise InputError(f"data.audio: {audio!r} is outside {root}: it must name a folder in it")
    if not folder.is_dir():
        there = sorted(repr(path.name) for path in root.iterdir() if path.is_dir())
        named = ", ".join(there[:MAX_NAMED]) or "none"
        raise InputError(f"data.audio: {audio!r} is not a folder in {root}; folders there: {named}")
    return folder


def resolve_paths(rows: pd.DataFrame, root: Path, audio: str, allow_outside: bool) -> Table:
    """Find the file of each of the table's `rows`; FilePath is relative to `root`/`audio`.

    Adds the columns clip_id (posix path below the audio folder, NFC) and path (posix path below
    `root`, as the file system spells it; absolute for a file outside, which `allow_outside` must
    permit). A clip that is listed more than once with equal cells is kept once, with a warning.
    Raises InputError with all problems.
    """
    return without_problems(find_clips(rows, root, audio, allow_outside))


def find_clips(rows: pd.DataFrame, root: Path, audio: str, allow_outside: bool) -> Examined:
    """Find the file of each row, as `resolve_paths` does, in spite of what is wrong with others.

    Problems are all rows whose file is missing, unusable or outside, or whose clip another row
    describes differently, and a single class. Raises InputError if there is no such folder `audio`.
    """
    finder = Finder(root, audio_folder(root, audio), allow_outside)
    clip_id, path, problem = (
        pd.Series(column, index=rows.index, dtype="str") for column in _places(rows, finder)
    )
    good = rows.assign(clip_id=clip_id, path=path)[problem == ""]
    problems: list[Kind] = [*_place_problems(rows, problem), *contradictions(good, "clip_id")]
    if good.empty:
        problems.append(_audio_hint(root, audio, rows["file_path"].iloc[0]))
    if rows["label"].nunique() == 1:
        label = rows["label"].iloc[0]
        problems.append([f"all rows have Class {label!r}: a classifier needs two classes or more"])
    return Examined(
        good.drop_duplicates("clip_id"),
        _repeat_warnings(good),
        [kind for kind in problems if len(kind)],
    )


def disagreements(rows: pd.DataFrame, key: str) -> list[str]:
    """Return what `contradictions` finds, each kind capped."""
    return [line for kind in contradictions(rows, key) for line in capped(kind)]


def contradictions(rows: pd.DataFrame, key: str) -> list[Lines]:
    """Name the rows that share `key` with an earlier row and contradict it.

    With key clip_id, label, split, group and path must be equal. With key sha256 (the same audio
    under two names) it is label and split: groups are merged instead, but one recording cannot be
    of two classes, nor stand on both sides of a split.
    """
    repeated = rows[rows.duplicated(key, keep=False)]
    later = repeated[repeated.duplicated(key)]
    before = repeated.drop_duplicates(key).set_index(key, drop=False).loc[later[key]]
    problems = []
    for column in ("label", "split", "group", "path") if key == "clip_id" else ("label", "split"):
        differs = later[column].to_numpy() != before[column].to_numpy()
        problems.append(_disagreements(later[differs], before[differs], column, key))
    return problems


def rare_classes(n_clips: Mapping[str, int]) -> list[str]:
    """Name the classes with too few clips, of which `n_clips` gives the number."""
    return [
        f"class {label!r} has {n} of the {MIN_CLIPS} clips that it needs to be in train, val "
        "and test: add clips, or drop the class"
        for label, n in n_clips.items()
        if n < MIN_CLIPS
    ]


def whole_groups(rows: pd.DataFrame) -> list[str]:
    """Return the group of each row: the table's, else its own, merged where audio is equal."""
    keys = rows["group"].where(rows["group"] != "", rows["clip_id"])
    return merge_groups(keys.to_list(), rows["sha256"].to_list())


def merge_groups(group_keys: Sequence[str], sha256: Sequence[str]) -> list[str]:
    """Give each clip its group, so that clips of equal group key or equal audio are never apart.

    The groups are the connected components of the graph that links each clip's key to its hash,
    found by union-find with path splitting (Tarjan and van Leeuwen 1984); a component is named by
    the smallest of its group keys. scipy does it too, but its import takes longer than this search.
    """
    smaller = {key: key for key in group_keys}  # another key of the group; the smallest has itself

    def smallest(key: str) -> str:
        while (above := smaller[key]) != key:
            smaller[key] = smaller[above]
            key = above
        return key

    key_of_audio: dict[str, str] = {}
    for key, audio in zip(group_keys, sha256, strict=True):
        ends = smallest(key), smallest(key_of_audio.setdefault(audio, key))
        smaller[max(ends)] = min(ends)
    return [smallest(key) for key in group_keys]


def hash_files(paths: Sequence[str]) -> list[str]:
    """Return the SHA-256 of each file's bytes, in hex; raise InputError naming all unreadable."""
    digests = for_each_file(_digest, paths, "hashing")
    problems = [str(digest) for digest in digests if isinstance(digest, InputError)]
    if problems:
        raise InputError(capped(problems))
    return [digest for digest in digests if isinstance(digest, str)]


def for_each_file(
    function: Callable[[str], Result], paths: Sequence[str], title: str
) -> list[Result]:
    """Call `function` on each of `paths` in threads; the results keep the order."""
    with ThreadPool(N_THREADS) as pool:
        results = pool.imap(function, paths, chunksize=16)
        return list(tqdm(results, desc=title, total=len(paths), unit=" files", disable=None))


def _digest(path: str) -> str | InputError:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (see places.py)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return InputError(f"{path}: cannot be read: {error.strerror}")


def _places(rows: pd.DataFrame, finder: Finder) -> tuple[list[str], list[str], list[str]]:
    """Return clip_id, path and problem of each row; texts that are mostly equal are one str."""
    clip_ids, paths, problems = [], [], []
    for written in rows["file_path"]:
        clip_id, path, problem = finder.find(written)
        clip_ids.append(written if clip_id == written else clip_id)
        paths.append(clip_ids[-1] if path == clip_id else path)
        problems.append(problem)
    return clip_ids, paths, problems


def _place_problems(rows: pd.DataFrame, problem: "pd.Series[str]") -> list[Lines]:
    kinds = problem[problem != ""].unique()
    return [_of_rows(rows[problem == kind], kind) for kind in kinds]


def _of_rows(rows: pd.DataFrame, told: str) -> Lines:
    numbers, written = rows["row"].to_numpy(), rows["file_path"].to_numpy()
    return Lines(len(rows), lambda n: f"row {numbers[n]}: {written[n]!r} {told}")


def _audio_hint(root: Path, audio: str, written: str) -> list[str]:
    if audio:
        return [f"no file of the table is in data.audio, {audio!r}: is it the right folder?"]
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    fitting = [path.name for path in folders if (path / written.replace("\\", "/")).is_file()]
    return [f"the files seem to be in {name!r}: set data.audio to it" for name in fitting[:1]]


def _disagreements(later: pd.DataFrame, before: pd.DataFrame, column: str, key: str) -> Lines:
    columns = ["row", "clip_id", column]

    def line(number: int) -> str:
        one, other = (side[columns].iloc[number].tolist() for side in (later, before))
        return _disagreement(column, key, one, other)

    return Lines(len(later), line)


def _disagreement(column: str, key: str, later: list[Any], before: list[Any]) -> str:
    row, clip_id, value = later
    first_row, first_id, first_value = before
    if column == "path":
        return (
            f"row {row}: {clip_id!r} and the file of row {first_row} are two files whose names "
            "differ only in Unicode's form (NFC, NFD): rename one"
        )
    name = HEADERS[column]
    if key == "clip_id":
        told = f"row {first_row} says {first_value!r}"
    else:
        told = f"row {first_row}, the same audio as {first_id!r}, says {first_value!r}"
    return f"row {row}: {clip_id!r} has {name} {value!r}, but {told}: mend or drop one of the two"


def _repeat_warnings(rows: pd.DataFrame) -> list[str]:
    repeats = rows[rows.duplicated("clip_id")]
    if repeats.empty:
        return []
    shown = repeats[:MAX_NAMED]
    first = zip(shown["row"], shown["clip_id"], strict=True)
    named = ", ".join(f"{row} ({clip_id!r})" for row, clip_id in first)
    more = ", ..." if len(repeats) > MAX_NAMED else ""
    return [f"{len(repeats)} rows name a clip again and are left out: rows {named}{more}"]

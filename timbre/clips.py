"""What passes between the stages as text: clips.csv, splits.csv, the classes of labels.json."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from timbre.atomic import replacing
from timbre.clip_table import parts
from timbre.coded import Columns, Integers
from timbre.columns import CLIP_COLUMNS, COPY, SEEN, SPLIT_COLUMNS, SPLITS, UNKNOWN
from timbre.problems import InputError, unusable

if TYPE_CHECKING:
    import pandas as pd  # a third of a second for train_cnn, which needs no more of it than a type


class SplitClips(NamedTuple):
    """The clips of one split, in the order of clip_id."""

    clip_ids: list[str]
    targets: Integers  # (n_clips,)


def read_clips(path: Path) -> "pd.DataFrame":
    """Read clips.csv; columns as in CLIP_COLUMNS, one row a clip, sorted by clip_id.

    Raises InputError if it is missing or not such a table.
    """
    clips = _read(path, CLIP_COLUMNS)
    wrong = {
        "a clip stands in it twice": clips["clip_id"].duplicated(),
        "a target is negative": clips["target"] < 0,
        "a sample_rate is not positive": clips["sample_rate"] < 1,
        "a clip has no samples": clips["n_samples"] < 1,
    }
    if problems := [reason for reason, rows in wrong.items() if rows.any()]:
        raise InputError(unusable(path, ValueError(problem)) for problem in problems)
    return clips


def read_splits(path: Path) -> "pd.DataFrame":
    """Read splits.csv; columns as in SPLIT_COLUMNS, one row a clip, sorted by clip_id.

    Raises InputError if it is missing or not such a table.
    """
    return _read(path, SPLIT_COLUMNS)


def read_classes(path: Path) -> list[str]:
    """Read the labels out of labels.json, each at the place of its target.

    Raises InputError if it is missing or holds no such list.
    """
    try:
        classes = json.loads(path.read_text(encoding="utf-8"))["classes"]
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("its classes are no list of names")
        if len({*classes}) != len(classes):
            raise ValueError("a class stands in it twice")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(unusable(path, error)) from None
    return classes


def read_divided(
    splits: Path, labels: Path, needed: Sequence[str]
) -> "tuple[pd.DataFrame, list[str]]":
    """Read splits.csv and labels.json: the rows, and the known classes by their targets.

    `needed` are the splits that must have clips. Raises InputError if one is missing, is no such
    file, or if they do not fit each other.
    """
    table = read_splits(splits)
    return table, fitting_classes(table, splits, labels, needed)


def read_split_clips(
    splits: Path, labels: Path, names: Sequence[str]
) -> tuple[list[SplitClips], list[str]]:
    """Read the same files without pandas: the clips of each split in `names`, and the classes.

    Raises InputError as `read_divided` does with `names` needed.
    """
    columns: dict[str, list[str]] = {name: [] for name in SPLIT_COLUMNS}
    try:
        with splits.open(encoding="utf-8", newline="") as file:
            for cells in parts(csv.reader(file, strict=True), splits, SPLIT_COLUMNS):
                for name, own in cells.items():
                    columns[name] += own
        targets = np.array(list(map(int, columns["target"])), np.int64)
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise InputError(unusable(splits, error)) from None
    classes = fitting_classes({**columns, "target": targets.tolist()}, splits, labels, names)
    rows = {name: [i for i, own in enumerate(columns["split"]) if own == name] for name in names}
    clip_ids = columns["clip_id"]
    return [SplitClips([clip_ids[i] for i in own], targets[own]) for own in rows.values()], classes


def fitting_classes(
    columns: Columns, splits: Path, labels: Path, needed: Sequence[str]
) -> list[str]:
    """Return the known classes by their targets, if `columns` of `splits` and `labels` fit."""
    clip_ids, own, found, targets = (
        list(columns[name]) for name in ("clip_id", "label", "split", "target")
    )
    classes = known_classes(read_classes(labels), own, found)
    numbers = {name: number for number, name in enumerate(classes)}
    names = {*found}
    problems = [f"no clip is in the split {name}" for name in needed if name not in names]
    if other := sorted(names - {*SPLITS, SEEN, UNKNOWN, COPY}):
        problems.append(f"there is no split named {other[0]!r}")
    if len({*clip_ids}) < len(clip_ids):
        problems.append("a clip stands in it twice")
    rows = zip(own, found, targets, strict=True)
    if any(split != UNKNOWN and numbers.get(label) != target for label, split, target in rows):
        problems.append(f"its targets are not those of {labels}")
    if problems:
        raise InputError(unusable(splits, ValueError(problem)) for problem in problems)
    return classes


def known_classes(
    classes: Sequence[str], labels: Iterable[str], splits: Iterable[str]
) -> list[str]:
    """Return the `classes` of labels.json that are not unknown, each at the place of its target.

    `labels` and `splits` are those of all clips.
    """
    pairs = zip(labels, splits, strict=True)
    unknown = {label for label, split in pairs if split == UNKNOWN}
    return [label for label in classes if label not in unknown]


def write_clips(clips: "pd.DataFrame", path: Path) -> None:
    """Write clips.csv in the order of clip_id, so that the table's row order changes nothing."""
    _write(clips, CLIP_COLUMNS, path)


def write_splits(splits: "pd.DataFrame", path: Path) -> None:
    """Write splits.csv in the order of clip_id."""
    _write(splits, SPLIT_COLUMNS, path)


def _read(path: Path, columns: dict[str, str]) -> "pd.DataFrame":
    import pandas as pd

    try:
        # Labels and groups such as "NA", "01" or "true" are text: no cell is ever guessed at.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        if list(frame.columns) != list(columns):
            raise InputError(f"{path}: columns {list(frame.columns)}, expected {list(columns)}")
        return frame.astype({name: kind for name, kind in columns.items() if kind != "str"})
    # pandas raises ValueErrors for what is no table, OverflowErrors for what is too large a number
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(unusable(path, error)) from None


def _write(frame: "pd.DataFrame", columns: dict[str, str], path: Path) -> None:
    ordered = frame.sort_values("clip_id", kind="stable")[list(columns)]
    with replacing(path) as temporary:
        ordered.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")

"""What passes between the stages as text: clips.csv, splits.csv, the classes of labels.json."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from timbre.atomic import replacing
from timbre.columns import CLIP_COLUMNS, COPY, SEEN, SPLIT_COLUMNS, SPLITS, UNKNOWN
from timbre.problems import InputError, unusable


def read_clips(path: Path) -> pd.DataFrame:
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


def read_splits(path: Path) -> pd.DataFrame:
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
) -> tuple[pd.DataFrame, list[str]]:
    """Read splits.csv and labels.json: the rows, and the known classes by their targets.

    `needed` are the splits that must have clips. Raises InputError if one is missing, is no such
    file, or if they do not fit each other.
    """
    table = read_splits(splits)
    classes = known_classes(read_classes(labels), table)
    known = table[table["split"] != UNKNOWN]
    targets = {name: number for number, name in enumerate(classes)}
    found = set(table["split"])
    problems = [f"no clip is in the split {name}" for name in needed if name not in found]
    if other := sorted(found - {*SPLITS, SEEN, UNKNOWN, COPY}):
        problems.append(f"there is no split named {other[0]!r}")
    if table["clip_id"].duplicated().any():
        problems.append("a clip stands in it twice")
    if (known["target"] != known["label"].map(targets)).any():
        problems.append(f"its targets are not those of {labels}")
    if problems:
        raise InputError(unusable(splits, ValueError(problem)) for problem in problems)
    return table, classes


def known_classes(classes: Sequence[str], splits: pd.DataFrame) -> list[str]:
    """Return the `classes` of labels.json that are not unknown, each at the place of its target.

    `splits` as read from splits.csv.
    """
    unknown = set(splits.loc[splits["split"] == UNKNOWN, "label"])
    return [label for label in classes if label not in unknown]


def write_clips(clips: pd.DataFrame, path: Path) -> None:
    """Write clips.csv in the order of clip_id, so that the table's row order changes nothing."""
    _write(clips, CLIP_COLUMNS, path)


def write_splits(splits: pd.DataFrame, path: Path) -> None:
    """Write splits.csv in the order of clip_id."""
    _write(splits, SPLIT_COLUMNS, path)


def _read(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    try:
        # Labels and groups such as "NA", "01" or "true" are text: no cell is ever guessed at.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        if list(frame.columns) != list(columns):
            raise InputError(f"{path}: columns {list(frame.columns)}, expected {list(columns)}")
        return frame.astype({name: kind for name, kind in columns.items() if kind != "str"})
    # pandas raises ValueErrors for what is no table, OverflowErrors for what is too large a number
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(unusable(path, error)) from None


def _write(frame: pd.DataFrame, columns: dict[str, str], path: Path) -> None:
    ordered = frame.sort_values("clip_id", kind="stable")[list(columns)]
    with replacing(path) as temporary:
        ordered.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")

"""Clips whose audio cannot be used: the two ways to go on, and the table of those left out."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from timbre.atomic import replacing
from timbre.params import Section
from timbre.problems import InputError

WAY_OUT = "mend them, drop their rows, or set data.bad_audio to quarantine"


class BadAudio(Section):
    """The keys of the section `data` that encode_labels and extract_spectrograms both read."""

    bad_audio: Literal["fail", "quarantine"]  # name all and stop, or leave them out
    max_quarantined: float = Field(ge=0, lt=1)  # share of the clips that may be left out


class Unusable(NamedTuple):
    """A clip whose bytes are no usable audio: reading them again would say the same."""

    clip_id: str
    path: str  # as in clips.csv
    reason: str


def write_unusable(clips: Iterable[Unusable], path: Path) -> None:
    """Write one row a clip, in the order of clip_id."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Unusable._fields, *sorted(clips)])


def read_unusable(path: Path) -> list[Unusable]:
    """Read such a table. Raises InputError if it is missing or something else."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
            if tuple(header) != Unusable._fields:
                raise ValueError(f"its columns are {header}")
            return [Unusable(*row) for row in rows]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: cannot be used ({reason}): run `dvc repro`, which makes it anew"
        ) from None


def left_out(
    problems: list[str],
    unusable: list[Unusable],
    root: Path,
    n_clips: int,
    bad_headers: list[Unusable],
    policy: BadAudio,
) -> list[Unusable]:
    """Return all clips that are left out, with those that encode_labels found.

    Raises InputError, which names every clip below `root` that cannot be used, if that may not be;
    `problems` are of files that could not be read.
    """
    named = sorted([*problems, *(f"{root / clip.path}: {clip.reason}" for clip in unusable)])
    total = f"{len(named)} of {n_clips} clips cannot be used"
    if problems:
        raise InputError([*named, total])
    if unusable and policy.bad_audio == "fail":
        raise InputError([*named, f"{total}: {WAY_OUT}"])
    n_all = n_clips + len(bad_headers)
    if over := too_many(len(unusable) + len(bad_headers), n_all, policy.max_quarantined):
        raise InputError([*named, *over])
    return [*bad_headers, *unusable]


def too_many(n_unusable: int, n_clips: int, most: float) -> list[str]:
    """Return the problem if more than the share `most` of all clips would be left out, or none."""
    if n_unusable <= most * n_clips:
        return []
    return [
        f"{n_unusable} of {n_clips} clips cannot be used, {n_unusable / n_clips:.1%}, and "
        f"data.max_quarantined allows {most:.1%}: mend them, drop their rows, or raise it"
    ]


def lost_classes(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Return a problem for each label all of whose clips are left out."""
    return [
        f"class {label!r}: none of its clips can be used: mend one, or drop the class"
        for label in sorted(set(before) - set(after))
    ]

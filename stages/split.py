"""Divide the clips into train, val and test, and count what leaks between them.

Reads data/clips.csv, data/copies.csv and data/quarantine.csv, which lists clips that are in no
split; writes data/splits.csv and metrics/split.json:
python -m stages.split data/clips.csv data/copies.csv data/quarantine.csv data/splits.csv \\
    metrics/split.json
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from timbre import command
from timbre.atomic import write_json
from timbre.clip_table import ClipTable, read_clip_table, write_split_table
from timbre.coded import Clips, Columns, Picked
from timbre.columns import COPY, SEEN, SPLITS, UNKNOWN
from timbre.copy_table import leave_copies_out, merged_groups, n_torn, read_copies
from timbre.held_out import HeldOut, held_out_classes, number_known, place_unknown
from timbre.leaks import absent_classes, leaks
from timbre.params import Section, read_section
from timbre.problems import InputError
from timbre.quarantine import Unusable, lost_classes, read_unusable
from timbre.seen import set_aside
from timbre.splits import Method, fold_clips, split_clips

GROUPS_STAY_WHOLE = ("grouped", "hashed")  # in these a clip of a group in training is no test clip
ALL_COPIES = "its others are left out as copies of test or val clips, see data/copies.csv"


class Split(Section):
    """Section `split` of params.yaml."""

    method: Method  # what decides: chance, class, group, the table's Split column, a hash
    train: float = Field(gt=0, lt=1)  # share of the clips; the three sum to 1
    val: float = Field(gt=0, lt=1)  # share of the clips
    test: float = Field(gt=0, lt=1)  # share of the clips
    seed: int = Field(ge=0)  # another seed, another split
    n_folds: int = Field(ge=0)  # of a cross-validation, in place of the shares; 0: none
    fold: int = Field(ge=0)  # which fold is test, from 0; the next one is val
    copies: Literal["together", "counted"]  # copies of a recording stand in one split, or not
    seen: float = Field(ge=0, le=0.5)  # share of the training clips that are tested with instead

    @field_validator("n_folds")
    @classmethod
    def _room_for_three_splits(cls, n_folds: int) -> int:
        if n_folds in (1, 2):
            raise ValueError("must be 0 (no cross-validation) or at least 3")
        return n_folds

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        problems = []
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            problems.append(f"train + val + test must be 1, not {total:g}")
        if self.fold >= max(self.n_folds, 1):
            allowed = f"below n_folds = {self.n_folds}" if self.n_folds else "0 without n_folds"
            problems.append(f"fold must be {allowed}, not {self.fold}")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def main(clips: Path, copies: Path, quarantine: Path, splits: Path, metrics: Path) -> None:
    """Write the split of `clips` to `splits` and its counts to `metrics`."""
    params = read_section("split", Split)
    held_out = read_section("evaluate", HeldOut, own_keys=True)
    unusable = read_unusable(quarantine)
    everything, pairs = usable(read_clip_table(clips), unusable), read_copies(copies)
    if params.copies == "together":
        everything = replace(everything, group=merged_groups(everything, pairs))
    numbered = replace(
        everything, target=number_known(everything, unknown_of(everything, held_out))
    )
    is_known = numbered.target >= 0
    table = numbered if is_known.all() else Picked(numbered, is_known)
    split = divide(table, pairs, params)
    leaking = count_leaks(table, split, pairs)
    if params.method in GROUPS_STAY_WHOLE:
        split = set_aside(table, split, params.seen, params.seed)
    placed = place_unknown(numbered.target, split)
    write_split_table(numbered, placed, splits)
    counts = split_counts(numbered, placed)
    n_bad = len(unusable)
    document = {"method": params.method, **counts, "leaks": leaking, "quarantined": n_bad}
    write_json(document, metrics)
    if any(leaking.values()):
        print(leak_warning(params.method, **leaking), file=sys.stderr)
    turn = f", fold {params.fold} of {params.n_folds}" if params.n_folds else ""
    without = f"; {n_bad} clips left out, see {quarantine}" if n_bad else ""
    print(f"split: {params.method}{turn}: {told(counts, leaking)}{without}")


def usable(table: ClipTable, unusable: list[Unusable]) -> ClipTable:
    """Return the rows of clips that have spectrograms.

    Raises InputError if a class has none: a network would know it by name only.
    """
    if not unusable:
        return table
    left_out = {clip.clip_id for clip in unusable}
    kept = table.take(np.array([clip_id not in left_out for clip_id in table.clip_id], bool))
    if problems := lost_classes(table.label.used_names(), kept.label.used_names()):
        raise InputError(problems)
    return kept


def unknown_of(table: ClipTable, held_out: HeldOut) -> list[str]:
    """Return the classes that are kept from training."""
    return held_out_classes(
        table.label.used_names(),
        held_out.unknown,
        held_out.unknown_folds,
        held_out.unknown_fold,
    )


def divide(table: Clips, pairs: Columns, params: Split) -> npt.NDArray[np.str_]:
    """Return the split of each row of `table`: train, val, test or copy.

    Raises InputError if a class has no clip in one of the first three.
    """
    if params.n_folds:
        split = fold_clips(table, params.method, params.n_folds, params.fold, params.seed)
    else:
        fractions = (params.train, params.val, params.test)
        split = split_clips(table, params.method, fractions, params.seed)
    if params.copies == "together" and params.method in GROUPS_STAY_WHOLE:
        split = leave_copies_out(table, split, pairs)
        kept = split != COPY
        parts = np.select([split[kept] == name for name in SPLITS], range(len(SPLITS)))
        if problems := absent_classes(Picked(table, kept), parts, SPLITS, ALL_COPIES):
            raise InputError(problems)
    return split


def count_leaks(table: Clips, split: npt.NDArray[np.str_], pairs: Columns) -> dict[str, int]:
    """Count what stands in several splits; of copies that are left out nothing does."""
    used = split != COPY
    n_audio, n_group = leaks(Picked(table, used), split[used])
    return {
        "audio": n_audio,
        "group": n_group,
        "copies": n_torn(Picked(table, used), split[used], pairs),
    }


def split_counts(table: ClipTable, splits: npt.NDArray[np.str_]) -> dict[str, dict[str, int]]:
    """Clips, groups and classes of each split; of seen, unknown and copy where there are any."""
    counts = {}
    for name in (*SPLITS, SEEN, UNKNOWN, COPY):
        own = splits == name
        if name in SPLITS or own.any():
            counts[name] = {
                "clips": int(np.count_nonzero(own)),
                "groups": len(np.unique(table.group.codes[own])),
                "classes": len(np.unique(table.label.codes[own])),
            }
    return counts


def told(counts: dict[str, dict[str, int]], leaking: dict[str, int]) -> str:
    """Say how many clips each split has, and how much leaks."""
    sizes = ", ".join(f"{name} {count['clips']}" for name, count in counts.items())
    audio, group, copies = (leaking[name] for name in ("audio", "group", "copies"))
    return f"{sizes} clips; leaks: {audio} audio, {group} groups, {copies} copies"


def leak_warning(method: Method, audio: int, group: int, copies: int) -> str:
    """Say what stands in several splits and what that does to the score."""
    who = "the table's own split" if method == "column" else f"method {method}"
    found = f"groups in more than one split: {group}, identical audio: {audio}"
    way_out = "use method grouped"
    if copies:
        found += f", pairs of copies: {copies}"
        way_out += " and split.copies together"
    return f"warning: {who} leaks: {found}; the score will flatter: {way_out}"


if __name__ == "__main__":
    command.run(main)

"""Divide the clips into train, val and test, and count what leaks between them.

Reads data/clips.csv, data/copies.csv and data/quarantine.csv, which lists clips that are in no
split; writes data/splits.csv and metrics/split.json:
python -m stages.split data/clips.csv data/copies.csv data/quarantine.csv data/splits.csv \\
    metrics/split.json
"""

import sys
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, field_validator, model_validator

from timbre import command
from timbre.atomic import write_json
from timbre.clips import COPY, SEEN, SPLITS, UNKNOWN, read_clips, write_splits
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
    everything, pairs = usable(read_clips(clips), unusable), read_copies(copies)
    if params.copies == "together":
        everything["group"] = merged_groups(everything, pairs)
    unknown = held_out_classes(
        everything["label"].unique().tolist(),
        held_out.unknown,
        held_out.unknown_folds,
        held_out.unknown_fold,
    )
    numbered = number_known(everything, unknown)
    table = numbered[numbered["target"] >= 0].reset_index(drop=True)
    split = divide(table, pairs, params)
    used = split != COPY
    n_audio, n_group = leaks(table[used], split[used])
    torn = n_torn(table[used], split[used], pairs)
    leaking = {"audio": n_audio, "group": n_group, "copies": torn}
    if params.method in GROUPS_STAY_WHOLE:
        split = set_aside(table, split, params.seen, params.seed)
    divided = place_unknown(numbered, split)
    write_splits(divided, splits)
    counts = split_counts(divided)
    n_bad = len(unusable)
    document = {"method": params.method, **counts, "leaks": leaking, "quarantined": n_bad}
    write_json(document, metrics)
    if any(leaking.values()):
        print(leak_warning(params.method, **leaking), file=sys.stderr)
    turn = f", fold {params.fold} of {params.n_folds}" if params.n_folds else ""
    without = f"; {n_bad} clips left out, see {quarantine}" if n_bad else ""
    print(f"split: {params.method}{turn}: {told(counts, leaking)}{without}")


def usable(table: pd.DataFrame, unusable: list[Unusable]) -> pd.DataFrame:
    """Return the rows of clips that have spectrograms.

    Raises InputError if a class has none: a network would know it by name only.
    """
    kept = table[~table["clip_id"].isin([clip.clip_id for clip in unusable])]
    if problems := lost_classes(table["label"], kept["label"]):
        raise InputError(problems)
    return kept.reset_index(drop=True)


def divide(table: pd.DataFrame, pairs: pd.DataFrame, params: Split) -> npt.NDArray[np.str_]:
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
        parts = np.array([SPLITS.index(name) for name in split[kept]], np.int64)
        problems = absent_classes(table[kept], parts, SPLITS, ALL_COPIES)
        if problems:
            raise InputError(problems)
    return split


def split_counts(divided: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Clips, groups and classes of each split; of seen, unknown and copy where there are any."""
    found = set(divided["split"])
    return {
        name: {
            "clips": len(part),
            "groups": part["group"].nunique(),
            "classes": part["label"].nunique(),
        }
        for name in (*SPLITS, *(name for name in (SEEN, UNKNOWN, COPY) if name in found))
        for part in [divided[divided["split"] == name]]
    }


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

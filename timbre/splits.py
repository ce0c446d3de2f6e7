"""Divide clips into train, val and test, or into folds, by one of five methods.

A method takes clips with the columns of clips.csv, sorted by clip_id, the wanted fractions of the
parts (sum 1) and a seed, and returns each clip's part as a number, `(n_clips,)`.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timbre.balance import FloatArray, IntArray, deal
from timbre.clips import SPLITS
from timbre.leaks import absent_classes, listed
from timbre.problems import InputError

Method = Literal["random", "stratified", "grouped", "column", "hashed"]
Deal = Callable[[pd.DataFrame, FloatArray, int], IntArray]

WAY_OUT: dict[Method, str] = {
    "random": "add clips of it, try another seed or method stratified, or remove the class",
    "stratified": "add clips of it, or remove the class",
    "grouped": (
        "add groups of it, try another seed, other fractions or another method, or remove the class"
    ),
    "column": "correct the Split cells of its clips, use another method, or remove the class",
    "hashed": (
        "add groups of it, try another seed, other fractions or method grouped, or remove the class"
    ),
}


def split_clips(
    clips: pd.DataFrame, method: Method, fractions: Sequence[float], seed: int
) -> NDArray[np.str_]:
    """Give every clip "train", "val" or "test", `(n_clips,)` in the order of the rows.

    fractions are those of train, val and test. The order of the rows changes no clip's split.
    Raises InputError if the method cannot split these clips or a class is absent from a split.
    """
    parts = _parts(clips, METHODS[method], np.asarray(fractions, float), seed)
    _require_every_class(clips, parts, SPLITS, WAY_OUT[method])
    return np.array(SPLITS)[parts]


def fold_clips(
    clips: pd.DataFrame, method: Method, n_folds: int, fold: int, seed: int
) -> NDArray[np.str_]:
    """Give every clip its split in turn `fold` of an `n_folds`-fold cross-validation.

    test is fold number `fold`, val the next one (after the last comes 0), train all others. The
    folds depend on neither `fold` nor the order of the rows. Method column has those of the table,
    in the order of their numbers. Raises InputError as split_clips does; *every* fold must hold
    every class.
    """
    if 0 < len(clips) < n_folds:
        raise InputError(f"{n_folds} folds but only {len(clips)} clips: use fewer folds")
    dealt = official_folds if method == "column" else METHODS[method]
    parts = _parts(clips, dealt, np.full(n_folds, 1 / n_folds), seed)
    names = [f"fold {number}" for number in range(n_folds)]
    fewer = "" if method == "column" else "use fewer folds, "
    _require_every_class(clips, parts, names, fewer + WAY_OUT[method])
    splits = np.full(len(clips), "train")
    splits[parts == (fold + 1) % n_folds] = "val"
    splits[parts == fold] = "test"
    return splits


def _parts(clips: pd.DataFrame, dealt: Deal, fractions: FloatArray, seed: int) -> IntArray:
    if clips.empty:
        raise InputError("there are no clips to split: add rows to the table")
    ordered = clips.reset_index(drop=True).sort_values("clip_id", kind="stable")
    parts = np.empty(len(clips), np.int64)
    parts[ordered.index] = dealt(ordered, fractions, seed)
    return parts


def _require_every_class(
    clips: pd.DataFrame, parts: IntArray, names: Sequence[str], way_out: str
) -> None:
    problems = absent_classes(clips, parts, names, way_out)
    if problems:
        raise InputError(problems)


def at_random(clips: pd.DataFrame, fractions: FloatArray, seed: int) -> IntArray:
    """Deal single clips, whatever their class and group: the optimist's way."""
    return deal(np.zeros(len(clips), np.int64), np.arange(len(clips)), fractions, seed)


def stratified(clips: pd.DataFrame, fractions: FloatArray, seed: int) -> IntArray:
    """Deal single clips, each class for itself: groups and identical audio may leak."""
    return deal(clips["target"].to_numpy(), np.arange(len(clips)), fractions, seed)


def grouped(clips: pd.DataFrame, fractions: FloatArray, seed: int) -> IntArray:
    """Deal whole groups, every class as evenly as they allow.

    Raises InputError if there are fewer groups than parts.
    """
    n_groups, n_parts = clips["group"].nunique(), len(fractions)
    if n_groups < n_parts:
        have = "all clips form one group" if n_groups == 1 else f"there are only {n_groups} groups"
        raise InputError(
            f"{have}, and method grouped needs at least {n_parts}: give each recording its own "
            "Group in the table, or use method stratified, whose score flatters"
        )
    return deal(clips["target"].to_numpy(), _codes(clips["group"]), fractions, seed)


def official(clips: pd.DataFrame, fractions: FloatArray, seed: int) -> IntArray:
    """Follow the table's Split column; without a val there, take val from its train clips.

    That val keeps groups whole if the official split does, else identical audio at least.
    Raises InputError if a clip has no split or no clip is for testing.
    """
    problems = _column_problems(clips)
    if problems:
        raise InputError(problems)
    parts = clips["split"].map(SPLITS.index).to_numpy(np.int64, copy=True)
    training = clips[parts == 0]
    if not (parts == 1).any() and len(training):
        whole = (clips.groupby("group")["split"].nunique() == 1).all()
        units = _codes(training["group" if whole else "sha256"])
        shares = fractions[:2] / fractions[:2].sum()
        parts[parts == 0] = deal(training["target"].to_numpy(), units, shares, seed)
    return parts


def official_folds(clips: pd.DataFrame, fractions: FloatArray, _seed: int) -> IntArray:
    """Follow the numbers in the table's Fold (or Split) column; the lowest one is fold 0.

    Raises InputError unless there are as many numbers as `fractions` and nothing else: an official
    cross-validation is turned whole or not at all.
    """
    if not clips["split"].str.isdecimal().all():
        raise InputError(
            "method column with folds needs a number in each cell of the table's Fold column: add "
            "it, or set split.n_folds to 0, or use method grouped"
        )
    numbers = sorted(set(clips["split"]), key=int)
    if len(numbers) != len(fractions):
        raise InputError(
            f"the table has {len(numbers)} folds ({listed(numbers)}), not {len(fractions)}: set "
            f"split.n_folds to {len(numbers)}"
        )
    places = {number: place for place, number in enumerate(numbers)}
    return clips["split"].map(places).to_numpy(np.int64)


def _column_problems(clips: pd.DataFrame) -> list[str]:
    unset = clips.loc[~clips["split"].isin(SPLITS), "clip_id"]
    numbered = clips["split"].str.isdecimal()
    if numbered.all():
        numbers = sorted(set(clips["split"]), key=int)
        return [
            f"the table's column holds folds ({listed(numbers)}), not train, val and test: set "
            f"split.n_folds to {len(numbers)}, and split.fold to the place of the test fold, from 0"
        ]
    if numbered.any():
        return [
            f"{numbered.sum()} of {len(clips)} clips have a fold's number for Split: write numbers "
            "in all cells, or train, val and test"
        ]
    if len(unset) == len(clips):
        return ["method column needs a Split column in the table: add it, or use method grouped"]
    problems = []
    if len(unset):
        names = listed([repr(clip) for clip in unset])
        problems.append(f"{len(unset)} clips have no Split: fill in train, val or test for {names}")
    if "test" not in set(clips["split"]):
        problems.append(
            "no clip has Split test: mark the official test clips, or use another method"
        )
    return problems


def hashed(clips: pd.DataFrame, fractions: FloatArray, seed: int) -> IntArray:
    """Place each clip by a hash of the seed and its own group (without one, its own audio).

    Law: adding or removing clips never moves another clip. Hence groups as the table writes them
    are the keys: clips.csv's `group` also joins groups that share audio, so it can change.
    Raises InputError if identical audio has two groups that fall into different parts.
    """
    keys = clips["table_group"].where(clips["table_group"] != "", clips["sha256"])
    place = {key: unit_hash(f"{seed}:{key}") for key in keys.unique()}
    bounds = np.cumsum(fractions)[:-1]
    parts = np.searchsorted(bounds, keys.map(place).to_numpy(float), side="right")
    problems = _torn_audio(clips, parts)
    if problems:
        raise InputError(problems)
    return parts


def unit_hash(text: str) -> float:
    """Hash to [0, 1): SHA-256's first 53 bits, as many as a float holds, so that 1 is not hit."""
    head = hashlib.sha256(text.encode()).digest()[:8]
    return (int.from_bytes(head) >> 11) / 2**53


def _torn_audio(clips: pd.DataFrame, parts: IntArray) -> list[str]:
    torn = pd.Series(parts, clips.index).groupby(clips["sha256"]).transform("nunique") > 1
    lines = []
    for _, copies in clips[torn].groupby("sha256"):
        pairs = zip(copies["clip_id"], copies["table_group"], strict=True)
        names = listed([f"{clip!r} (group {group!r})" for clip, group in pairs])
        lines.append(
            f"identical audio falls into different splits: {names}: "
            "give these clips one Group, or delete all but one"
        )
    return lines


def _codes(names: "pd.Series[str]") -> IntArray:
    return pd.factorize(names, sort=True)[0].astype(np.int64)


METHODS: dict[Method, Deal] = {
    "random": at_random,
    "stratified": stratified,
    "grouped": grouped,
    "column": official,
    "hashed": hashed,
}

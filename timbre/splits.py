"""Divide clips into train, val and test, or into folds, by one of five methods.

A method takes clips with the columns of clips.csv, sorted by clip_id, the wanted fractions of the
parts (sum 1) and a seed, and returns each clip's part as a number, `(n_clips,)`.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import compress, islice
from operator import le
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from timbre.balance import FloatArray, IntArray, deal
from timbre.coded import Clips, Coded, Picked, coded
from timbre.columns import SPLITS
from timbre.leaks import absent_classes, listed, torn_codes
from timbre.problems import InputError, Lines, capped

Method = Literal["random", "stratified", "grouped", "column", "hashed"]
Deal = Callable[[Clips, FloatArray, int], IntArray]

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
    clips: Clips, method: Method, fractions: Sequence[float], seed: int
) -> NDArray[np.str_]:
    """Give every clip "train", "val" or "test", `(n_clips,)` in the order of the rows.

    fractions are those of train, val and test. The order of the rows changes no clip's split.
    Raises InputError if the method cannot split these clips or a class is absent from a split.
    """
    parts = _parts(clips, METHODS[method], np.asarray(fractions, float), seed)
    _require_every_class(clips, parts, SPLITS, WAY_OUT[method])
    return np.array(SPLITS)[parts]


def fold_clips(
    clips: Clips, method: Method, n_folds: int, fold: int, seed: int
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


def _parts(clips: Clips, dealt: Deal, fractions: FloatArray, seed: int) -> IntArray:
    if not len(clips):
        raise InputError("there are no clips to split: add rows to the table")
    clip_ids = list(clips["clip_id"])
    if all(map(le, clip_ids, islice(clip_ids, 1, None))):
        return dealt(clips, fractions, seed)
    order = np.array(sorted(range(len(clip_ids)), key=clip_ids.__getitem__), np.int64)
    parts = np.empty(len(clips), np.int64)
    parts[order] = dealt(Picked(clips, order), fractions, seed)
    return parts


def _require_every_class(clips: Clips, parts: IntArray, names: Sequence[str], way_out: str) -> None:
    problems = absent_classes(clips, parts, names, way_out)
    if problems:
        raise InputError(problems)


def at_random(clips: Clips, fractions: FloatArray, seed: int) -> IntArray:
    """Deal single clips, whatever their class and group: the optimist's way."""
    return deal(np.zeros(len(clips), np.int64), np.arange(len(clips)), fractions, seed)


def stratified(clips: Clips, fractions: FloatArray, seed: int) -> IntArray:
    """Deal single clips, each class for itself: groups and identical audio may leak."""
    return deal(_targets(clips), np.arange(len(clips)), fractions, seed)


def grouped(clips: Clips, fractions: FloatArray, seed: int) -> IntArray:
    """Deal whole groups, every class as evenly as they allow.

    Raises InputError if there are fewer groups than parts.
    """
    groups = coded(clips["group"])
    n_groups, n_parts = len(groups.used()), len(fractions)
    if n_groups < n_parts:
        have = "all clips form one group" if n_groups == 1 else f"there are only {n_groups} groups"
        raise InputError(
            f"{have}, and method grouped needs at least {n_parts}: give each recording its own "
            "Group in the table, or use method stratified, whose score flatters"
        )
    return deal(_targets(clips), groups.codes, fractions, seed)


def official(clips: Clips, fractions: FloatArray, seed: int) -> IntArray:
    """Follow the table's Split column; without a val there, take val from its train clips.

    That val keeps groups whole if the official split does, else identical audio at least.
    Raises InputError if a clip has no split or no clip is for testing.
    """
    problems = _column_problems(clips)
    if problems:
        raise InputError(problems)
    splits = coded(clips["split"])
    parts = np.array([SPLITS.index(name) if name in SPLITS else -1 for name in splits.names])
    parts = parts[splits.codes]
    is_training = parts == 0
    if not (parts == 1).any() and is_training.any():
        is_whole = not len(torn_codes(coded(clips["group"]), parts))
        units = coded(clips["group" if is_whole else "sha256"]).codes[is_training]
        shares = fractions[:2] / fractions[:2].sum()
        parts[is_training] = deal(_targets(clips)[is_training], units, shares, seed)
    return parts


def official_folds(clips: Clips, fractions: FloatArray, _seed: int) -> IntArray:
    """Follow the numbers in the table's Fold (or Split) column; the lowest one is fold 0.

    Raises InputError unless there are as many numbers as `fractions` and nothing else: an official
    cross-validation is turned whole or not at all.
    """
    splits = coded(clips["split"])
    if not all(map(str.isdecimal, splits.used_names())):
        raise InputError(
            "method column with folds needs a number in each cell of the table's Fold column: add "
            "it, or set split.n_folds to 0, or use method grouped"
        )
    numbers = sorted(splits.used_names(), key=int)
    if len(numbers) != len(fractions):
        raise InputError(
            f"the table has {len(numbers)} folds ({listed(numbers)}), not {len(fractions)}: set "
            f"split.n_folds to {len(numbers)}"
        )
    places = {number: place for place, number in enumerate(numbers)}
    return np.array([places.get(name, -1) for name in splits.names])[splits.codes]


def _column_problems(clips: Clips) -> list[str]:
    splits = coded(clips["split"])
    numbers = sorted(filter(str.isdecimal, splits.used_names()), key=int)
    if len(numbers) == len(splits.used()):
        return [
            f"the table's column holds folds ({listed(numbers)}), not train, val and test: set "
            f"split.n_folds to {len(numbers)}, and split.fold to the place of the test fold, from 0"
        ]
    if numbers:
        n_numbered = np.count_nonzero(splits.where(str.isdecimal))
        return [
            f"{n_numbered} of {len(clips)} clips have a fold's number for Split: write numbers "
            "in all cells, or train, val and test"
        ]
    is_unset = splits.where(lambda name: name not in SPLITS)
    if is_unset.all():
        return ["method column needs a Split column in the table: add it, or use method grouped"]
    problems = []
    if is_unset.any():
        names = listed([repr(clip) for clip in compress(clips["clip_id"], is_unset.tolist())])
        n_unset = np.count_nonzero(is_unset)
        problems.append(f"{n_unset} clips have no Split: fill in train, val or test for {names}")
    if "test" not in splits.used_names():
        problems.append(
            "no clip has Split test: mark the official test clips, or use another method"
        )
    return problems


def hashed(clips: Clips, fractions: FloatArray, seed: int) -> IntArray:
    """Place each clip by a hash of the seed and its own group (without one, its own audio).

    Law: adding or removing clips never moves another clip. Hence groups as the table writes them
    are the keys: clips.csv's `group` also joins groups that share audio, so it can change.
    Raises InputError if identical audio has two groups that fall into different parts.
    """
    groups = coded(clips["table_group"])
    of_group = groups.where(bool)
    place = np.empty(len(clips))
    place[of_group] = _places(groups, of_group, seed)
    place[~of_group] = _places(coded(clips["sha256"]), ~of_group, seed)
    parts = np.searchsorted(np.cumsum(fractions)[:-1], place, side="right")
    problems = capped(_torn_audio(clips, parts))
    if problems:
        raise InputError(problems)
    return parts


def _places(keys: Coded, rows: NDArray[np.bool_], seed: int) -> FloatArray:
    """Hash the keys of some rows, each distinct one once."""
    used, of_row = np.unique(keys.codes[rows], return_inverse=True)
    hashes = (unit_hash(f"{seed}:{keys.names[code]}") for code in used.tolist())
    return np.fromiter(hashes, float, len(used))[of_row]


def unit_hash(text: str) -> float:
    """Hash to [0, 1): SHA-256's first 53 bits, as many as a float holds, so that 1 is not hit."""
    head = hashlib.sha256(text.encode()).digest()[:8]
    return (int.from_bytes(head) >> 11) / 2**53


def _torn_audio(clips: Clips, parts: IntArray) -> Lines:
    audio = coded(clips["sha256"])
    torn = torn_codes(audio, parts)

    def line(number: int) -> str:
        copies = Picked(clips, audio.codes == torn[number])
        pairs = zip(copies["clip_id"], copies["table_group"], strict=True)
        names = listed([f"{clip!r} (group {group!r})" for clip, group in pairs])
        return (
            f"identical audio falls into different splits: {names}: "
            "give these clips one Group, or delete all but one"
        )

    return Lines(len(torn), line)


def _targets(clips: Clips) -> IntArray:
    return np.asarray(clips["target"], np.int64)


METHODS: dict[Method, Deal] = {
    "random": at_random,
    "stratified": stratified,
    "grouped": grouped,
    "column": official,
    "hashed": hashed,
}

"""Classes that are kept from training, to measure whether the model knows what it does not know."""

import difflib
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from timbre.coded import Clips, Integers, coded
from timbre.columns import UNKNOWN
from timbre.params import Section
from timbre.problems import InputError

UNKNOWN_TYPE = np.dtype(f"<U{len(UNKNOWN)}")
LEAST_KNOWN = 2  # classes: a classifier of one has nothing to tell apart


class HeldOut(Section):
    """The keys of the section `evaluate` that the stages split and evaluate both read."""

    unknown: list[str]  # classes held out of training, by name
    unknown_folds: int = Field(ge=0)  # of a cross-validation over classes instead; 0: none
    unknown_fold: int = Field(ge=0)  # which fold of the classes is held out, from 0

    @field_validator("unknown_folds")
    @classmethod
    def _more_than_one(cls, unknown_folds: int) -> int:
        if unknown_folds == 1:
            raise ValueError("must be 0 (no classes in turn) or at least 2")
        return unknown_folds

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        problems = []
        if self.unknown_fold >= max(self.unknown_folds, 1):
            n_folds = self.unknown_folds
            allowed = f"below unknown_folds = {n_folds}" if n_folds else "0 without unknown_folds"
            problems.append(f"unknown_fold must be {allowed}, not {self.unknown_fold}")
        if self.unknown and self.unknown_folds:
            problems.append("unknown names classes and unknown_folds deals them out: use one")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def held_out_classes(
    classes: Sequence[str], named: Sequence[str], n_folds: int, fold: int
) -> list[str]:
    """Return the classes to hold out, sorted: those `named`, or those of one fold.

    With `n_folds`, the sorted classes are dealt out in turn: fold k holds out number k, k +
    n_folds and so on, so that over all folds each class is unknown once. 0 folds: `named` alone.
    Raises InputError for a name that is no class, more folds than classes, or too few classes left.
    """
    ordered = sorted(classes)
    if n_folds > len(ordered):
        raise InputError(
            f"evaluate.unknown_folds: {n_folds} folds, but only {len(ordered)} classes: use fewer"
        )
    held_out = ordered[fold::n_folds] if n_folds else sorted(set(named))
    problems = [_no_such_class(name, ordered) for name in held_out if name not in ordered]
    n_known = len(ordered) - len(held_out)
    if not problems and held_out and n_known < LEAST_KNOWN:
        key, way_out = ("unknown_folds", "use more folds") if n_folds else ("unknown", "name fewer")
        left = "1 class is" if n_known == 1 else "no class is"
        problems = [
            f"evaluate.{key}: {left} left to train on, and it takes {LEAST_KNOWN}: {way_out}"
        ]
    if problems:
        raise InputError(problems)
    return held_out


def number_known(clips: Clips, held_out: Sequence[str]) -> Integers:
    """Number the targets of clips.csv anew: the known classes in their order, -1 for the others."""
    is_known = ~coded(clips["label"]).where(set(held_out).__contains__)
    targets = np.asarray(clips["target"], np.int64)
    return np.where(is_known, np.searchsorted(np.unique(targets[is_known]), targets), -1)


def place_unknown(targets: Integers, splits_of_known: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the split of each clip: of those of `number_known` theirs, of the others "unknown"."""
    split = np.full(len(targets), UNKNOWN, np.promote_types(splits_of_known.dtype, UNKNOWN_TYPE))
    split[targets >= 0] = splits_of_known
    return split


def _no_such_class(name: str, classes: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, classes, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see data/labels.json"
    return f"evaluate.unknown: no class is named {name!r}: {hint}"

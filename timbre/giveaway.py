"""How well the class of a clip can be guessed from how it was recorded, without hearing what it is.

A small decision tree is asked for clips of groups that it has not seen. What it knows are the
facts of the recording: sample rate, codec, bandwidth, level, noise. If that is enough to name the
class, a network can take the same short way, and no split of this corpus will show that it did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

Floats = npt.NDArray[np.floating[Any]]

# Properties, by what a user calls them, and the columns that hold them.
FORMAT = {
    "sample rate": "sample_rate",
    "channels": "n_channels",
    "codec": "codec",
    "bandwidth": "bandwidth",
}
LEVELS = {"level": "level", "peak": "peak", "noise floor": "noise", "DC offset": "offset"}
# These may belong to what the label means: long words, late calls. They are told, never joined.
TIMES = {"length": "seconds", "silence before the sound": "onset"}
SETS: dict[str, dict[str, str]] = {
    "recording": FORMAT | LEVELS,
    "format": FORMAT,
    "levels": LEVELS,
    **{name: {name: column} for name, column in (FORMAT | LEVELS | TIMES).items()},
}
N_FOLDS = 5
MOST_CLIPS = 5000  # more of them would hardly change the shares, and cost seconds
LEAVES_A_CLASS = 4  # of the tree: a few ways to record a class, not a leaf for each clip
FORMAT_EXCESS = 0.2  # of the way from chance to always right: a format should tell nothing
EXCESS = 0.5  # the same for levels and noise, in which sounds differ by themselves
SURE = 3.0  # standard errors that a share must lie above chance


@dataclass(frozen=True)
class Giveaway:
    """Shares of right guesses, each the mean over the classes, so that chance is one by classes."""

    shares: dict[str, float]  # by the names of SETS
    of_class: dict[str, float]  # with all of the recording, for each label
    chance: float
    error: float  # standard error of a share at chance, groups taken for independent
    over_groups: bool  # False: too few groups, so clips of one group taught and tested
    n_clips: int

    def excess(self, name: str) -> float:
        """Return how far a share has come from chance (0) to always right (1)."""
        if self.shares[name] <= self.chance + SURE * self.error:
            return 0.0
        return (self.shares[name] - self.chance) / (1 - self.chance)

    def gives_away(self) -> bool:
        """Tell whether the recording says too much of the class."""
        return self.excess("format") > FORMAT_EXCESS or self.excess("recording") > EXCESS

    def told(self) -> str:
        """Say how much the recording tells, and what tells most alone."""
        alone = {name: self.shares[name] for name in FORMAT | LEVELS}
        best = sorted(alone, key=lambda name: -alone[name])[:2]
        most = ", ".join(f"{name} {alone[name]:.0%}" for name in best)
        return (
            f"{self.shares['recording']:.0%} of the clips can be told by how they were recorded "
            f"alone ({self.chance:.0%} by chance): by format {self.shares['format']:.0%}, by "
            f"levels {self.shares['levels']:.0%}; most telling single facts: {most}"
        )


def measure_giveaway(clips: pd.DataFrame) -> Giveaway | None:
    """Guess each clip's label by a tree that was grown on other groups.

    `clips` has the columns label, group and those named above. None where there are not two classes
    of two clips each.
    """
    several = clips.groupby("label")["label"].transform("size") > 1
    chosen = clips[several]
    if len(chosen) > MOST_CLIPS:
        chosen = chosen.sample(MOST_CLIPS, random_state=0)
        chosen = chosen[chosen.groupby("label")["label"].transform("size") > 1]
    if chosen["label"].nunique() < 2:
        return None
    target, labels = pd.factorize(chosen["label"], sort=True)
    folds, over_groups = _folds(target, chosen["group"])
    recalls = {name: _recalls(_features(chosen, own), target, folds) for name, own in SETS.items()}
    n_units = chosen.groupby("label")["group"].nunique().to_numpy(np.float64)
    chance = 1 / len(labels)
    return Giveaway(
        shares={name: float(recall.mean()) for name, recall in recalls.items()},
        of_class=dict(zip(labels, recalls["recording"].tolist(), strict=True)),
        chance=chance,
        error=float(np.sqrt(chance * (1 - chance) * np.mean(1 / n_units) / len(labels))),
        over_groups=over_groups,
        n_clips=len(chosen),
    )


def _folds(target: npt.NDArray[Any], group: "pd.Series[str]") -> tuple[Sequence[Any], bool]:
    """Return (training rows, test rows) of each fold, and whether groups are whole in them."""
    codes = pd.factorize(group)[0]
    n_groups = pd.Series(codes).groupby(target).nunique().min()
    nothing = np.zeros(len(target))
    if n_groups > 1:
        n_folds = min(N_FOLDS, int(n_groups))
        whole = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
        return list(whole.split(nothing, target, codes)), True
    n_folds = min(N_FOLDS, int(np.bincount(target).min()))
    torn = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    return list(torn.split(nothing, target)), False


def _features(clips: pd.DataFrame, columns: Mapping[str, str]) -> Floats:
    """Return `(n_clips, n_features)`: numbers as they are, a flag for each codec that occurs."""
    chosen = clips[list(columns.values())]
    flags = [name for name in chosen.columns if name == "codec"]
    return np.asarray(pd.get_dummies(chosen, columns=flags, dtype=float), np.float32)


def _recalls(features: Floats, target: npt.NDArray[Any], folds: Sequence[Any]) -> Floats:
    """Return the share of each class that is guessed right, `(n_classes,)`."""
    counts = np.bincount(target)
    if (features == features[0]).all():
        return np.full(len(counts), 1 / len(counts))
    right = np.zeros(len(target))
    for training, test in folds:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=LEAVES_A_CLASS * len(counts), class_weight="balanced", random_state=0
        )
        guesses = tree.fit(features[training], target[training]).predict(features[test])
        right[test] = guesses == target[test]
    return np.asarray(np.bincount(target, weights=right) / counts)

"""What the clips of each class have in common: how many they are, and how they were recorded."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from timbre.giveaway import Giveaway

LOW, HIGH = 0.1, 0.9  # quantiles: a single odd clip does not widen a range
DIGITS = {"minutes": 2, "bandwidth": 0, "guessed": 4}  # others: one


@dataclass(frozen=True)
class ClassFacts:
    """Of one class; levels in dBFS, medians over its clips where no quantile is named."""

    label: str
    clips: int
    minutes: float
    groups: int
    length: float  # s
    level: float
    level_low: float  # 10 % of the clips are softer
    level_high: float  # 10 % are louder
    peak: float
    noise: float
    bandwidth: float  # Hz
    formats: str  # codec, rate and channels of most clips, and how many ways there are
    guessed: float | None  # share that is guessed right from the recording; None: not measured


def class_facts(clips: pd.DataFrame, giveaway: Giveaway | None) -> list[ClassFacts]:
    """Return a row for each class, in the order of their names."""
    guessed = giveaway.of_class if giveaway else {}
    return [_facts(str(label), own, guessed) for label, own in clips.groupby("label")]


def rounded(facts: ClassFacts) -> dict[str, Any]:
    """Return a row with as many digits as say something."""
    return {
        name: round(value, DIGITS.get(name, 1)) if isinstance(value, float) else value
        for name, value in asdict(facts).items()
    }


def formats(clips: pd.DataFrame) -> "pd.Series[int]":
    """Count the ways in which clips are stored, by their names, the most frequent first."""
    rates = (clips["sample_rate"] / 1000).map("{:g} kHz".format)
    channels = clips["n_channels"].map({1: "mono", 2: "stereo"}.get)
    channels = channels.fillna(clips["n_channels"].map("{} channels".format))
    names = rates + " " + channels + " " + clips["codec"]
    return names.value_counts()


def _facts(label: str, clips: pd.DataFrame, guessed: dict[str, float]) -> ClassFacts:
    medians = clips[["seconds", "level", "peak", "noise", "bandwidth"]].median()
    ways = formats(clips)
    more = f" and {len(ways) - 1} more" if len(ways) > 1 else ""
    return ClassFacts(
        label=label,
        clips=len(clips),
        minutes=float(clips["seconds"].sum()) / 60,
        groups=int(clips["group"].nunique()),
        length=float(medians["seconds"]),
        level=float(medians["level"]),
        level_low=float(clips["level"].quantile(LOW)),
        level_high=float(clips["level"].quantile(HIGH)),
        peak=float(medians["peak"]),
        noise=float(medians["noise"]),
        bandwidth=float(medians["bandwidth"]),
        formats=f"{ways.index[0]}{more}",
        guessed=guessed.get(label),
    )

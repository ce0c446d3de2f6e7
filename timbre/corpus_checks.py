"""What can be wrong with a corpus as a whole: balance, groups, splits, lengths, recordings."""

from collections.abc import Sequence

import pandas as pd

from timbre.class_facts import formats
from timbre.columns import SPLITS
from timbre.corpus import rare_classes
from timbre.findings import Finding, finding
from timbre.giveaway import Giveaway
from timbre.problems import InputError
from timbre.splits import Method, fold_clips, split_clips
from timbre.window_sizes import fitting_seconds

FRACTIONS = (0.7, 0.15, 0.15)  # of split in params.yaml
SEED = 0  # the same
MUCH_SMALLER = 0.1  # of the largest class
FEW_GROUPS = 6  # two for each of train, val and test
MOST_UNHEARD = 0.5  # share of all sound
MOSTLY_PADDING = 0.25  # of a window


def class_findings(clips: pd.DataFrame) -> list[Finding]:
    """Look at the clips and the groups of each class; `clips` are those with usable audio."""
    sizes = clips["label"].value_counts().sort_index()
    largest = sizes.max()
    small = sizes[sizes < MUCH_SMALLER * largest].items()
    groups = clips.groupby("label")["group"].nunique()
    few = groups[groups < FEW_GROUPS].items() if (clips["table_group"] != "").any() else []
    uneven = [
        f"class {name!r}: {_count(n, 'clip')}, the largest has {largest}" for name, n in small
    ]
    return [
        *finding("rare", rare_classes({str(name): int(n) for name, n in sizes.items()})),
        *finding("imbalance", uneven),
        *finding("few_groups", [f"class {name!r}: {_count(n, 'group')}" for name, n in few]),
    ]


def group_findings(clips: pd.DataFrame) -> list[Finding]:
    """Look at the groups and what split.method grouped makes of them.

    `group` is merged where audio is the same, `table_group` is as written.
    """
    return [
        *finding("no_groups", _useless_groups(clips)),
        *finding("untestable", _split_problems(clips, "grouped")),
    ]


def grouped_split(clips: pd.DataFrame) -> str:
    """Say what split.method grouped makes of the clips, "" if it cannot split them."""
    try:
        splits = _split(clips, "grouped")
    except InputError:
        return ""
    sizes, groups = splits.value_counts(), clips["group"].groupby(splits).nunique()
    return ", ".join(
        f"{name} {_count(sizes[name], 'clip')} of {_count(groups[name], 'group')}"
        for name in SPLITS
    )


def split_findings(clips: pd.DataFrame) -> list[Finding]:
    """Look at the table's own split, if it has one."""
    if (clips["split"] == "").all():
        return []
    grouped = clips[clips["table_group"] != ""]
    torn = [
        f"group {name!r}: {_parts(own)}"
        for name, own in grouped.groupby("table_group")["split"]
        if own.nunique() > 1
    ]
    return [
        *finding("leak_groups", torn),
        *finding("column", _split_problems(clips, "column")),
    ]


def length_findings(clips: pd.DataFrame) -> list[Finding]:
    """Look at how much of the sound is heard, and how full windows are."""
    window = fitting_seconds(clips["seconds"].to_numpy())
    behind = float((clips["seconds"] - window).clip(lower=0).sum())
    total = float(clips["seconds"].sum())
    share = f"{behind / total:.0%} of {total / 60:.0f} minutes"
    unheard = f"{share} lie behind the first {window:g} s of clips"
    median = float(clips["seconds"].median())
    padded = f"half of the clips are shorter than {median:.2g} s, a window has {window:g} s"
    return [
        *finding("unheard", [unheard] if behind > MOST_UNHEARD * total else []),
        *finding("padding", [padded] if median < MOSTLY_PADDING * window else []),
    ]


def recording_findings(clips: pd.DataFrame, giveaway: Giveaway | None) -> list[Finding]:
    """Look at how the clips were recorded and stored."""
    told = [f"{name}: {_count(n, 'clip')}" for name, n in formats(clips).items()]
    signs = [giveaway.told()] if giveaway and giveaway.gives_away() else []
    return [*finding("giveaway", signs), *finding("mixed", told if len(told) > 1 else [])]


def _useless_groups(clips: pd.DataFrame) -> list[str]:
    groups = clips["table_group"]
    if (groups == "").all():
        return [f"there is no Group: each of {len(clips)} clips counts as a recording of its own"]
    if groups.nunique() == len(groups):
        return ["Group is another one in each row"]
    return []


def _split_problems(clips: pd.DataFrame, method: Method) -> Sequence[str]:
    if clips["label"].nunique() < 2:
        return []  # told of already
    try:
        _split(clips, method)
    except InputError as error:
        return error.problems
    return []


def _split(clips: pd.DataFrame, method: Method) -> "pd.Series[str]":
    targets = clips.assign(target=pd.factorize(clips["label"], sort=True)[0])
    if method == "column" and clips["split"].str.isdecimal().all():
        splits = fold_clips(targets, method, clips["split"].nunique(), 0, SEED)
    else:
        splits = split_clips(targets, method, FRACTIONS, SEED)
    return pd.Series(splits, index=clips.index)


def _parts(splits: "pd.Series[str]") -> str:
    counts = splits.value_counts().sort_index()
    return ", ".join(f"{n} in {name}" for name, n in counts.items())


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"

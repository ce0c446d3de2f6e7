"""Two models on the same test clips: whether the newer one is really worse."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from timbre.problems import InputError, capped

LEVEL = 0.05  # a loss that chance makes this seldom is no chance
MOST_EXACT = 14  # groups that changed, up to which all 2 ** n signs are tried
DRAWS = 20_000  # of signs, for more groups
COLUMNS = ["clip_id", "split", "group", "label", "predicted"]


@dataclass(frozen=True)
class Comparison:
    """What became of the clips of a test split."""

    n_clips: int
    before: float  # accuracy
    now: float
    gained: int  # clips that are right by now
    lost: int  # clips that were right
    groups_better: int
    groups_worse: int
    p_worse: float  # chance of such a loss or a larger one, if nothing had changed

    def is_worse(self, tolerance: float = 0.0) -> bool:
        """Tell whether accuracy fell by more than `tolerance`, and not by chance."""
        return self.before - self.now > tolerance and self.p_worse <= LEVEL


def read_test_clips(path: Path) -> pd.DataFrame:
    """Read the test clips of a table of predictions, indexed by clip_id. Raises InputError."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}): run `dvc repro evaluate`") from None
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{path}: is no table of predictions: it has no {', '.join(missing)}")
    return table.loc[table["split"] == "test", COLUMNS].set_index("clip_id")


def compare(before: pd.DataFrame, now: pd.DataFrame) -> Comparison:
    """Compare two tables of test clips. Raises InputError unless they hold the same ones."""
    if problems := _unlike(before, now):
        raise InputError(
            [*problems, "compare runs of one split: the same split.* settings and clips"]
        )
    now = now.loc[before.index]
    right_before, right_now = (_right(table) for table in (before, now))
    change = right_now - right_before
    _, group = np.unique(now["group"].to_numpy(str), return_inverse=True)
    sums = np.zeros(group.max() + 1, np.int64)
    np.add.at(sums, group, change)
    return Comparison(
        n_clips=len(change),
        before=float(right_before.mean()),
        now=float(right_now.mean()),
        gained=int((change > 0).sum()),
        lost=int((change < 0).sum()),
        groups_better=int((sums > 0).sum()),
        groups_worse=int((sums < 0).sum()),
        p_worse=chance_of_loss(sums),
    )


def chance_of_loss(sums: npt.NDArray[np.int64], seed: int = 0) -> float:
    """Return how often a sum as low as that of `sums` `(n_groups,)` comes about by chance.

    A test by random signs over groups (Fisher 1935; Good 2005, chapter 3): were both models alike,
    each group's change would be as likely with the other sign. Clips of a group change together, so
    it is the groups that are exchanged. Up to MOST_EXACT groups all signs are tried.
    """
    changed = sums[sums != 0]
    n = len(changed)
    if n <= MOST_EXACT:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        return float((signs @ changed <= changed.sum()).mean())
    signs = np.random.default_rng(seed).choice([-1, 1], (DRAWS, n))
    lower = int((signs @ changed <= changed.sum()).sum())
    return (lower + 1) / (DRAWS + 1)  # with the signs that came about


def markdown(found: Comparison, tolerance: float) -> str:
    """Return the comparison as a page for a pull request."""
    verdict = "**worse**" if found.is_worse(tolerance) else "not worse"
    return "\n".join(
        [
            "| test accuracy | before | now | difference |",
            "|---|---|---|---|",
            f"| {found.n_clips} clips | {found.before:.1%} | {found.now:.1%} | "
            f"{100 * (found.now - found.before):+.1f} points |",
            "",
            f"{found.gained} clips are right that were wrong, {found.lost} are wrong that were "
            f"right; {found.groups_better} groups are better, {found.groups_worse} worse. If "
            "nothing had changed, a loss like this or a larger one would come about with a chance "
            f"of {found.p_worse:.2g}.",
            "",
            f"Verdict: {verdict} (tolerance {100 * tolerance:g} points, chance at most {LEVEL:g}).",
            "",
        ]
    )


def _right(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    right = table["predicted"].to_numpy(str) == table["label"].to_numpy(str)
    return np.asarray(right, np.int64)


def _unlike(before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    shared = before.index.intersection(now.index)
    if before.empty or now.empty:
        return ["there are no test clips in one of the tables"]
    if len(shared) < len(before) or len(shared) < len(now):
        return [
            f"not the same test clips: {len(before)} before, {len(now)} now, {len(shared)} in both"
        ]
    same = before["label"] == now.loc[before.index, "label"]
    return capped([f"{clip_id!r} had another label before" for clip_id in before.index[~same]])

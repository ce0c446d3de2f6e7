"""How well a score tells clips of known classes from those of unknown ones."""

import numpy as np
from scipy import stats

from timbre.answers import Floats
from timbre.rejection import threshold_at


def auroc(known: Floats, unknown: Floats) -> float:
    """Return the chance that a known clip scores higher than an unknown one; equal ones count half.

    It is the area under the ROC curve (Hanley and McNeil 1982), by ranks as Mann and Whitney (1947)
    count them. `known` and `unknown` are scores, `(n,)` each. Raises ValueError if one is empty.
    """
    if not len(known) or not len(unknown):
        raise ValueError("known and unknown: need a clip each")
    ranks = stats.rankdata(np.concatenate([known, unknown]))[: len(known)]
    wins = ranks.sum() - len(known) * (len(known) + 1) / 2
    return float(wins / len(known) / len(unknown))


def false_accepts(unknown: Floats, threshold: float) -> float:
    """Return the share of the unknown clips whose scores reach the threshold."""
    return float(np.mean(unknown >= threshold))


def false_accepts_at(known: Floats, unknown: Floats, accepted: float = 0.95) -> float:
    """Return the share of unknown clips accepted when `accepted` of these known ones must be.

    Its threshold comes from the very clips it is measured on: it compares scores, it promises
    nothing.
    """
    return false_accepts(unknown, threshold_at(known, accepted))

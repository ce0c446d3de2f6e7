"""Training clips set aside to show what a random split would have reported.

A clip that is not trained on, but whose recording is, is what a random split of the rows tests
with. Its score stands beside the honest one, from the same network.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from timbre.clips import SEEN
from timbre.splits import unit_hash


def set_aside(
    clips: pd.DataFrame, splits: NDArray[np.str_], share: float, seed: int
) -> NDArray[np.str_]:
    """Move about `share` of the "train" clips of `splits` `(n_clips,)` to "seen".

    `clips` has the columns of clips.csv. A hash of the seed and the clip's id decides, so the order
    of the rows changes nothing, nor do clips that share neither group nor class. Each group and
    each class keeps at least one clip in training: the one whose hash is highest.
    """
    training = clips.reset_index(drop=True)[splits == "train"]
    hashes = training["clip_id"].map(lambda clip_id: unit_hash(f"{seed}:seen:{clip_id}"))
    aside = hashes < share
    for column in ("group", "label"):
        aside[hashes.groupby(training[column]).idxmax()] = False
    moved = splits.astype(object)  # an array of text would cut longer names off
    moved[aside.index[aside]] = SEEN
    return moved.astype(str)

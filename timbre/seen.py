"""Training clips set aside to show what a random split would have reported.

A clip that is not trained on, but whose recording is, is what a random split of the rows tests
with. Its score stands beside the honest one, from the same network.
"""

from itertools import compress

import numpy as np
from numpy.typing import NDArray

from timbre.coded import Clips, coded
from timbre.columns import SEEN
from timbre.splits import unit_hash


def set_aside(clips: Clips, splits: NDArray[np.str_], share: float, seed: int) -> NDArray[np.str_]:
    """Move about `share` of the "train" clips of `splits` `(n_clips,)` to "seen".

    `clips` has the columns of clips.csv. A hash of the seed and the clip's id decides, so the order
    of the rows changes nothing, nor do clips that share neither group nor class. Each group and
    each class keeps at least one clip in training: the one whose hash is highest.
    """
    is_training = splits == "train"
    training = np.flatnonzero(is_training)
    clip_ids = compress(clips["clip_id"], is_training.tolist())
    hashed = (unit_hash(f"{seed}:seen:{clip_id}") for clip_id in clip_ids)
    hashes = np.fromiter(hashed, float, len(training))
    aside = hashes < share
    rising = np.lexsort((-training, hashes))  # of equal hashes the first row counts as higher
    for column in ("group", "label"):
        own = coded(clips[column])
        codes = own.codes[training]
        highest = np.empty(len(own.names), np.int64)
        highest[codes[rising]] = rising  # of equal codes the last one stays
        aside[highest[codes]] = False
    moved = splits.astype(np.promote_types(splits.dtype, f"<U{len(SEEN)}"))
    moved[training[aside]] = SEEN
    return moved

"""What a network said of the windows of some clips, and what follows for each clip."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClipAnswers:
    """What was said of whole clips, one row a clip."""

    probs: Floats  # (n_clips, n_classes), rows sum to 1
    logits: Floats  # (n_clips, n_classes), mean over the windows
    embeddings: Floats  # (n_clips, n_features), mean over the windows

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.probs)


@dataclass(frozen=True)
class Answers:
    """Parallel arrays, one entry a window, in the order of the clips."""

    logits: Floats  # (n_windows, n_classes), float64
    embeddings: Floats  # (n_windows, n_features), what the output layer sees
    clip: Integers  # (n_windows,), ascending from 0; no clip is without a window

    def of_clips(self, temperature: float) -> ClipAnswers:
        """Sum the windows of each clip up; `temperature` divides the logits before the softmax."""
        return ClipAnswers(
            probs=clip_probs(self.logits, self.clip, temperature),
            logits=clip_means(self.logits, self.clip),
            embeddings=clip_means(self.embeddings, self.clip),
        )

    def are_finite(self) -> bool:
        """Tell whether all is a number: a training that diverged ends in NaN or infinity."""
        return bool(np.isfinite(self.logits).all() and np.isfinite(self.embeddings).all())


def softmax(logits: Floats, temperature: float) -> Floats:
    """Return softmax(logits / T) of each row."""
    scaled = logits / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    probs = np.exp(scaled, out=scaled)
    probs /= probs.sum(axis=1, keepdims=True)
    return np.asarray(probs)


def clip_probs(logits: Floats, clip: Integers, temperature: float) -> Floats:
    """Return `(n_clips, n_classes)`: the mean over a clip's windows of softmax(logits / T).

    Of probabilities, not of logits: a window that is sure weighs no more than one that is not.
    """
    return clip_means(softmax(logits, temperature), clip)


def clip_means(of_windows: Floats, clip: Integers) -> Floats:
    """Return the mean of `(n_windows, n)` over the windows of each clip, `(n_clips, n)`."""
    starts = np.flatnonzero(np.diff(clip, prepend=-1))
    if len(starts) == len(clip):
        return of_windows
    sums = np.add.reduceat(of_windows, starts, axis=0)
    return np.asarray(sums / np.diff(starts, append=len(clip))[:, None])

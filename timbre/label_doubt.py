"""Which labels may be wrong: confident learning, from a model that was not trained on the clips.

Source: C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident learning: estimating uncertainty in
dataset labels", Journal of Artificial Intelligence Research 70, 2021. It ranks labels to be looked
at, and proves none wrong: a network errs about right labels too.

Everywhere `probs` float64 `(n_clips, n_classes)`, rows sum to 1, and `targets` int `(n_clips,)`.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NO_CLASS = -1


def self_confidence(probs: Floats, targets: Integers) -> Floats:
    """Return the probability of each clip's own label, `(n_clips,)`."""
    return np.asarray(probs[np.arange(len(targets)), targets])


def normalised_margin(probs: Floats, targets: Integers) -> Floats:
    """Return the probability of the label less the highest of another class, -1 to 1."""
    others = probs.copy()
    others[np.arange(len(targets)), targets] = 0.0
    return np.asarray(self_confidence(probs, targets) - others.max(axis=1))


def label_doubt(probs: Floats, targets: Integers) -> Floats:
    """Return the doubt of each label, `(n_clips,)`: the normalised margin, turned to 0 to 1.

    0: all is given to the label; 0.5: as much to another class; 1: all to another class.
    """
    return np.asarray((1 - normalised_margin(probs, targets)) / 2)


def class_thresholds(probs: Floats, targets: Integers) -> Floats:
    """Return how sure the model usually is of each class, `(n_classes,)`.

    That is the mean self-confidence of the clips that have it for label; infinite without any.
    """
    n_classes = probs.shape[1]
    n_clips = np.bincount(targets, minlength=n_classes)
    sums = np.bincount(targets, weights=self_confidence(probs, targets), minlength=n_classes)
    return np.where(n_clips > 0, sums / np.maximum(n_clips, 1), np.inf)


def confident_classes(probs: Floats, targets: Integers) -> Integers:
    """Return the class that each clip is confidently of, `(n_clips,)`, NO_CLASS where of none.

    The likeliest of the classes whose probability reaches their threshold: the clip's column in
    the confident joint, where its label is the row.
    """
    reached = np.where(probs >= class_thresholds(probs, targets), probs, -1.0)
    likeliest = reached.argmax(axis=1)
    return np.where(reached.max(axis=1) >= 0, likeliest, NO_CLASS).astype(np.int64)


def confidently_others(probs: Floats, targets: Integers) -> npt.NDArray[np.bool_]:
    """Tell which clips `(n_clips,)` stand off the diagonal of the confident joint."""
    found = confident_classes(probs, targets)
    return np.asarray((found != NO_CLASS) & (found != targets))

"""What a classifier achieved on clips it never saw: scores of its probabilities."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from timbre import intervals
from timbre.problems import InputError

DIGITS = 6  # a last bit that differs between machines must not show up as a changed metric

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def predict(probs: Floats) -> Integers:
    """Most probable class of each clip `(n_clips,)`; the first one of equals.

    Raises InputError where a probability is NaN or infinite: no class is most probable then.
    """
    broken = int((~np.isfinite(probs)).any(axis=1).sum())
    if broken:
        raise InputError(
            f"the model gives no finite probabilities for {broken} of {len(probs)} clips: "
            "its training diverged; lower the learning rate and train again"
        )
    return np.asarray(probs.argmax(axis=1), dtype=np.int64)


def accuracy(predicted: Integers, targets: Integers) -> float:
    """Share of clips whose prediction is right."""
    return float(metrics.accuracy_score(targets, predicted))


def balanced_accuracy(predicted: Integers, targets: Integers) -> float:
    """Mean recall of the classes that occur in `targets` (chance: 1 / their number)."""
    present = np.unique(targets)
    # balanced_accuracy_score does the same, but warns of predicted classes without a clip.
    return float(
        metrics.recall_score(targets, predicted, labels=present, average="macro", zero_division=0)
    )


def macro_f1(predicted: Integers, targets: Integers) -> float:
    """Mean F1 of the classes that occur in `targets` or are predicted.

    A class that neither occurs nor is predicted was not measured: as a zero it would hold a
    flawless classifier below 1.
    """
    return float(metrics.f1_score(targets, predicted, average="macro", zero_division=0))


def found_in_top(probs: Floats, targets: Integers, k: int) -> npt.NDArray[np.bool_]:
    """Tell which clips `(n_clips,)` have their true class among the `k` most probable ones.

    Of equal probabilities the first class counts as the more probable, as in `predict`, so that
    the share for k = 1 is the accuracy (scikit-learn's takes the last and refuses two classes).
    """
    if k < 1:
        raise ValueError(f"k is {k}, but at least one class must be looked at")
    own = probs[np.arange(len(targets)), targets][:, None]
    earlier = np.arange(probs.shape[1]) < targets[:, None]
    better = (probs > own) | ((probs == own) & earlier)
    return np.asarray(better.sum(axis=1) < k)


def log_loss(probs: Floats, targets: Integers) -> float:
    """Mean of -ln p(true class) in nats; p is clipped to the smallest step above 0."""
    # The softmax of float32 logits misses a sum of 1 by more than scikit-learn bears silently.
    sums = probs.sum(axis=1, keepdims=True)
    return float(metrics.log_loss(targets, probs / sums, labels=np.arange(probs.shape[1])))


def summary(
    probs: Floats, targets: Integers, groups: Sequence[str], k: int
) -> dict[str, int | float]:
    """Scores of the whole split, as metrics/test.json holds them.

    `probs` float64 `(n_clips, n_classes)`, rows sum to 1; `targets` int and `groups` `(n_clips,)`.
    Keys: n_clips, n_groups, accuracy, balanced_accuracy, top_{k} (each with _low and _high, the
    limits of its 95 % interval over groups), macro_f1, log_loss. Floats have 6 decimals.

    Raises InputError for probabilities that are not finite, ValueError for no clips.
    """
    if not len(targets):
        raise ValueError("no clips, no scores")
    predicted = predict(probs)
    correct = predicted == targets
    found = found_in_top(probs, targets, k)
    plain = intervals.accuracy_interval(correct, groups)
    top = intervals.accuracy_interval(found, groups)
    balanced = intervals.balanced_accuracy_interval(correct, targets, groups)
    floats = {
        "accuracy": accuracy(predicted, targets),
        "accuracy_low": plain.low,
        "accuracy_high": plain.high,
        "balanced_accuracy": balanced_accuracy(predicted, targets),
        "balanced_accuracy_low": balanced.low,
        "balanced_accuracy_high": balanced.high,
        "macro_f1": macro_f1(predicted, targets),
        f"top_{k}": float(found.mean()),
        f"top_{k}_low": top.low,
        f"top_{k}_high": top.high,
        "log_loss": log_loss(probs, targets),
    }
    counts = {"n_clips": len(targets), "n_groups": len(np.unique(np.asarray(groups)))}
    return counts | {name: round(value, DIGITS) for name, value in floats.items()}


def per_class(
    predicted: Integers, targets: Integers, labels: Sequence[str]
) -> dict[str, dict[str, int | float]]:
    """Precision, recall, F1, support (clips) of every label, as metrics/per_class.json holds.

    `labels` in the order of the targets. What has no denominator is 0: the precision of a class
    never predicted, the recall of one without clips.
    """
    columns = metrics.precision_recall_fscore_support(
        targets, predicted, labels=np.arange(len(labels)), zero_division=0
    )
    return {
        label: {
            "precision": round(float(precision), DIGITS),
            "recall": round(float(recall), DIGITS),
            "f1": round(float(f1), DIGITS),
            "support": int(support),
        }
        for label, precision, recall, f1, support in zip(labels, *columns, strict=True)
    }

"""One temperature for all logits, so that a confidence is the share of answers that are right."""

import math

import numpy as np

from timbre.answers import Floats, Integers, clip_probs

COLDEST, HOTTEST = 0.05, 20.0  # beyond these, probabilities are as good as 0 and 1, or all equal
N_TRIED = 25  # temperatures in each round
N_ROUNDS = 6  # each looks between the neighbours of the best: the last steps are below 1e-6
LEAST = 1e-300  # a probability that underflowed costs much, not infinitely much


def fit_temperature(logits: Floats, targets: Integers, clip: Integers) -> float:
    """Return the T for which softmax(logits / T) fits `targets` best, 0.05 to 20.

    `logits` `(n_windows, n_classes)`, `targets` `(n_clips,)`, `clip` `(n_windows,)` the clip of
    each window, ascending from 0. What is fitted are the probabilities of whole clips, as
    `clip_probs` makes them. No answer changes where each clip has one window.
    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017.

    The fit is to Platt's targets (1999): the true class has (n + 1) / (n + 2), the others share
    1 / (n + 2). Without them a split with no wrong answer would ask for T = 0 and a confidence of
    100 %, which n right answers do not prove. With them it asks for a mean confidence of about
    (n + 1) / (n + 2). Answers that are worse than chance end at 20, where all classes are nearly
    equal.
    """
    n, n_classes = len(targets), logits.shape[1]
    wanted = np.full((n, n_classes), 1 / (n + 2) / max(n_classes - 1, 1))
    wanted[np.arange(n), targets] = (n + 1) / (n + 2)
    return best_temperature(logits, wanted, clip)


def best_temperature(logits: Floats, wanted: Floats, clip: Integers) -> float:
    """Return the T, 0.05 to 20, of the least cross-entropy to `wanted` `(n_clips, n_classes)`.

    Raises ValueError for no clips, or logits that are not finite.
    """
    if not len(wanted) or not np.isfinite(logits).all():
        raise ValueError("logits: need one finite row a window, and at least one clip")
    low, high = math.log(COLDEST), math.log(HOTTEST)
    # A fine grid first: with several windows a clip, the loss may have more than one valley.
    for _ in range(N_ROUNDS):
        tried = np.linspace(low, high, N_TRIED)
        losses = [_loss(logits, wanted, clip, math.exp(number)) for number in tried]
        best = int(np.argmin(losses))
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, N_TRIED - 1)]
    return math.exp(tried[best])


def _loss(logits: Floats, wanted: Floats, clip: Integers, temperature: float) -> float:
    probs = clip_probs(logits, clip, temperature)
    return -float((wanted * np.log(np.maximum(probs, LEAST))).sum())

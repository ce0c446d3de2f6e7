"""The learning rate over a training run, as a function of how far it is."""

import math


def learning_rate(progress: float, peak: float, schedule: str, warmup: float) -> float:
    """Return the learning rate at `progress` in [0, 1] of all steps.

    It rises linearly to `peak` over the first `warmup` share; then `constant` stays there and
    `cosine` falls to zero along a half cosine (I. Loshchilov, F. Hutter, "SGDR", ICLR 2017).
    """
    if progress < warmup:
        return peak * progress / warmup
    if schedule == "constant":
        return peak
    rest = (progress - warmup) / (1 - warmup)
    return peak * (1 + math.cos(math.pi * rest)) / 2

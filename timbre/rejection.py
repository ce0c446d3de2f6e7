"""Whether a clip is of a class that the network knows: scores of that, and a threshold.

A score is higher for clips that look known. Each takes the answers for clips and the landmarks of
the training clips, and returns `(n_clips,)`. `bench/rejection.py` compares them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from timbre.answers import ClipAnswers, Floats, Integers

SHIPPED = "class_projection"  # the best in docs/honest-evaluation.md
ACCEPTED = 0.95  # share of the validation clips whose score reaches the threshold
UNKNOWN = "unknown"  # what is said of a clip that is not accepted
RIDGE = 1e-3  # of the mean variance, added to each: embeddings have features that are always 0
LEAST_VARIANCE = 1e-6  # where embeddings hardly differ at all
CLIPS_AT_A_TIME = 16_384  # in float64: all of a large corpus would be several times its embeddings


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Where the training clips' embeddings lie; float32, as the model file keeps them."""

    means: Floats  # (n_classes, n_features)
    within: Floats  # (n_features, n_features): (x - mean of its class) @ within has unit variance
    centre: Floats  # (n_features,), mean over all clips
    overall: Floats  # (n_features, n_features): (x - centre) @ overall has unit variance


@dataclass(frozen=True)
class Rejection:
    """The score of a model, and what it must reach."""

    score: str  # a key of SCORES
    threshold: float
    landmarks: Landmarks

    def __post_init__(self) -> None:
        """Raise ValueError for a score that this version does not know."""
        if self.score not in SCORES:
            raise ValueError(f"no rejection score is named {self.score!r}")

    def scores(self, clips: ClipAnswers) -> Floats:
        """Return how known each clip looks, `(n_clips,)`."""
        return SCORES[self.score](clips, self.landmarks)

    def accepts(self, scores: Floats) -> Floats:
        """Tell which of these scores `(n_clips,)` are those of known classes."""
        return np.asarray(scores >= self.threshold)


def fit_rejection(
    train: ClipAnswers, targets: Integers, n_classes: int, val: ClipAnswers, score: str = SHIPPED
) -> Rejection:
    """Take landmarks from the training clips, whose `targets` are `(n_clips,)`, threshold from val.

    Not both from one split: training clips lie closer to their landmarks than any others do.
    """
    landmarks = find_landmarks(train.embeddings, targets, n_classes)
    return Rejection(score, threshold_at(SCORES[score](val, landmarks)), landmarks)


def threshold_at(scores: Floats, accepted: float = ACCEPTED) -> float:
    """Return the highest of `scores` that at least a share of `accepted` of them reach."""
    n_accepted = math.ceil(accepted * len(scores) - 1e-9)  # 0.95 of 20 is 19, whatever floats say
    return float(np.sort(scores)[len(scores) - n_accepted])


def find_landmarks(embeddings: Floats, targets: Integers, n_classes: int) -> Landmarks:
    """Return the landmarks of embeddings `(n_clips, n_features)`; each class has a clip."""
    means = np.zeros((n_classes, embeddings.shape[1]))
    for part in _parts(len(embeddings)):
        np.add.at(means, targets[part], _wide(embeddings[part]))
    means /= np.bincount(targets, minlength=n_classes)[:, None]
    centre = embeddings.mean(axis=0, dtype=np.float64)
    within = _whitener(embeddings, means, targets)
    overall = _whitener(embeddings, centre[None], np.zeros_like(targets))
    return Landmarks(*(array.astype(np.float32) for array in (means, within, centre, overall)))


def _whitener(embeddings: Floats, middles: Floats, nearest: Integers) -> Floats:
    """Return W, so that the squared length of x @ W is x @ inverse covariance @ x.

    The covariance is about the middles, `(n, n_features)`, that `nearest`, `(n_clips,)`, names.
    """
    n_clips, n_features = embeddings.shape
    covariance = np.zeros((n_features, n_features))
    for part in _parts(n_clips):
        deviations = _wide(embeddings[part]) - middles[nearest[part]]
        covariance += deviations.T @ deviations
    covariance /= n_clips
    variance = max(float(covariance.trace()) / n_features, LEAST_VARIANCE)
    ridged = covariance + RIDGE * variance * np.eye(n_features)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(ridged)))


def _parts(n_clips: int) -> list[slice]:
    starts = range(0, n_clips, CLIPS_AT_A_TIME)
    return [slice(start, start + CLIPS_AT_A_TIME) for start in starts]


def max_probability(clips: ClipAnswers, _: Landmarks) -> Floats:
    """Highest calibrated probability (Hendrycks and Gimpel 2017)."""
    return np.asarray(clips.probs.max(axis=1))


def max_logit(clips: ClipAnswers, _: Landmarks) -> Floats:
    """Highest logit (Hendrycks and others 2022)."""
    return np.asarray(clips.logits.max(axis=1))


def energy(clips: ClipAnswers, _: Landmarks) -> Floats:
    """Log of the sum of exponentiated logits, the negative free energy (Liu and others 2020)."""
    highest = clips.logits.max(axis=1)
    return np.asarray(highest + np.log(np.exp(clips.logits - highest[:, None]).sum(axis=1)))


def logit_norm(clips: ClipAnswers, _: Landmarks) -> Floats:
    """Length of the vector of logits (Wei and others 2022 say why it tells)."""
    return np.asarray(np.linalg.norm(clips.logits, axis=1))


def cosine(clips: ClipAnswers, landmarks: Landmarks) -> Floats:
    """Cosine between the embedding and the nearest class mean (Techapanurak and others 2020)."""
    return np.asarray((_unit(clips.embeddings) @ _unit(landmarks.means).T).max(axis=1))


def mahalanobis(clips: ClipAnswers, landmarks: Landmarks) -> Floats:
    """Minus the squared Mahalanobis distance to the nearest class (Lee and others 2018).

    The covariance is that about the class means, one for all classes.
    """
    points = _wide(clips.embeddings) @ _wide(landmarks.within)
    places = _wide(landmarks.means) @ _wide(landmarks.within)
    # One class at a time: all at once would need n_classes times the memory of the embeddings.
    distances = [np.square(points - place).sum(axis=1) for place in places]
    return np.asarray(-np.min(distances, axis=0))


def relative_mahalanobis(clips: ClipAnswers, landmarks: Landmarks) -> Floats:
    """`mahalanobis`, and the squared distance to all clips as one class (Ren and others 2021).

    What is far from everything in directions that tell no classes apart is no less known for it.
    """
    deviations = _wide(clips.embeddings) - _wide(landmarks.centre)
    background = np.square(deviations @ _wide(landmarks.overall)).sum(axis=1)
    return np.asarray(mahalanobis(clips, landmarks) + background)


def class_projection(clips: ClipAnswers, landmarks: Landmarks) -> Floats:
    """How far the embedding lies from the middle of all classes, and how straight towards one.

    Its projection on the direction of the nearest class mean, times the cosine between the two,
    where variances within classes are made equal. Speaker recognisers take the cosine alone (Dehak
    and others 2011); but unknown voices are short, and noise is long and beside all directions. The
    middle is the mean of the class means: a class has no other direction for having many clips.
    """
    middle = _wide(landmarks.means).mean(axis=0)
    points = (_wide(clips.embeddings) - middle) @ _wide(landmarks.within)
    places = (_wide(landmarks.means) - middle) @ _wide(landmarks.within)
    cosines = (_unit(points) @ _unit(places).T).max(axis=1)
    return np.asarray(np.linalg.norm(points, axis=1) * cosines * np.abs(cosines))


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(_wide(vectors), axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def _wide(array: Floats) -> Floats:
    return array.astype(np.float64)


SCORES: dict[str, Callable[[ClipAnswers, Landmarks], Floats]] = {
    score.__name__: score
    for score in (
        *(max_probability, max_logit, energy, logit_norm),
        *(cosine, mahalanobis, relative_mahalanobis, class_projection),
    )
}

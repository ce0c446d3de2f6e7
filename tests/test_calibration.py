"""The temperature is the one that fits, whatever the logits."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from timbre.answers import clip_probs
from timbre.calibration import COLDEST, HOTTEST, best_temperature, fit_temperature

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class AsGiven(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Takes the features for its logits."""

    def fit(self, _: Floats, targets: Integers) -> "AsGiven":
        self.classes_ = np.unique(targets)
        return self

    def decision_function(self, logits: Floats) -> Floats:
        return logits

    def predict(self, logits: Floats) -> Integers:
        return np.asarray(self.classes_[logits.argmax(axis=1)])


def clips(n: int, sharpness: float, seed: int, n_classes: int = 4) -> tuple[Floats, Integers]:
    """Logits that are `sharpness` times too sure, and targets drawn as often as they truly are."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, n_classes))
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * sharpness, targets


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_equals_that_of_scikit_learn(sharpness: float) -> None:
    logits, targets = clips(400, sharpness, seed=3)
    given_logits = FrozenEstimator(AsGiven().fit(logits, targets))
    theirs = CalibratedClassifierCV(given_logits, method="temperature").fit(logits, targets)
    mine = best_temperature(logits, np.eye(4)[targets], np.arange(400))
    probs = clip_probs(logits, np.arange(400), mine)
    np.testing.assert_allclose(probs, theirs.predict_proba(logits), atol=1e-4)


@given(st.integers(0, 1000), st.floats(0.3, 5))
def test_logits_times_k_have_k_times_the_temperature(seed: int, k: float) -> None:
    logits, targets = clips(60, 1.0, seed)
    one = fit_temperature(logits, targets, np.arange(60))
    scaled = fit_temperature(logits * k, targets, np.arange(60))
    assert scaled == pytest.approx(np.clip(one * k, COLDEST, HOTTEST), rel=1e-4)


@given(st.integers(0, 1000), st.integers(2, 30))
def test_no_temperature_nearby_fits_better(seed: int, n: int) -> None:
    logits, targets = clips(n, 2.0, seed)
    clip = np.arange(n)
    wanted = np.eye(4)[targets]
    best = best_temperature(logits, wanted, clip)

    def loss(temperature: float) -> float:
        return -float((wanted * np.log(clip_probs(logits, clip, temperature))).sum())

    for other in (best * 0.99, best * 1.01):
        if COLDEST <= other <= HOTTEST:
            assert loss(best) <= loss(other) + 1e-12


def test_the_confidence_after_a_fit_to_enough_clips_is_the_accuracy() -> None:
    logits, targets = clips(5000, 3.0, seed=0)
    probs = clip_probs(logits, np.arange(5000), fit_temperature(logits, targets, np.arange(5000)))
    accuracy = (probs.argmax(axis=1) == targets).mean()
    assert probs.max(axis=1).mean() == pytest.approx(accuracy, abs=0.02)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_n_right_answers_ask_for_a_confidence_of_n_plus_1_of_n_plus_2(n: int) -> None:
    targets = np.arange(n) % 3
    logits = 50 * np.eye(3)[targets]
    temperature = fit_temperature(logits, targets, np.arange(n))
    confidence = clip_probs(logits, np.arange(n), temperature).max(axis=1).mean()
    assert confidence == pytest.approx((n + 1) / (n + 2), rel=1e-6)


def test_answers_worse_than_chance_end_at_the_hottest() -> None:
    targets = np.arange(60) % 3
    logits = 10 * np.eye(3)[(targets + 1) % 3]
    temperature = fit_temperature(logits, targets, np.arange(60))
    assert temperature == pytest.approx(HOTTEST)


def test_what_is_fitted_are_the_probabilities_of_whole_clips() -> None:
    rng = np.random.default_rng(1)
    logits = np.repeat(rng.normal(0, 4, (50, 3)), 3, axis=0) + rng.normal(0, 3, (150, 3))
    clip, targets = np.repeat(np.arange(50), 3), rng.integers(3, size=50)
    whole = fit_temperature(logits, targets, clip)
    windows = fit_temperature(logits, targets[clip], np.arange(150))
    assert abs(whole - windows) > 0.01
    wanted = np.full((50, 3), 1 / 52 / 2)
    wanted[np.arange(50), targets] = 51 / 52
    tried = np.geomspace(0.1, 15, 300)
    losses = [-(wanted * np.log(clip_probs(logits, clip, t))).sum() for t in tried]
    assert whole == pytest.approx(tried[np.argmin(losses)], rel=0.02)


@pytest.mark.parametrize("logits", [np.zeros((0, 2)), np.array([[np.nan, 1.0]])])
def test_no_clips_and_no_numbers_are_refused(logits: Floats) -> None:
    with pytest.raises(ValueError, match="need one finite row a window, and at least one clip"):
        fit_temperature(logits, np.zeros(len(logits), np.int64), np.arange(len(logits)))

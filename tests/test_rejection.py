"""Scores of knownness: what they are, and what they do not depend on."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.covariance import empirical_covariance
from sklearn.metrics.pairwise import cosine_similarity

from timbre.answers import ClipAnswers, Floats
from timbre.rejection import (
    RIDGE,
    SCORES,
    SHIPPED,
    Landmarks,
    Rejection,
    find_landmarks,
    fit_rejection,
    threshold_at,
)

N_CLASSES = 3


def answers(embeddings: Floats, seed: int = 0) -> ClipAnswers:
    """Answers with these embeddings, and logits of any kind."""
    logits = np.random.default_rng(seed).normal(0, 3, (len(embeddings), N_CLASSES))
    return ClipAnswers(special.softmax(logits / 2, axis=1), logits, embeddings)


def corpus(n: int, seed: int, n_features: int = 4) -> tuple[ClipAnswers, npt.NDArray[np.int64]]:
    """Clips of three classes, whose clouds have one shape: long and thin."""
    rng = np.random.default_rng(seed)
    shape = np.diag([3.0, 1.0, 0.3, 0.1])[:, :n_features]
    targets = np.arange(n) % N_CLASSES
    means = np.array([[0.0, 0, 0, 0], [2, 2, 2, 2], [-3, 0, 3, 0]])[:, :n_features]
    return answers(means[targets] + rng.normal(size=(n, 4)) @ shape, seed), targets


def landmarks(seed: int = 0) -> Landmarks:
    train, targets = corpus(200, seed)
    return find_landmarks(train.embeddings, targets, N_CLASSES)


def test_means_and_centre_are_those_of_the_training_clips() -> None:
    train, targets = corpus(200, 1)
    found = find_landmarks(train.embeddings, targets, N_CLASSES)
    for target in range(N_CLASSES):
        expected = train.embeddings[targets == target].mean(axis=0)
        np.testing.assert_allclose(found.means[target], expected, atol=1e-6)
    np.testing.assert_allclose(found.centre, train.embeddings.mean(axis=0), atol=1e-6)


def test_landmarks_do_not_depend_on_how_many_clips_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, targets = corpus(200, 1)
    whole = find_landmarks(train.embeddings, targets, N_CLASSES)
    monkeypatch.setattr("timbre.rejection.CLIPS_AT_A_TIME", 7)
    parted = find_landmarks(train.embeddings, targets, N_CLASSES)
    for name in ("means", "within", "centre", "overall"):
        np.testing.assert_allclose(getattr(parted, name), getattr(whole, name), rtol=1e-5)


def test_the_distance_is_by_the_inverse_of_the_tied_covariance() -> None:
    train, targets = corpus(200, 1)
    new, _ = corpus(50, 2)
    found = find_landmarks(train.embeddings, targets, N_CLASSES)
    means = np.stack([train.embeddings[targets == k].mean(axis=0) for k in range(N_CLASSES)])
    tied = empirical_covariance(train.embeddings - means[targets], assume_centered=True)
    ridged = tied + RIDGE * np.trace(tied) / 4 * np.eye(4)
    away = new.embeddings[:, None] - means
    distances = np.einsum("nkd,de,nke->nk", away, np.linalg.inv(ridged), away)
    expected = -distances.min(axis=1)
    np.testing.assert_allclose(SCORES["mahalanobis"](new, found), expected, rtol=1e-4)
    whole = empirical_covariance(train.embeddings)
    ridged = whole + RIDGE * np.trace(whole) / 4 * np.eye(4)
    centred = new.embeddings - train.embeddings.mean(axis=0)
    background = np.einsum("nd,de,ne->n", centred, np.linalg.inv(ridged), centred)
    np.testing.assert_allclose(
        SCORES["relative_mahalanobis"](new, found), expected + background, rtol=1e-3, atol=1e-3
    )


def test_a_projection_is_on_the_line_from_the_middle_to_a_class() -> None:
    found = landmarks()
    middle = found.means.mean(axis=0)
    whitened = (found.means - middle) @ found.within
    lengths = np.linalg.norm(whitened, axis=1)
    along = [0.0, 0.5, 1.0, 2.0]
    for mean, length in zip(found.means, lengths, strict=True):
        clips = answers(np.stack([middle + step * (mean - middle) for step in along]))
        scores = SCORES["class_projection"](clips, found)
        np.testing.assert_allclose(scores, length * np.array(along), rtol=1e-4, atol=1e-4)


def test_what_lies_beside_all_directions_is_less_known_than_its_projection() -> None:
    found = landmarks()
    middle = found.means.mean(axis=0)
    whitened = (found.means - middle) @ found.within
    normal = np.linalg.svd(whitened)[2][-1]  # three means span a plane
    beside = np.linalg.solve(found.within.T, normal * np.linalg.norm(whitened[0]))
    clips = answers(np.stack([found.means[0], found.means[0] + beside, middle + 9 * beside]))
    at_home, halfway, away = SCORES["class_projection"](clips, found)
    assert halfway == pytest.approx(at_home / np.sqrt(2), rel=1e-3)  # the projection is the same
    assert abs(away) < 1e-3 * at_home


def test_a_class_with_many_clips_has_a_direction_like_any_other() -> None:
    rng = np.random.default_rng(0)
    targets = np.array([0] * 2000 + [1] * 20 + [2] * 20)
    means = np.eye(3, 4) * 8
    crowded = find_landmarks(means[targets] + rng.normal(size=(2040, 4)), targets, N_CLASSES)
    scores = SCORES["class_projection"](answers(means), crowded)
    assert np.ptp(scores) < 0.15 * scores.mean()


def test_the_scores_of_logits_are_what_their_papers_say() -> None:
    clips, _ = corpus(30, 0)
    found = {name: score(clips, landmarks()) for name, score in SCORES.items()}
    np.testing.assert_allclose(found["max_probability"], clips.probs.max(axis=1))
    np.testing.assert_allclose(found["max_logit"], clips.logits.max(axis=1))
    np.testing.assert_allclose(found["energy"], special.logsumexp(clips.logits, axis=1))
    np.testing.assert_allclose(found["logit_norm"], np.linalg.norm(clips.logits, axis=1))
    nearest = cosine_similarity(clips.embeddings, landmarks().means).max(axis=1)
    np.testing.assert_allclose(found["cosine"], nearest, atol=1e-6)


def test_energy_of_huge_logits_is_finite() -> None:
    clips = ClipAnswers(np.eye(3), np.full((3, 3), 5000.0), np.zeros((3, 4)))
    np.testing.assert_allclose(SCORES["energy"](clips, landmarks()), 5000 + np.log(3))


@pytest.mark.parametrize("name", SCORES)
def test_a_clips_score_does_not_depend_on_the_clips_beside_it(name: str) -> None:
    clips, _ = corpus(20, 0)
    together = SCORES[name](clips, landmarks())
    for n in range(20):
        alone = ClipAnswers(*(array[n : n + 1] for array in vars(clips).values()))
        np.testing.assert_allclose(SCORES[name](alone, landmarks()), together[n : n + 1])


@pytest.mark.parametrize("name", ["cosine", "mahalanobis", "relative_mahalanobis"])
def test_clips_in_a_new_place_look_less_known_than_clips_in_an_old_one(name: str) -> None:
    known, _ = corpus(100, 5)
    strange = answers(known.embeddings * [0.1, 1, 1, 1] + [0, -2, 0, 2])
    found = landmarks()
    assert SCORES[name](strange, found).max() < np.median(SCORES[name](known, found))


@given(st.integers(0, 100), st.floats(0.2, 5))
def test_distances_do_not_depend_on_how_the_embedding_is_turned_and_stretched(
    seed: int, factor: float
) -> None:
    turn = stats.ortho_group.rvs(4, random_state=seed) * factor
    train, targets = corpus(200, 1)
    new, _ = corpus(30, 2)
    plain = find_landmarks(train.embeddings, targets, N_CLASSES)
    turned = find_landmarks(train.embeddings @ turn, targets, N_CLASSES)
    for name in ("mahalanobis", "relative_mahalanobis", "class_projection"):
        expected = SCORES[name](new, plain)
        found = SCORES[name](replace(new, embeddings=new.embeddings @ turn), turned)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_features_that_never_change_break_no_distance() -> None:
    train, targets = corpus(200, 1)
    flat = train.embeddings.copy()
    flat[:, 2:] = 0
    found = find_landmarks(flat, targets, N_CLASSES)
    assert np.isfinite(SCORES[SHIPPED](answers(flat), found)).all()
    same = find_landmarks(np.zeros((6, 4)), np.arange(6) % 3, N_CLASSES)
    assert np.isfinite(SCORES[SHIPPED](answers(np.ones((2, 4))), same)).all()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=200), st.floats(0.01, 1))
def test_the_threshold_is_the_highest_that_enough_scores_reach(
    scores: list[float], accepted: float
) -> None:
    values = np.array(scores)
    threshold = threshold_at(values, accepted)
    assert (values >= threshold).mean() >= accepted - 1e-9
    higher = values[values > threshold]
    if len(higher):
        assert (values >= higher.min()).mean() < accepted


def test_at_least_95_percent_of_the_validation_clips_are_accepted() -> None:
    train, targets = corpus(300, 0)
    val, _ = corpus(200, 1)
    rejection = fit_rejection(train, targets, N_CLASSES, val)
    accepted = rejection.accepts(rejection.scores(val))
    assert accepted.sum() == 190
    assert rejection.threshold in rejection.scores(val)


def test_a_few_validation_clips_are_all_accepted() -> None:
    train, targets = corpus(300, 0)
    val, _ = corpus(19, 1)
    rejection = fit_rejection(train, targets, N_CLASSES, val)
    assert rejection.accepts(rejection.scores(val)).all()


def test_a_score_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no rejection score is named 'entropy'"):
        Rejection("entropy", 0.0, landmarks())

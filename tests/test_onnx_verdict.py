"""The end of an exported model tells what the classifier tells."""

from dataclasses import replace

import numpy as np
import pytest
from onnx_models import run_graph
from small_model import Trained

from timbre.answers import Answers
from timbre.model_file import load_model
from timbre.onnx_verdict import verdict_graph
from timbre.problems import InputError


@pytest.mark.parametrize("n_windows", [1, 2, 7])
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_score_and_verdict_are_the_classifiers(
    trained: Trained, n_windows: int, seed: int
) -> None:
    _, card = load_model(trained.model)
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 5, (n_windows, 3)).astype(np.float32)
    embeddings = np.maximum(0, rng.normal(0, 3, (n_windows, 8))).astype(np.float32)
    windows = Answers(logits.astype(np.float64), embeddings, np.zeros(n_windows, np.int64))
    clip = windows.of_clips(card.temperature)
    (score,) = card.rejection.scores(clip)
    for threshold in (float(score), float(np.nextafter(score, np.inf))):
        own = replace(card, rejection=replace(card.rejection, threshold=threshold))
        found = run_graph(verdict_graph(own), logits=logits, embedding=embeddings)
        np.testing.assert_allclose(found["probs"], clip.probs[0], atol=1e-6)
        assert found["score"] == pytest.approx(score, rel=1e-6)
    strict = replace(card, rejection=replace(card.rejection, threshold=float(score) + 1e-3))
    loose = replace(card, rejection=replace(card.rejection, threshold=float(score) - 1e-3))
    for own, known in ((strict, False), (loose, True)):
        found = run_graph(verdict_graph(own), logits=logits, embedding=embeddings)
        assert found["known"] == known


def test_an_embedding_in_the_very_middle_has_a_score(trained: Trained) -> None:
    _, card = load_model(trained.model)
    means = card.rejection.landmarks.means.astype(np.float64)
    middle = means.mean(axis=0, keepdims=True).astype(np.float32)
    logits = np.zeros((1, 3), np.float32)
    found = run_graph(verdict_graph(card), logits=logits, embedding=middle)
    assert np.isfinite(found["score"])


def test_another_score_than_the_shipped_one_is_refused(trained: Trained) -> None:
    _, card = load_model(trained.model)
    other = replace(card, rejection=replace(card.rejection, score="energy"))
    with pytest.raises(
        InputError, match="its rejection score is energy, and only class_projection"
    ):
        verdict_graph(other)

import numpy as np
import pytest
from small_model import Trained

from timbre.asked import Asked, ask_about
from timbre.clips import read_clips
from timbre.model_file import load_model


@pytest.fixture
def asked(trained: Trained) -> Asked:
    """All clips of a small model."""
    folder = trained.model.parent
    network, card = load_model(trained.model)
    clips = read_clips(folder / "clips.csv")
    return ask_about(network, card.temperature, clips, folder / "spectrograms")


def test_what_is_said_of_clips_is_what_evaluation_would_score(
    asked: Asked, trained: Trained
) -> None:
    assert asked.summed.probs == pytest.approx(trained.probs, abs=1e-6)


def test_every_window_is_of_one_clip(asked: Asked) -> None:
    found = np.concatenate([asked.windows_of(clip) for clip in range(len(asked.clips))])
    assert found.tolist() == list(range(len(asked.windows)))


def test_the_clearest_window_gives_no_less_to_the_answer_than_any_other(asked: Asked) -> None:
    shares = np.exp(asked.answers.logits)
    shares /= shares.sum(axis=1, keepdims=True)
    for clip in range(len(asked.clips)):
        for target in range(3):
            own = shares[asked.windows_of(clip), target]
            assert own[asked.clearest(clip, target)] == pytest.approx(own.max())


def test_the_nearest_window_to_one_of_a_clips_own_has_its_direction(asked: Asked) -> None:
    for clip in range(len(asked.clips)):
        own = asked.answers.embeddings[asked.windows_of(clip)]
        for embedding in own:
            found = own[asked.nearest(clip, embedding)]
            lengths = np.linalg.norm(found) * np.linalg.norm(embedding)
            assert found @ embedding == pytest.approx(lengths, rel=1e-5)

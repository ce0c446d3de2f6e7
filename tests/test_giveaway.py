"""How well the class can be guessed from the recording alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.giveaway import FORMAT, LEVELS, TIMES, measure_giveaway


def corpus(n_clips: int = 240, n_classes: int = 3, seed: int = 0) -> pd.DataFrame:
    """Return clips whose recordings say nothing of their labels; twelve groups hold all classes."""
    rng = np.random.default_rng(seed)
    number = np.arange(n_clips)
    return pd.DataFrame(
        {
            "label": [f"c{n}" for n in number % n_classes],
            "group": [f"g{n}" for n in number // n_classes % 12],
            "sample_rate": rng.choice([8000, 44_100], n_clips),
            "n_channels": rng.choice([1, 2], n_clips),
            "codec": rng.choice(["WAV PCM_16", "OGG VORBIS"], n_clips),
            "bandwidth": rng.uniform(3000, 4000, n_clips),
            "level": rng.normal(-20, 3, n_clips),
            "peak": rng.normal(-3, 1, n_clips),
            "noise": rng.normal(-60, 3, n_clips),
            "offset": rng.normal(0, 1e-4, n_clips),
            "seconds": rng.uniform(1, 5, n_clips),
            "onset": rng.uniform(0, 1, n_clips),
        }
    )


@given(st.integers(0, 30), st.sampled_from([2, 3, 6]))
@settings(max_examples=15)
def test_recordings_that_say_nothing_give_nothing_away(seed: int, n_classes: int) -> None:
    found = measure_giveaway(corpus(240, n_classes, seed))
    assert found is not None
    assert found.chance == 1 / n_classes
    assert abs(found.shares["recording"] - found.chance) < 0.2
    assert not found.gives_away()


@pytest.mark.parametrize("column", [*FORMAT.values(), *LEVELS.values()])
def test_any_single_fact_that_decides_the_class_is_told(column: str) -> None:
    clips = corpus()
    place = pd.factorize(clips["label"])[0]
    clips[column] = np.array(["a", "b", "c"])[place] if column == "codec" else 1.0 * place
    found = measure_giveaway(clips)
    assert found is not None
    (name,) = [name for name, own in (FORMAT | LEVELS).items() if own == column]
    assert found.shares[name] == 1
    assert found.shares["recording"] > 0.99
    assert found.gives_away()
    assert f"{name} 100%" in found.told()
    assert set(found.of_class) == {"c0", "c1", "c2"}


@pytest.mark.parametrize("column", TIMES.values())
def test_length_and_silence_may_mean_something_and_are_only_told(column: str) -> None:
    clips = corpus()
    clips[column] = 1.0 * pd.factorize(clips["label"])[0]
    found = measure_giveaway(clips)
    assert found is not None
    assert 1.0 in found.shares.values()
    assert not found.gives_away()


def test_equal_recordings_tell_exactly_what_chance_does() -> None:
    clips = corpus()
    for column in {**FORMAT, **LEVELS}.values():
        clips[column] = clips[column].iloc[0]
    found = measure_giveaway(clips)
    assert found is not None
    assert found.shares["recording"] == found.chance
    assert set(found.of_class.values()) == {found.chance}


def test_what_only_tells_the_groups_apart_does_not_tell_the_classes() -> None:
    """A tree knows groups by heart, so it must be asked for others."""
    clips = corpus()
    group = clips["group"].str[1:].astype(int)
    clips["label"] = "c" + (group % 3).astype(str)
    for column in LEVELS.values():
        clips[column] = np.random.default_rng(0).permutation(12)[group].astype(float)
    found = measure_giveaway(clips)
    assert found is not None
    assert found.over_groups
    assert not found.gives_away()


def test_with_one_group_a_class_clips_are_asked_for_and_that_is_told() -> None:
    clips = corpus()
    found = measure_giveaway(clips.assign(group=clips["label"]))
    assert found is not None
    assert not found.over_groups


def test_few_clips_are_no_proof() -> None:
    clips = corpus(8, 2).assign(group=list("aabbccdd"))
    clips["level"] = [float(label[1]) for label in clips["label"]]
    found = measure_giveaway(clips)
    assert found is not None
    assert found.shares["level"] == 1
    assert found.excess("level") in (0.0, 1.0)
    assert found.error > 0.1


@pytest.mark.parametrize("n_clips", [0, 1, 2])
def test_without_two_classes_of_two_clips_there_is_nothing_to_measure(n_clips: int) -> None:
    assert measure_giveaway(corpus(n_clips, 2)) is None


def test_a_large_corpus_is_sampled() -> None:
    found = measure_giveaway(corpus(6000))
    assert found is not None
    assert found.n_clips == 5000

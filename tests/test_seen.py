import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.seen import set_aside

Names = npt.NDArray[np.str_]


def corpus(n: int, n_groups: int, seed: int) -> tuple[pd.DataFrame, Names]:
    """Clips of three classes in groups of any size; a group's clips may be in any split."""
    rng = np.random.default_rng(seed)
    clips = pd.DataFrame(
        {
            "clip_id": [f"{number}.wav" for number in range(n)],
            "label": rng.choice(["a", "b", "c"], n),
            "group": rng.integers(n_groups, size=n).astype(str),
        }
    )
    return clips, rng.choice(["train", "train", "val", "test"], n)


CORPORA = st.builds(corpus, st.integers(1, 60), st.integers(1, 20), st.integers(0, 1000))
SHARES = st.sampled_from([0.0, 0.05, 0.5])


@given(CORPORA, SHARES, st.integers(0, 9))
def test_only_training_clips_are_set_aside(
    case: tuple[pd.DataFrame, Names], share: float, seed: int
) -> None:
    clips, splits = case
    found = set_aside(clips, splits, share, seed)
    changed = found != splits
    assert set(splits[changed]) <= {"train"}
    assert set(found[changed]) <= {"seen"}


@given(CORPORA, SHARES, st.integers(0, 9))
def test_each_group_and_each_class_keeps_a_clip_in_training(
    case: tuple[pd.DataFrame, Names], share: float, seed: int
) -> None:
    clips, splits = case
    found = set_aside(clips, splits, share, seed)
    for column in ("group", "label"):
        before, after = clips.loc[splits == "train", column], clips.loc[found == "train", column]
        assert set(after) == set(before)


@given(CORPORA, st.integers(0, 9))
def test_the_order_of_the_rows_changes_nothing(case: tuple[pd.DataFrame, Names], seed: int) -> None:
    clips, splits = case
    order = np.random.default_rng(seed).permutation(len(clips))
    found = set_aside(clips, splits, 0.5, seed)
    assert (set_aside(clips.iloc[order], splits[order], 0.5, seed) == found[order]).all()


def test_new_clips_of_other_groups_and_classes_change_nothing() -> None:
    clips, splits = corpus(60, 5, 0)
    more = pd.DataFrame({"clip_id": ["x", "y"], "label": "new", "group": "new"})
    found = set_aside(pd.concat([clips, more]), np.append(splits, ["train"] * 2), 0.5, 0)
    assert (found[:60] == set_aside(clips, splits, 0.5, 0)).all()


def test_the_share_is_about_the_wanted_one_and_the_seed_chooses() -> None:
    clips, _ = corpus(4000, 40, 0)
    everything = np.full(4000, "train")
    found = [set_aside(clips, everything, 0.05, seed) == "seen" for seed in (0, 0, 1)]
    # Three standard deviations of 4000 draws.
    assert found[0].mean() == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 4000) ** 0.5)
    assert (found[0] == found[1]).all()
    assert (found[0] & found[2]).sum() < 30

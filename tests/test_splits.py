"""The five ways to split, and folds: laws that hold for every table."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.columns import SPLITS
from timbre.leaks import leaks
from timbre.problems import InputError
from timbre.splits import METHODS, Method, fold_clips, grouped, hashed, official, split_clips

SHARES = (0.7, 0.15, 0.15)
SHARES_ARRAY = np.array(SHARES)
DEALT: tuple[Method, ...] = ("random", "stratified", "grouped", "hashed")


# Parts of ten groups at seed 0 and of ten files at seed 7, worked out from the hash by hand.
NAMED_PARTS = [0, 0, 0, 0, 0, 1, 0, 0, 2, 0]
NAMELESS_PARTS = [0, 1, 0, 0, 1, 0, 2, 0, 1, 0]


def clips_of(
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
    audio: Sequence[str] | None = None,
    split: Sequence[str] | str = "",
) -> pd.DataFrame:
    """Clips c000, c001, ... of these labels; without groups, equal audio is a group."""
    names = [f"c{number:03}.wav" for number in range(len(labels))]
    sha256 = list(audio or names)
    return pd.DataFrame(
        {
            "clip_id": names,
            "label": labels,
            "target": pd.factorize(np.array(labels, object), sort=True)[0],
            "group": groups or sha256,
            "table_group": groups or "",
            "split": split,
            "sha256": sha256,
        }
    )


def corpus(n_classes: int, n_groups: int, seed: int = 0) -> pd.DataFrame:
    """`n_groups` recordings of 1 to 20 clips in each class; some clips stand there twice."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 21, n_classes * n_groups)
    groups = np.repeat(np.arange(n_classes * n_groups), sizes)
    labels = [f"class {group // n_groups}" for group in groups]
    audio = [f"{group}/{rng.integers(40)}" for group in groups]
    return clips_of(labels, [f"g{group}" for group in groups], audio)


@st.composite
def small_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Up to 30 clips: groups within and across classes, copies of a clip within its group."""
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 3)),
            min_size=1,
            max_size=30,
        )
    )
    groups = [f"g{group}" for _, group, _ in rows]
    return clips_of(
        [label for label, _, _ in rows], groups, [f"{label}{group}{n}" for label, group, n in rows]
    )


def problems_of(clips: pd.DataFrame, method: Method, n_folds: int = 0) -> list[str]:
    with pytest.raises(InputError) as caught:
        split_or_fold(clips, method, n_folds)
    return caught.value.problems


def split_or_fold(clips: pd.DataFrame, method: Method, n_folds: int) -> None:
    if n_folds:
        fold_clips(clips, method, n_folds, 0, 0)
    else:
        split_clips(clips, method, SHARES, 0)


def with_split(clips: pd.DataFrame) -> pd.DataFrame:
    """Mark an official split, whole groups, val included."""
    return clips.assign(split=split_clips(clips, "grouped", SHARES, 5))


@pytest.mark.parametrize("method", METHODS)
def test_row_order_moves_no_clip(method: Method) -> None:
    clips = with_split(corpus(4, 40))
    split = pd.Series(split_clips(clips, method, SHARES, 3), clips["clip_id"])
    shuffled = clips.sample(frac=1, random_state=1)
    moved = pd.Series(split_clips(shuffled, method, SHARES, 3), shuffled["clip_id"])
    pd.testing.assert_series_equal(moved.sort_index(), split.sort_index())


@given(
    small_tables(), st.sampled_from(DEALT), st.integers(0, 99), st.randoms(use_true_random=False)
)
@settings(max_examples=30)
def test_each_clip_of_any_table_is_in_one_split_whatever_the_order(
    clips: pd.DataFrame, method: Method, seed: int, shuffler: Random
) -> None:
    try:
        split = split_clips(clips, method, SHARES, seed)
    except InputError:
        return  # too few clips or groups for three splits, which other tests read about
    assert len(split) == len(clips)
    assert set(split) == set(SPLITS)
    order = list(range(len(clips)))
    shuffler.shuffle(order)
    moved = split_clips(clips.iloc[order].reset_index(drop=True), method, SHARES, seed)
    assert moved.tolist() == split[order].tolist()


@given(small_tables(), st.sampled_from(DEALT), st.integers(3, 5), st.integers(0, 99))
@settings(max_examples=12)
def test_over_the_folds_of_any_table_each_clip_is_once_in_test_and_once_in_val(
    clips: pd.DataFrame, method: Method, n_folds: int, seed: int
) -> None:
    try:
        folds = [fold_clips(clips, method, n_folds, fold, seed) for fold in range(n_folds)]
    except InputError:
        return
    for name in ("test", "val"):
        assert sum((split == name).astype(int) for split in folds).tolist() == [1] * len(clips)
    if method == "grouped":
        assert all(leaks(clips, split) == (0, 0) for split in folds)


@pytest.mark.parametrize("method", DEALT)
def test_the_seed_decides(method: Method) -> None:
    clips = corpus(4, 40)
    first, again, other = (split_clips(clips, method, SHARES, seed).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("method", ["random", "stratified", "grouped"])
def test_split_sizes_are_those_that_were_asked_for(method: Method) -> None:
    clips = corpus(12, 60)
    for shares in (SHARES, (0.5, 0.2, 0.3)):
        split = split_clips(clips, method, shares, 0)
        sizes = np.array([(split == name).mean() for name in SPLITS])
        assert np.abs(sizes - shares).max() < 0.002


@pytest.mark.parametrize("method", ["stratified", "grouped"])
def test_every_class_is_divided_alike(method: Method) -> None:
    clips = corpus(12, 60)
    split = split_clips(clips, method, SHARES, 0)
    shares = pd.crosstab(clips["label"], split, normalize="index")[list(SPLITS)]
    assert np.abs(shares.to_numpy() - SHARES).max() < 0.01


@given(small_tables(), st.integers(0, 99))
@settings(max_examples=15)
def test_grouped_tears_no_group_and_no_audio(clips: pd.DataFrame, seed: int) -> None:
    if clips["group"].nunique() < 3:
        with pytest.raises(InputError, match="needs at least 3"):
            grouped(clips, SHARES_ARRAY, seed)
    else:
        parts = grouped(clips, SHARES_ARRAY, seed)
        assert leaks(clips, np.array(SPLITS)[parts]) == (0, 0)
        assert set(parts) == {0, 1, 2}


@given(small_tables(), st.integers(0, 99))
@settings(max_examples=40)
def test_hashed_tears_no_group_and_no_audio(clips: pd.DataFrame, seed: int) -> None:
    parts = hashed(clips, SHARES_ARRAY, seed)
    assert leaks(clips, np.array(SPLITS)[parts]) == (0, 0)


def test_without_groups_grouped_is_stratified_but_keeps_copies_together() -> None:
    clips = clips_of(["a"] * 60 + ["b"] * 40)
    counts = [
        pd.crosstab(clips["label"], split_clips(clips, method, SHARES, 0)).to_numpy().tolist()
        for method in ("grouped", "stratified")
    ]
    assert counts[0] == counts[1]
    twice = clips_of(["a"] * 60 + ["b"] * 40, audio=[f"{n // 2}" for n in range(100)])
    assert leaks(twice, split_clips(twice, "grouped", SHARES, 0)) == (0, 0)
    assert leaks(twice, split_clips(twice, "stratified", SHARES, 0)) > (0, 0)


@given(small_tables(), small_tables(), st.integers(0, 99))
@settings(max_examples=40)
def test_adding_clips_never_moves_an_old_one(
    old: pd.DataFrame, new: pd.DataFrame, seed: int
) -> None:
    both = pd.concat([old, new.assign(clip_id="new " + new["clip_id"])], ignore_index=True)
    np.testing.assert_array_equal(
        hashed(both, SHARES_ARRAY, seed)[: len(old)], hashed(old, SHARES_ARRAY, seed)
    )


def test_a_hash_places_a_clip_in_every_version_alike() -> None:
    # Whoever adds a year's recordings to a hashed corpus counts on these very parts.
    named = clips_of(["a"] * 10, [f"speaker {number}" for number in range(10)])
    assert hashed(named, SHARES_ARRAY, 0).tolist() == NAMED_PARTS
    nameless = clips_of(["a"] * 10)
    assert hashed(nameless, SHARES_ARRAY, 7).tolist() == NAMELESS_PARTS


def test_a_hash_on_the_bound_of_two_parts_belongs_to_the_upper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("timbre.splits.unit_hash", lambda text: float(text.split(":")[1]))
    clips = clips_of(["a"] * 4, ["0", "0.25", "0.5", "0.75"])
    assert hashed(clips, np.array([0.5, 0.25, 0.25]), 0).tolist() == [0, 0, 1, 2]


def test_hashed_shares_come_near_with_many_groups() -> None:
    parts = hashed(clips_of(["a"] * 5000), SHARES_ARRAY, 0)
    assert np.abs(np.bincount(parts) / 5000 - SHARES).max() < 0.02


def test_hashed_without_a_group_keeps_copies_together() -> None:
    clips = clips_of(["a"] * 40, audio=[f"{n // 2}" for n in range(40)])
    parts = hashed(clips, SHARES_ARRAY, 0)
    assert parts[::2].tolist() == parts[1::2].tolist()
    assert set(parts) == {0, 1, 2}


def test_identical_audio_that_hashes_apart_is_named_with_the_way_out() -> None:
    named = clips_of(["a"] * 10, [f"speaker {number}" for number in range(10)])
    apart = [NAMED_PARTS.index(part) for part in (0, 2)]
    named.loc[apart, "sha256"] = "same"
    first, second = sorted(apart)
    with pytest.raises(InputError) as caught:
        hashed(named, SHARES_ARRAY, 0)
    assert caught.value.problems == [
        f"identical audio falls into different splits: 'c00{first}.wav' (group 'speaker {first}') "
        f"and 'c00{second}.wav' (group 'speaker {second}'): give these clips one Group, or delete "
        "all but one"
    ]


def test_column_follows_the_table() -> None:
    clips = with_split(corpus(3, 10))
    assert split_clips(clips, "column", SHARES, 0).tolist() == clips["split"].tolist()


@pytest.mark.parametrize("groups_whole", [True, False])
def test_column_without_val_takes_it_from_train_and_leaves_test_alone(groups_whole: bool) -> None:
    clips = corpus(4, 40)
    method: Method = "grouped" if groups_whole else "stratified"
    split = split_clips(clips, method, SHARES, 5)
    clips["split"] = np.where(split == "val", "train", split)
    # Copies within the official train are the case in question, not those it tears itself.
    torn = clips.groupby("sha256")["split"].transform("nunique") > 1
    clips.loc[torn, "sha256"] = clips.loc[torn, "clip_id"]
    found = split_clips(clips, "column", SHARES, 0)
    assert (found == "test").tolist() == (clips["split"] == "test").tolist()
    assert (found == "val").sum() / (found != "test").sum() == pytest.approx(0.15 / 0.85, abs=0.01)
    n_audio, n_group = leaks(clips, found)
    assert n_audio == 0
    assert (n_group == 0) == groups_whole


@pytest.mark.parametrize("groups_whole", [True, False])
def test_the_val_that_column_takes_has_its_share_of_every_class(groups_whole: bool) -> None:
    clips = corpus(4, 40).assign(split="train")
    clips["sha256"] = clips["clip_id"]
    clips.loc[::7, "split"] = "test"
    if groups_whole:
        clips["group"] = clips["clip_id"]
    val = official(clips, SHARES_ARRAY, 0)[clips["split"] == "train"] == 1
    shares = pd.Series(val).groupby(clips["label"][clips["split"] == "train"].array).mean()
    assert shares.to_numpy() == pytest.approx(0.15 / 0.85, abs=0.005)


def test_the_seed_decides_the_val_that_column_takes() -> None:
    clips = clips_of(["a", "b"] * 40, split=["train"] * 60 + ["test"] * 20)
    first, again, other = (official(clips, SHARES_ARRAY, n).tolist() for n in (0, 0, 1))
    assert first == again
    assert first != other


def test_column_takes_val_from_a_group_that_the_table_itself_tears() -> None:
    clips = clips_of(["a"] * 20, ["studio"] * 20, split=["train"] * 17 + ["test"] * 3)
    clips["sha256"] = clips["clip_id"]
    assert np.bincount(official(clips, SHARES_ARRAY, 0)).tolist() == [14, 3, 3]


def test_column_keeps_a_val_that_is_there_however_small() -> None:
    clips = clips_of(["a"] * 10, split=["train"] * 7 + ["val"] + ["test"] * 2)
    assert official(clips, SHARES_ARRAY, 0).tolist() == [0] * 7 + [1] + [2] * 2


@pytest.mark.parametrize(
    ("split", "problems"),
    [
        (
            [""] * 4,
            ["method column needs a Split column in the table: add it, or use method grouped"],
        ),
        (
            ["train", "", "val", ""],
            [
                "2 clips have no Split: fill in train, val or test for 'c001.wav' and 'c003.wav'",
                "no clip has Split test: mark the official test clips, or use another method",
            ],
        ),
        (
            ["val", "val", "test", "test"],
            [
                f"class '{label}' (2 clips in 2 groups) has no clip in train: correct the Split "
                "cells of its clips, use another method, or remove the class"
                for label in "ab"
            ],
        ),
    ],
)
def test_a_faulty_split_column_is_explained(split: list[str], problems: list[str]) -> None:
    assert problems_of(clips_of(list("abab"), split=split), "column") == problems


def with_folds(clips: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """Give every clip an official fold, whole groups, by these numbers."""
    codes = pd.factorize(clips["group"])[0].tolist()
    return clips.assign(split=[numbers[code % len(numbers)] for code in codes])


def test_official_folds_are_turned_in_the_order_of_their_numbers() -> None:
    numbers = ["1", "2", "9", "10"]
    clips = with_folds(corpus(3, 24), numbers).sample(frac=1, random_state=0)
    for fold, number in enumerate(numbers):
        split = fold_clips(clips, "column", 4, fold, seed=fold)
        assert (split == "test").tolist() == (clips["split"] == number).tolist()
        val = numbers[(fold + 1) % 4]
        assert (split == "val").tolist() == (clips["split"] == val).tolist()


@pytest.mark.parametrize(
    ("split", "n_folds", "problem"),
    [
        (
            ["1", "2", "3", "4"] * 2,
            5,
            "the table has 4 folds (1, 2, 3 and 4), not 5: set split.n_folds to 4",
        ),
        (
            ["train", "1", "2", "3"] * 2,
            3,
            "method column with folds needs a number in each cell of the table's Fold column: add "
            "it, or set split.n_folds to 0, or use method grouped",
        ),
        (
            ["3", "1", "2", "2"] * 2,
            0,
            "the table's column holds folds (1, 2 and 3), not train, val and test: set "
            "split.n_folds to 3, and split.fold to the place of the test fold, from 0",
        ),
        (
            ["train", "1", "test", "val"] * 2,
            0,
            "2 of 8 clips have a fold's number for Split: write numbers in all cells, or train, "
            "val and test",
        ),
    ],
)
def test_folds_of_the_table_that_cannot_be_turned_are_explained(
    split: list[str], n_folds: int, problem: str
) -> None:
    assert problems_of(clips_of(["a"] * 8, split=split), "column", n_folds) == [problem]


def test_an_official_fold_without_a_class_is_named() -> None:
    clips = clips_of(["a", "b", "a", "b", "a", "a"], split=["1", "1", "2", "2", "3", "3"])
    assert problems_of(clips, "column", 3) == [
        "class 'b' (2 clips in 2 groups) has no clip in fold 2: correct the Split cells of its "
        "clips, use another method, or remove the class"
    ]


@pytest.mark.parametrize("method", METHODS)
def test_every_class_that_some_split_lacks_is_reported(method: Method) -> None:
    labels = ["common"] * 60 + ["rare"] * 2 + ["single"]
    clips = clips_of(labels, split=["train", "val", "test"] * 20 + ["train"] * 3)
    rare, single = problems_of(clips, method)
    assert rare.startswith("class 'rare' (2 clips in 2 groups) has no clip in ")
    assert single.startswith("class 'single' (1 clip in 1 group) has no clip in ")
    assert rare.endswith(", or remove the class")


def test_grouped_says_that_one_group_cannot_be_split() -> None:
    assert problems_of(clips_of(["a", "b"] * 9, ["studio"] * 18), "grouped") == [
        "all clips form one group, and method grouped needs at least 3: give each recording its "
        "own Group in the table, or use method stratified, whose score flatters"
    ]
    (line,) = problems_of(clips_of(["a", "b"] * 9, ["x", "y"] * 9), "grouped")
    assert line.startswith("there are only 2 groups, and method grouped needs at least 3: ")


@pytest.mark.parametrize("method", METHODS)
def test_no_clips_are_a_problem_not_a_crash(method: Method) -> None:
    assert problems_of(clips_of([]), method) == [
        "there are no clips to split: add rows to the table"
    ]


@pytest.mark.parametrize("method", ["random", "column"])
def test_no_clips_are_a_problem_of_folds_too(method: Method) -> None:
    assert problems_of(clips_of([]), method, n_folds=3) == [
        "there are no clips to split: add rows to the table"
    ]


def test_a_single_clip_is_too_few_for_folds() -> None:
    (line,) = problems_of(clips_of(["a"]), "random", n_folds=3)
    assert line.endswith(": use fewer folds")


def test_as_many_clips_as_folds_are_enough() -> None:
    splits = [fold_clips(clips_of(["a"] * 3), "random", 3, fold, 0) for fold in range(3)]
    assert [sorted(split) for split in splits] == [["test", "train", "val"]] * 3
    assert sorted(split.tolist().index("test") for split in splits) == [0, 1, 2]


@pytest.mark.parametrize(("method", "n_folds"), [*product(DEALT, [3]), ("grouped", 5)])
def test_over_all_folds_each_clip_is_once_in_test_and_once_in_val(
    method: Method, n_folds: int
) -> None:
    clips = corpus(3, 24)
    turns = np.array([fold_clips(clips, method, n_folds, fold, 1) for fold in range(n_folds)])
    assert ((turns == "test").sum(0) == 1).all()
    assert ((turns == "val").sum(0) == 1).all()
    assert ((turns == "train").sum(0) == n_folds - 2).all()
    np.testing.assert_array_equal(turns == "val", np.roll(turns, -1, axis=0) == "test")


@pytest.mark.parametrize("method", ["grouped", "hashed"])
def test_no_fold_tears_a_group(method: Method) -> None:
    clips = corpus(3, 24)
    for fold in (0, 3):
        assert leaks(clips, fold_clips(clips, method, 4, fold, 0)) == (0, 0)


@pytest.mark.parametrize("method", ["random", "stratified", "grouped"])
def test_folds_are_of_one_size(method: Method) -> None:
    clips = corpus(6, 30)
    split = fold_clips(clips, method, 5, 3, 0)
    sizes = np.array([(split == name).mean() for name in SPLITS])
    assert np.abs(sizes - [0.6, 0.2, 0.2]).max() < 0.002


def test_row_order_moves_no_clip_to_another_fold() -> None:
    clips = corpus(3, 24)
    shuffled = clips.sample(frac=1, random_state=1)
    found = pd.Series(fold_clips(shuffled, "grouped", 4, 2, 0), shuffled.index).sort_index()
    assert found.tolist() == fold_clips(clips, "grouped", 4, 2, 0).tolist()


def test_more_folds_than_groups_of_a_class_are_explained() -> None:
    groups = [f"a{n % 9}" for n in range(36)] + ["b1", "b1", "b2", "b3"]
    (line,) = problems_of(clips_of(["a"] * 36 + ["b"] * 4, groups), "grouped", n_folds=4)
    assert line.startswith("class 'b' (4 clips in 3 groups) has no clip in fold ")
    assert ": use fewer folds, add groups of it, " in line


def test_more_folds_than_groups_or_clips_are_explained() -> None:
    clips = clips_of(["a"] * 9, ["x", "y", "z"] * 3)
    assert "there are only 3 groups, and method grouped needs at least 4" in str(
        problems_of(clips, "grouped", n_folds=4)
    )
    assert problems_of(clips, "random", n_folds=10) == [
        "10 folds but only 9 clips: use fewer folds"
    ]


def real_clips(table: Path) -> pd.DataFrame:
    rows = pd.read_csv(table, dtype=str)
    return clips_of(rows["Class"].tolist(), rows["Group"].tolist(), rows["FilePath"].tolist())


@pytest.mark.real
def test_reciters_are_split_evenly_by_chapter(real_data: Path) -> None:
    clips = real_clips(real_data / "reciters" / "filespaths.csv")
    split = split_clips(clips, "grouped", SHARES, 0)
    assert leaks(clips, split) == (0, 0)
    shares = pd.crosstab(clips["label"], split, normalize="index", margins=True)[list(SPLITS)]
    assert np.abs(shares.loc["All"].to_numpy() - SHARES).max() < 0.01
    assert np.abs(shares.to_numpy() - SHARES).max() < 0.04


@pytest.mark.real
def test_reciters_fall_into_even_folds_by_chapter(real_data: Path) -> None:
    clips = real_clips(real_data / "reciters" / "filespaths.csv")
    for fold in range(6):
        split = fold_clips(clips, "grouped", 6, fold, 0)
        assert leaks(clips, split) == (0, 0)
        shares = pd.crosstab(clips["label"], split, normalize="index", margins=True)
        assert shares.loc["All", "test"] == pytest.approx(1 / 6, abs=0.015)
        assert (shares["test"] - 1 / 6).abs().max() < 0.05


@pytest.mark.real
def test_digits_of_six_speakers_are_split_by_speaker(real_data: Path) -> None:
    clips = real_clips(real_data / "fsdd" / "filespaths.csv")
    split = split_clips(clips, "grouped", SHARES, 0)
    assert leaks(clips, split) == (0, 0)
    speakers = clips.groupby(split)["group"].nunique()
    assert speakers.to_dict() == {"train": 4, "val": 1, "test": 1}


@pytest.mark.real
def test_the_official_digit_split_gets_its_val_from_train(real_data: Path) -> None:
    table = real_data / "fsdd" / "filespaths.csv"
    official_split = pd.read_csv(table, dtype=str)["Split"]
    clips = real_clips(table).assign(split=official_split)
    split = split_clips(clips, "column", SHARES, 0)
    assert ((split == "test") == (official_split == "test")).all()
    counts = pd.crosstab(clips["label"], split)
    assert (counts["val"] / (counts["val"] + counts["train"])).to_numpy() == pytest.approx(
        0.15 / 0.85, abs=0.005
    )

"""Counting leaks and naming absent classes."""

import numpy as np
import pandas as pd
import pytest

from timbre.leaks import absent_classes, leaks, listed

CLIPS = pd.DataFrame(
    {
        "label": ["dog", "dog", "dog", "cat", "cat"],
        "group": ["g", "g", "h", "h", "i"],
        "sha256": ["1", "1", "2", "3", "4"],
        "split": ["", "", "", "", ""],
    }
)


@pytest.mark.parametrize(
    ("splits", "counts"),
    [
        ("train train val val test", (0, 0)),
        ("train test val val test", (1, 1)),
        ("train train val train val", (0, 1)),
        ("train test val train test", (1, 2)),
    ],
)
def test_a_leak_is_one_audio_or_group_in_several_splits(
    splits: str, counts: tuple[int, int]
) -> None:
    assert leaks(CLIPS, np.array(splits.split())) == counts


def test_leaks_go_by_position_whatever_the_index_says() -> None:
    shuffled = CLIPS.set_axis([0, 0, 7, 1, 2])
    assert leaks(shuffled, np.array(["train", "test", "val", "val", "test"])) == (1, 1)


def test_every_absent_class_is_named_with_its_size_and_where_it_lacks() -> None:
    parts = np.array([0, 0, 0, 1, 2])
    assert absent_classes(CLIPS, parts, ("train", "val", "test"), "mend it") == [
        "class 'cat' (2 clips in 2 groups) has no clip in train: mend it",
        "class 'dog' (3 clips in 2 groups) has no clip in val and test: mend it",
    ]


def test_a_part_that_nobody_fell_into_lacks_every_class() -> None:
    lines = absent_classes(CLIPS, np.array([0, 1, 0, 1, 0]), ("train", "val", "test"), "mend it")
    assert [line.split(" (")[0] for line in lines] == ["class 'cat'", "class 'dog'"]
    assert all("no clip in test:" in line for line in lines)


def test_nothing_is_said_when_all_classes_are_everywhere() -> None:
    assert absent_classes(CLIPS, np.array([0, 1, 1, 0, 1]), ("train", "test"), "mend it") == []


@pytest.mark.parametrize(
    ("n_names", "text"),
    [(1, "a"), (2, "a and b"), (3, "a, b and c"), (6, "a, b, c, d, e and 1 more")],
)
def test_many_names_are_cut_short(n_names: int, text: str) -> None:
    assert listed("abcdefgh"[:n_names]) == text

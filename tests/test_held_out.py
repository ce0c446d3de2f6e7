import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from timbre.held_out import HeldOut, held_out_classes, number_known, place_unknown
from timbre.problems import InputError

CLASSES = ["alto", "bass", "cello", "drum", "flute"]


def clips() -> pd.DataFrame:
    """Ten clips of the five classes, in no order."""
    labels = [CLASSES[n * 3 % 5] for n in range(10)]
    targets = [CLASSES.index(label) for label in labels]
    return pd.DataFrame({"clip_id": list("jihgfedcba"), "label": labels, "target": targets})


@given(st.integers(2, 5))
def test_over_all_folds_each_class_is_unknown_once(n_folds: int) -> None:
    if n_folds == 2:
        folds = [held_out_classes(CLASSES, [], 2, fold) for fold in range(2)]
    else:
        folds = [held_out_classes(CLASSES[::-1], [], n_folds, fold) for fold in range(n_folds)]
    assert sorted(label for fold in folds for label in fold) == CLASSES
    assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_named_classes_are_held_out_once_whatever_their_order() -> None:
    assert held_out_classes(CLASSES, ["flute", "bass", "flute"], 0, 0) == ["bass", "flute"]
    assert held_out_classes(CLASSES, [], 0, 0) == []


@given(st.sets(st.sampled_from(CLASSES)))
def test_known_classes_are_numbered_from_0_in_their_order_and_the_others_minus_1(
    held_out: set[str],
) -> None:
    table = clips()
    known = [label for label in CLASSES if label not in held_out]
    for label, target in zip(table["label"], number_known(table, sorted(held_out)), strict=True):
        assert target == (known.index(label) if label in known else -1)


def test_unknown_clips_get_the_split_unknown_and_the_others_theirs() -> None:
    targets = number_known(clips(), ["bass", "drum"])
    own = np.array([f"split {n}" for n in range(6)])
    placed = place_unknown(targets, own)
    is_known = ~clips()["label"].isin(["bass", "drum"]).to_numpy()
    assert placed[is_known].tolist() == own.tolist()
    assert placed[~is_known].tolist() == ["unknown"] * 4


@pytest.mark.parametrize(
    ("named", "n_folds", "problems"),
    [
        (
            ["basss", "zither"],
            0,
            [
                "evaluate.unknown: no class is named 'basss': did you mean 'bass'?",
                "evaluate.unknown: no class is named 'zither': see data/labels.json",
            ],
        ),
        ([], 6, ["evaluate.unknown_folds: 6 folds, but only 5 classes: use fewer"]),
        (
            CLASSES[1:],
            0,
            ["evaluate.unknown: 1 class is left to train on, and it takes 2: name fewer"],
        ),
        (
            CLASSES,
            0,
            ["evaluate.unknown: no class is left to train on, and it takes 2: name fewer"],
        ),
    ],
)
def test_what_cannot_be_held_out_is_explained(
    named: list[str], n_folds: int, problems: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        held_out_classes(CLASSES, named, n_folds, 0)
    assert caught.value.problems == problems


def test_folds_that_leave_one_class_are_explained() -> None:
    with pytest.raises(InputError) as caught:
        held_out_classes(["a", "b", "c"], [], 2, 0)
    assert caught.value.problems == [
        "evaluate.unknown_folds: 1 class is left to train on, and it takes 2: use more folds"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unknown_folds": 1}, "must be 0 (no classes in turn) or at least 2"),
        ({"unknown_fold": 1}, "unknown_fold must be 0 without unknown_folds, not 1"),
        (
            {"unknown_folds": 3, "unknown_fold": 3},
            "unknown_fold must be below unknown_folds = 3, not 3",
        ),
        (
            {"unknown_folds": 3, "unknown": ["bass"]},
            "unknown names classes and unknown_folds deals them out: use one",
        ),
        ({"unknown": [1]}, "Input should be a valid string"),
        ({"unknown": "bass"}, "Input should be a valid list"),
    ],
)
def test_impossible_settings_are_explained(changes: dict[str, object], reason: str) -> None:
    values = {"unknown": [], "unknown_folds": 0, "unknown_fold": 0} | changes
    with pytest.raises(ValidationError) as caught:
        HeldOut.model_validate(values)
    assert reason in str(caught.value)

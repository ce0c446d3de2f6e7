import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file
from test_model_card import DIVIDED, DOCUMENT

from stages.report import main
from timbre.problems import InputError
from timbre.report import doubts, draw, markdown, measures, table

SPLIT: dict[str, Any] = {"method": "grouped", "leaks": {"audio": 0, "group": 0}}
TEST: dict[str, Any] = {
    "n_clips": 300,
    "n_groups": 20,
    "accuracy": 0.8,
    "accuracy_low": 0.7,
    "accuracy_high": 0.9,
    "random_rows_accuracy": 0.99,
    "random_rows_accuracy_low": 0.95,
    "random_rows_accuracy_high": 1.0,
    "ece": 0.02,
    "ece_uncalibrated": 0.1,
    "false_rejects": 0.04,
    "unknown_auroc": 0.97,
    "unknown_false_accepts": 0.1,
}
UNDER: dict[str, Any] = {
    "clean_accuracy": 0.8,
    "mean_accuracy": 0.75,
    "worst_usual_accuracy": 0.71,
    "worst_usual_condition": "telephone",
    "worst_accuracy": 0.3,
    "worst_condition": "babble_0db",
    "conditions": {
        "clean": {"accuracy": 0.8, "low": 0.7, "high": 0.9},
        "telephone": {"accuracy": 0.71, "low": 0.6, "high": 0.8},
        "babble_0db": {"accuracy": 0.3, "low": 0.2, "high": 0.4},
    },
}
NO_CONDITIONS: dict[str, Any] = {"n_clips": 300, "n_groups": 20, "conditions": {}}
NAMES = [
    *("random rows", "new groups", "mean of the conditions", "worst condition"),
    *("worst, extreme ones too", "unknown, AUROC", "unknown, rejected", "known, rejected"),
    "calibration error",
]
KNOWN_ONLY = {name: value for name, value in TEST.items() if not name.startswith("unknown")}


def values(**of: dict[str, Any]) -> dict[str, float | None]:
    inputs = {"split": SPLIT, "test": TEST, "robustness": UNDER} | of
    return {measure.name: measure.value for measure in measures(**inputs)}


def test_every_page_has_the_same_lines_so_none_can_be_left_out() -> None:
    random = {"method": "random", "leaks": {"audio": 3, "group": 9}}
    assert list(values()) == NAMES
    assert list(values(robustness=NO_CONDITIONS)) == NAMES
    assert list(values(test=KNOWN_ONLY, split=random)) == NAMES


def test_the_lines_hold_what_was_measured() -> None:
    told = [0.99, 0.8, 0.75, 0.71, 0.3, 0.97, pytest.approx(0.9), 0.04, 0.02]
    assert list(values().values()) == told


@pytest.mark.parametrize("method", ["random", "stratified", "column"])
def test_a_split_that_tears_groups_measures_random_rows_only(method: str) -> None:
    found = values(split={"method": method, "leaks": {"audio": 0, "group": 4}})
    assert (found["random rows"], found["new groups"]) == (0.8, None)


def test_an_official_split_that_keeps_groups_whole_measures_new_groups() -> None:
    found = values(split={"method": "column", "leaks": {"audio": 0, "group": 0}})
    assert found["new groups"] == 0.8


def test_what_was_not_measured_is_said_to_be_so() -> None:
    page = markdown(SPLIT, KNOWN_ONLY, NO_CONDITIONS)
    told = [line for line in page.splitlines() if "| not measured |" in line]
    assert [line.split(" | ")[0] for line in told] == [f"| {name}" for name in NAMES[2:7]]


def test_a_page_without_doubts_says_so() -> None:
    assert doubts(SPLIT, TEST, UNDER) == []
    assert "None of those that can be computed." in markdown(SPLIT, TEST, UNDER)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split": {"method": "random", "leaks": {"group": 9}}}, "shares groups with training"),
        ({"split": {"method": "grouped", "leaks": {}, "quarantined": 2}}, "2 clips cannot be used"),
        ({"split": {"method": "column", "leaks": {"audio": 3, "group": 0}}}, "3 leaks .*audio"),
        ({"test": TEST | {"n_groups": 5}}, "5 groups only.*split.n_folds"),
        ({"test": TEST | {"ece": 0.08}}, "confidence is 8.0% off"),
        ({"test": KNOWN_ONLY}, "never taught"),
        ({"robustness": UNDER | {"worst_usual_accuracy": 0.6}}, "`telephone` costs 20 points"),
    ],
)
def test_each_reason_to_doubt_is_named(changes: dict[str, Any], reason: str) -> None:
    inputs = {"split": SPLIT, "test": TEST, "robustness": UNDER} | changes
    found = doubts(**inputs)
    assert any(re.search(reason, line) for line in found)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    """Return a model, which holds a document and no tensors, and the metrics."""
    model = tmp_path / "m.safetensors"
    save_file({}, model, metadata={"timbre": json.dumps(DOCUMENT)})
    paths = [tmp_path / name for name in ("split.json", "test.json", "robustness.json")]
    for path, content in zip(paths, (DIVIDED, TEST, UNDER), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return [model, *paths]


def test_the_stage_writes_page_card_rows_and_picture(inputs: list[Path], tmp_path: Path) -> None:
    page, card, rows, picture = (tmp_path / f"r.{end}" for end in ("md", "card", "csv", "png"))
    model, split, test, robustness = inputs
    main(model, split, test, robustness, page, card, rows, picture)
    assert page.read_text(encoding="utf-8") == markdown(DIVIDED, TEST, UNDER)
    told_of_model = card.read_text(encoding="utf-8")
    for line in table(measures(DIVIDED, TEST, UNDER)):
        assert line in told_of_model
    told = list(csv.DictReader(rows.read_text(encoding="utf-8").splitlines()))
    assert [row["measure"] for row in told] == NAMES
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_equal_measures_give_an_equal_picture(tmp_path: Path) -> None:
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    for picture in pictures:
        draw(measures(SPLIT, TEST, UNDER), picture)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_metrics_that_cannot_be_read_are_named(inputs: list[Path], tmp_path: Path) -> None:
    inputs[3].write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"robustness.json: cannot be read .*run dvc repro"):
        main(*inputs, *(tmp_path / name for name in "abcd"))

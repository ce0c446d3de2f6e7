import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from stages.measure_robustness import BEARABLE
from timbre import robustness
from timbre.condition_names import EXAMPLES, FAMILIES, KINDS, parse
from timbre.intervals import accuracy_interval
from timbre.robustness import COLOURS, Score, draw, measure, ordered, summary, write_rows

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "robustness.md").read_text("utf-8")
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
GROUPS = ["a", "a", "b", "b"]
TARGETS = np.array([0, 1, 0, 1])


def scored(name: str, right: Sequence[int], confidence: float = 0.75) -> Score:
    """The score of four clips of two groups, of which some are right."""
    correct = np.array(right, bool)
    predicted = np.where(correct, TARGETS, 1 - TARGETS)
    probs = np.full((4, 2), 1 - confidence)
    probs[np.arange(4), predicted] = confidence
    return measure(parse(name), probs, predicted, TARGETS, GROUPS)


def with_accuracy(name: str, accuracy: float) -> Score:
    return Score(parse(name), accuracy, accuracy, accuracy, 1, 0.5)


def test_a_score_is_the_share_of_right_answers_and_how_sure_the_wrong_ones_were() -> None:
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    score = measure(parse("telephone"), probs, np.array([0, 0, 1, 1]), TARGETS, GROUPS)
    assert (score.accuracy, score.n_wrong, score.wrong_confidence) == (0.5, 2, 0.75)
    assert score.name == "telephone"


def test_without_a_wrong_answer_there_is_no_confidence_of_wrong_ones() -> None:
    score = scored("clean", [1, 1, 1, 1])
    assert (score.accuracy, score.n_wrong, score.wrong_confidence) == (1, 0, None)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=30))
def test_intervals_are_those_over_groups(answers: list[tuple[bool, int]]) -> None:
    correct = np.array([right for right, _ in answers])
    groups = [f"g{group}" for _, group in answers]
    probs = np.stack([correct, ~correct], axis=1).astype(float)
    targets = np.zeros(len(answers), int)
    score = measure(parse("clean"), probs, probs.argmax(axis=1), targets, groups)
    limits = accuracy_interval(correct, groups)
    assert (score.low, score.high) == pytest.approx(limits, abs=1e-6)
    assert score.accuracy == pytest.approx(correct.mean(), abs=1e-6)


def test_clips_of_one_group_say_less_than_as_many_of_several() -> None:
    correct = np.arange(40) % 2 == np.repeat([0, 1], 20)
    probs = np.stack([correct, ~correct], axis=1).astype(float)
    targets = np.zeros(40, int)

    def width(groups: list[str]) -> float:
        score = measure(parse("clean"), probs, probs.argmax(axis=1), targets, groups)
        return score.high - score.low

    alone = width([f"{n}" for n in range(40)])
    alike = width([f"{right}{n % 2}" for n, right in enumerate(correct.tolist())])
    assert alike > 1.5 * alone


def test_every_condition_is_paired_with_the_same_clips_so_a_drop_is_a_difference() -> None:
    clean, noisy = scored("clean", [1, 1, 1, 0]), scored("white_noise_5db", [1, 0, 0, 0])
    found = summary([clean, noisy], 4, 2)
    assert (found["clean_accuracy"], found["worst_accuracy"]) == (0.75, 0.25)
    assert noisy.n_wrong - clean.n_wrong == 4 * (clean.accuracy - noisy.accuracy)


def test_mean_and_worst_leave_the_clean_clips_out() -> None:
    scores = [
        with_accuracy("clean", 0.1),
        with_accuracy("telephone", 0.8),
        with_accuracy("mp3_32kbps", 0.9),
    ]
    assert summary(scores, 7, 3) == {
        "n_clips": 7,
        "n_groups": 3,
        "clean_accuracy": 0.1,
        "mean_accuracy": 0.85,
        "worst_usual_accuracy": 0.8,
        "worst_usual_condition": "telephone",
        "worst_accuracy": 0.8,
        "worst_condition": "telephone",
        "conditions": {
            name: {"accuracy": share, "low": share, "high": share, "wrong_confidence": 0.5}
            for name, share in (("clean", 0.1), ("telephone", 0.8), ("mp3_32kbps", 0.9))
        },
    }


def test_an_extreme_condition_counts_for_the_mean_and_the_worst_but_not_for_the_worst_usual() -> (
    None
):
    scores = [with_accuracy("babble_0db", 0.2), with_accuracy("telephone", 0.6)]
    found = summary(scores, 1, 1)
    assert found["mean_accuracy"] == 0.4
    assert (found["worst_usual_accuracy"], found["worst_usual_condition"]) == (0.6, "telephone")
    assert (found["worst_accuracy"], found["worst_condition"]) == (0.2, "babble_0db")


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ([], ("clean", "mean", "worst_usual", "worst")),
        (["clean"], ("mean", "worst_usual", "worst")),
        (["telephone"], ("clean",)),
        (["short_1s"], ("clean", "worst_usual")),
    ],
)
def test_a_number_that_has_no_condition_is_left_out(
    names: list[str], missing: tuple[str, ...]
) -> None:
    found = summary([with_accuracy(name, 0.5) for name in names], 1, 1)
    keys = {f"{key}_accuracy" for key in ("clean", "mean", "worst_usual", "worst")}
    assert keys - set(found) == {f"{key}_accuracy" for key in missing}
    assert json.loads(json.dumps(found)) == found


@given(st.permutations(EXAMPLES), st.integers(1, 7))
def test_the_order_of_scores_changes_nothing(names: list[str], n_shares: int) -> None:
    scores = [with_accuracy(name, place % n_shares / 8) for place, name in enumerate(names)]
    assert ordered(scores) == ordered(scores[::-1])
    families = [score.condition.kind.family for score in ordered(scores)]
    assert families == sorted(families, key=FAMILIES.index)
    for family in FAMILIES:
        own = [s.accuracy for s in ordered(scores) if s.condition.kind.family == family]
        assert own == sorted(own, reverse=True)


def test_a_row_a_condition_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.csv"
    write_rows([scored("clean", [1, 1, 1, 1]), scored("pitch_+0.5semitones", [1, 0, 1, 0])], path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["condition"] for row in rows] == ["clean", "pitch_+0.5semitones"]
    assert [row["family"] for row in rows] == ["clean", "time"]
    assert [row["accuracy"] for row in rows] == ["1.0", "0.5"]
    assert [row["wrong_confidence"] for row in rows] == ["", "0.75"]
    assert [row["n_wrong"] for row in rows] == ["0", "2"]
    assert all(float(r["low"]) <= float(r["accuracy"]) <= float(r["high"]) for r in rows)
    assert b"\r" not in path.read_bytes()


def test_the_picture_is_the_same_bytes_and_grows_with_the_conditions(tmp_path: Path) -> None:
    heights = []
    for names in ([], ["clean"], EXAMPLES[:10], EXAMPLES):
        scores = ordered([scored(name, [1, 1, 0, 0]) for name in names])
        draw(scores, tmp_path / "a.png")
        draw(scores, tmp_path / "b.png")
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        heights.append(imread(tmp_path / "a.png").shape[0])
    assert heights == sorted(heights)
    assert heights[-1] > 1.5 * heights[1]


def test_a_bar_is_as_long_as_the_accuracy(tmp_path: Path) -> None:
    def coloured(accuracy: float) -> int:
        draw([with_accuracy("telephone", accuracy)], tmp_path / "a.png")
        rgb = np.rint(imread(tmp_path / "a.png")[..., :3] * 255).astype(int)
        line = tuple(int(COLOURS["line"][start : start + 2], 16) for start in (1, 3, 5))
        return int((rgb == line).all(axis=2).sum(axis=1).max())

    assert coloured(0.8) == pytest.approx(2 * coloured(0.4), rel=0.02)


def test_every_family_has_a_colour_of_its_own() -> None:
    assert tuple(COLOURS) == FAMILIES
    assert len(set(COLOURS.values())) == len(FAMILIES)
    assert robustness.CLEAN in FAMILIES


def told_rows() -> list[list[str]]:
    """The rows of the page's table of conditions."""
    table = PAGE.split("\n## The conditions\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in table.splitlines()
        if line.startswith("| `")
    ]


def test_the_page_tells_of_exactly_the_conditions_of_params_yaml() -> None:
    told = [name for row in told_rows() for name in re.findall(r"`([^`]+)`", row[0])]
    assert told == PARAMS["robustness"]["conditions"]
    assert {parse(name).kind for name in told} == set(KINDS)


def test_each_condition_on_the_page_says_what_it_imitates_and_how_it_is_made() -> None:
    assert {len(row) for row in told_rows()} == {4}
    assert [row[0] for row in told_rows() if min(map(len, row[1:3])) < 8] == []


def test_the_page_tells_the_values_that_each_kind_takes() -> None:
    for row in told_rows():
        kind = parse(row[0].split("`")[1]).kind
        if kind.values:
            assert row[3] == ", ".join(f"{value:g}" for value in kind.values)
        elif kind.limits:
            assert row[3] == f"{kind.limits[0]:g} to {kind.limits[1]:g}"
        else:
            assert row[3] == "-"


def test_the_page_tells_when_a_warning_is_printed() -> None:
    assert f"more than {100 * BEARABLE:.0f} points" in " ".join(PAGE.split())

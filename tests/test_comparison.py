"""A model is called worse when it is, and not by chance."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre import comparison
from timbre.cli import main
from timbre.comparison import Comparison, chance_of_loss, compare, markdown, read_test_clips
from timbre.problems import InputError


def table(right: list[bool], n_groups: int = 1) -> pd.DataFrame:
    """Test clips of class a, dealt out to groups in turn."""
    return pd.DataFrame(
        {
            "clip_id": [f"{n}.wav" for n in range(len(right))],
            "split": "test",
            "group": [str(n % n_groups) for n in range(len(right))],
            "label": "a",
            "predicted": ["a" if own else "b" for own in right],
        }
    ).set_index("clip_id")


@given(st.lists(st.integers(-3, 3), max_size=7))
def test_the_chance_is_the_share_of_all_signs_that_give_so_low_a_sum(sums: list[int]) -> None:
    changed = [n for n in sums if n]
    every = [np.dot(s, changed) for s in itertools.product([1, -1], repeat=len(changed))]
    expected = np.mean([one <= sum(changed) for one in every])
    assert chance_of_loss(np.array(sums, np.int64)) == pytest.approx(expected)


def test_many_groups_are_tried_by_random_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.array([-2, -1, 1, -1, -1, 2, -3, 1, -1, -1])
    exact = chance_of_loss(sums)
    monkeypatch.setattr(comparison, "MOST_EXACT", 5)
    assert chance_of_loss(sums) == pytest.approx(exact, abs=0.01)
    assert chance_of_loss(np.full(40, -1)) == 1 / (comparison.DRAWS + 1)


def test_of_equal_models_one_in_twenty_is_called_worse_at_most() -> None:
    rng = np.random.default_rng(0)
    worse = 0
    for _ in range(1000):
        hard = rng.uniform(0, 0.4, 12)  # of a group, for both models
        before, now = (rng.uniform(size=120) > np.tile(hard, 10) for _ in range(2))
        found = compare(table(before.tolist(), 12), table(now.tolist(), 12))
        worse += found.is_worse()
    assert 0.01 < worse / 1000 <= 0.05


def test_a_loss_in_every_group_is_found() -> None:
    before = table([True] * 60, 10)
    now = table([n >= 10 for n in range(60)], 10)  # the first clip of each group
    found = compare(before, now)
    assert (found.lost, found.gained, found.groups_worse, found.groups_better) == (10, 0, 10, 0)
    assert found.p_worse == 2**-10
    assert found.is_worse()
    assert found.is_worse(0.16)
    assert not found.is_worse(0.17)  # a sixth of the clips was lost
    assert "Verdict: **worse**" in markdown(found, 0.1)


def test_a_loss_of_one_group_is_no_loss_of_others() -> None:
    now = table([n % 10 != 3 for n in range(60)], 10)
    found = compare(table([True] * 60, 10), now)
    assert found == Comparison(60, 1.0, 0.9, 0, 6, 0, 1, 0.5)
    assert not found.is_worse()
    assert "Verdict: not worse" in markdown(found, 0)


def test_the_order_of_the_rows_is_irrelevant() -> None:
    rng = np.random.default_rng(0)
    before, now = (table((rng.uniform(size=30) > 0.3).tolist(), 6) for _ in range(2))
    assert compare(before, now.sample(frac=1, random_state=0)) == compare(before, now)


def test_other_clips_or_labels_are_refused() -> None:
    clips = table([True] * 4)
    with pytest.raises(InputError, match="not the same test clips: 4 before, 3 now, 3 in both"):
        compare(clips, clips.iloc[:3])
    with pytest.raises(InputError, match="no test clips in one of the tables"):
        compare(clips, clips.iloc[:0])
    with pytest.raises(InputError, match=r"'0\.wav' had another label before"):
        compare(clips, clips.assign(label=["b", "a", "a", "a"]))


def test_the_command_fails_for_a_model_that_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "before.csv", tmp_path / "now.csv"]
    for path, right in zip(paths, (True, False), strict=True):
        rows = table([right] * 20, 10).reset_index()
        seen = rows.assign(split="seen", clip_id="seen " + rows["clip_id"], predicted="a")
        pd.concat([rows, seen]).to_csv(path, index=False)
    before, now = map(str, paths)
    assert main(["gate", before, "--now", now]) == 1
    assert "| 20 clips | 100.0% | 0.0% | -100.0 points |" in capsys.readouterr().out
    assert main(["gate", before, "--now", now, "--tolerance", "100"]) == 0
    assert main(["gate", now, "--now", before]) == 0
    assert main(["gate", before, "--now", str(tmp_path / "none.csv")]) == 1
    assert "none.csv: cannot be read" in capsys.readouterr().err


def test_the_newer_predictions_are_the_repositorys_in_any_folder_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (".dvc", "data", "some where"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "some where")
    rows = table([True] * 20, 10).reset_index()
    rows.to_csv(tmp_path / "data" / "predictions.csv", index=False)
    rows.to_csv("before.csv", index=False)
    assert main(["gate", "before.csv"]) == 0
    assert "| 20 clips | 100.0% | 100.0% | +0.0 points |" in capsys.readouterr().out


def test_a_table_that_is_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("clip_id,split\n")
    with pytest.raises(InputError, match="it has no group, label, predicted"):
        read_test_clips(tmp_path / "t.csv")

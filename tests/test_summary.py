import itertools
import json
from pathlib import Path
from typing import Never

import pytest

from timbre.problems import InputError
from timbre.runs import Run
from timbre.summary import by_settings, main, missing_folds, report, summarise, table


def run(fold: int, seed: int = 0, accuracy: float = 0.9, **params: object) -> Run:
    settings: dict[str, object] = {
        "split.n_folds": 3,
        "split.fold": fold,
        "split.seed": 0,
        "train.seed": seed,
    }
    settings |= {"split.test": 0.15, "split.train": 0.75, "evaluate.unknown_fold": 0}
    settings |= {key.replace("__", "."): value for key, value in params.items()}
    metrics = {"test.accuracy": accuracy, "test.accuracy_low": 0.1, "split.train.clips": 9.0}
    return Run(f"fold {fold} seed {seed}", settings, metrics)


def queue() -> list[Run]:
    """Three folds with two seeds each; folds at 80, 90 and 100 %, seeds 2 points apart."""
    return [
        run(fold, seed, 0.8 + 0.1 * fold + (0.01 if seed else -0.01))
        for fold, seed in itertools.product(range(3), range(2))
    ]


def test_folds_are_the_units_and_seeds_are_averaged_inside() -> None:
    found = summarise(queue())["test.accuracy"]
    assert (found.n_folds, found.n_runs) == (3, 6)
    assert found.mean == pytest.approx(0.9)
    assert found.over_folds == pytest.approx(0.1)
    assert found.over_seeds == pytest.approx(0.02 / 2**0.5)
    assert (found.lowest, found.highest) == pytest.approx((0.8, 1.0))


def test_the_limits_of_single_runs_and_the_sizes_of_splits_are_left_out_unless_asked_for() -> None:
    assert set(summarise(queue())) == {"test.accuracy"}
    assert set(summarise(queue(), ["split.train.clips"])) == {"split.train.clips"}


def test_folds_of_classes_are_the_units_of_what_tells_of_unknown_classes() -> None:
    runs = [
        Run("", run(fold, evaluate__unknown_fold=of_classes).params, metrics)
        for fold, of_classes in itertools.product(range(3), range(2))
        for metrics in [{"test.accuracy": fold / 3, "test.unknown_auroc": of_classes / 2}]
    ]
    found = summarise(runs)
    assert (found["test.accuracy"].n_folds, found["test.unknown_auroc"].n_folds) == (3, 2)
    assert found["test.unknown_auroc"].over_seeds == 0


def test_random_splits_take_the_place_of_folds_and_their_overlap_is_allowed_for() -> None:
    runs = [
        run(0, accuracy=0.8 + 0.1 * seed, split__seed=seed, split__n_folds=0) for seed in range(3)
    ]
    found = summarise(runs)["test.accuracy"]
    assert found.n_folds == 3
    assert found.interval is not None
    # Student's factor for two degrees of freedom, a deviation of 0.1, 0.15 / 0.75 of overlap.
    half = 4.302653 * 0.1 * (1 / 3 + 0.2) ** 0.5
    assert found.interval == pytest.approx((0.9 - half, 0.9 + half))


def test_a_metric_that_some_runs_lack_is_that_of_the_others() -> None:
    lacking = Run("other", run(2).params, {"test.ece": 0.5})
    found = summarise([*queue()[:4], lacking])
    assert found["test.accuracy"].n_runs == 4
    assert found["test.ece"].n_runs == 1


def test_runs_of_other_settings_are_never_averaged_together() -> None:
    runs = [*queue(), *[run(fold, train__lr=0.1) for fold in range(3)]]
    found = by_settings(runs)
    assert {title: len(own) for title, own in found.items()} == {
        "train.lr=absent": 6,
        "train.lr=0.1": 3,
    }
    assert list(by_settings(queue())) == [""]


def test_folds_without_a_run_are_named() -> None:
    assert missing_folds(queue()) == []
    assert missing_folds(queue()[:4]) == ["split.fold: no finished run of 2 (of 3): a partial mean"]


def test_the_table_is_markdown_with_shares_in_percent_inside_their_limits() -> None:
    lines = table(summarise(queue())).splitlines()
    assert {line.count("|") for line in lines} == {8}
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells == [
        *("test.accuracy", "90.00 %", "65.16 % - 100.00 %", "80.00 % - 100.00 %"),
        *("10.00 %", "1.41 %", "6"),
    ]


def test_files_are_summed_up_as_folds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / str(n) / "test.json" for n in range(2)]
    for path, value in zip(paths, (0.5, 0.7), strict=True):
        path.parent.mkdir()
        path.write_text(json.dumps({"accuracy": value, "log_loss": value}))
    assert main(list(map(str, paths))) == 0
    told = capsys.readouterr().out
    assert told.startswith("2 runs\n\n| metric")
    assert "| test.accuracy | 60.00 % |" in told
    assert "| test.log_loss | 0.6 " in told


def test_nothing_to_sum_up_ends_with_a_way_out() -> None:
    with pytest.raises(InputError) as caught:
        report([], [])
    assert caught.value.problems == [
        "no finished experiments: queue folds with `dvc exp run --queue` and run them, give -n 3 "
        "for those of the last three commits, or name metrics files"
    ]


def test_every_metric_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError) as caught:
        report(queue(), ["accuracy", "zzz", "test.accuracy"])
    assert caught.value.problems == [
        "no metric is named 'accuracy': did you mean 'test.accuracy'?",
        "no metric is named 'zzz': leave --metric out to see all",
    ]


def test_a_problem_is_one_line_and_the_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.json"]) == 1
    assert capsys.readouterr().err == (
        "error: nowhere.json: cannot be read (No such file or directory)\n"
    )


def test_an_interrupt_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> Never:
        raise KeyboardInterrupt

    monkeypatch.setattr("timbre.summary.ask_dvc", interrupted)
    assert main([]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")

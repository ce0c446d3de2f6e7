"""The bench compares as it says, and the page shows what it found."""

import itertools
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import (
    ablation,
    cost,
    coverage,
    export,
    machine,
    planted_leaks,
    rejection,
    report,
    scale_page,
    voice,
    voice_page,
)
from bench.__main__ import LONG, MODULES, main
from bench.corpora import reciter_recordings
from bench.counted import Cost, run_counted
from bench.figures import Figure, ratio_figure, value_figure
from bench.pairs import Comparison, Side, compare, repeat, untold
from bench.voice_tasks import TASKS, Task
from bench.workshop import Pipeline, needed_by
from timbre.audio import Waveform

SECONDS = st.integers(1, 1000)


class FakeClock:
    """Time that passes only when a side works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def side(self, name: str, seconds: Iterator[int], n_units: float = 1) -> Side:
        def run() -> None:
            self.log.append(name)
            self.now += next(seconds)

        return Side(run, n_units)


def compared(
    baseline: list[int], ours: list[int], n_units: tuple[float, float] = (1, 1)
) -> tuple[Comparison, list[str]]:
    """Compare sides whose rounds take so many seconds, the warm-up's first."""
    clock = FakeClock()
    theirs = clock.side("baseline", iter(baseline), n_units[0])
    mine = clock.side("ours", iter(ours), n_units[1])
    return compare(theirs, mine, len(baseline) - 1, clock=clock), clock.log


def results(path: Path) -> report.Document:
    figures = [
        value_figure("start of split", [0.31, 0.29, 0.3], "s", target=0.5),
        ratio_figure("training", "notebook", Comparison([50.0], [0.5], [0.01]), target=40),
    ]
    document = {"some": report.entry(machine.describe(), 12.3, figures)}
    report.write(document, path)
    return report.read(path)


def test_pairs_alternate_after_one_warm_up_each() -> None:
    _, log = compared([1, 1, 1, 1], [1, 1, 1, 1])
    assert log[:2] == ["baseline", "ours"]
    assert log[2:] == ["baseline", "ours", "ours", "baseline", "baseline", "ours"]


def test_a_warm_up_counts_for_nothing() -> None:
    found, _ = compared([1000, 6, 6], [1, 2, 2])
    assert found.ratios == [3, 3]


def test_without_warm_up_only_the_pairs_run() -> None:
    clock = FakeClock()
    sides = [clock.side(name, itertools.repeat(1)) for name in ("baseline", "ours")]
    compare(sides[0], sides[1], 1, warm_up=False, clock=clock)
    assert clock.log == ["baseline", "ours"]


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=7))
def test_each_ratio_is_of_one_pair_whatever_its_order(pairs: list[tuple[int, int]]) -> None:
    baseline, ours = ([1, *column] for column in zip(*pairs, strict=True))
    found, _ = compared(baseline, ours)
    assert found.ratios == [theirs / mine for theirs, mine in pairs]
    assert min(found.ratios) <= found.ratio <= max(found.ratios)


@given(SECONDS, SECONDS, st.integers(2, 100))
def test_a_side_that_does_more_in_its_round_is_compared_by_the_unit(
    baseline: int, ours: int, factor: int
) -> None:
    once, _ = compared([1, baseline], [1, ours])
    more, _ = compared([1, baseline], [1, ours * factor], (1, factor))
    assert more.ratio == pytest.approx(once.ratio)


@given(SECONDS, SECONDS)
def test_sides_that_change_places_invert_the_ratio(a: int, b: int) -> None:
    there, _ = compared([1, a], [1, b])
    back, _ = compared([1, b], [1, a])
    assert there.ratio * back.ratio == pytest.approx(1)


@given(SECONDS, SECONDS, SECONDS)
def test_a_machine_that_slows_down_from_pair_to_pair_moves_no_ratio(
    a: int, b: int, slow: int
) -> None:
    found, _ = compared([1, a, a * slow], [1, b, b * slow])
    assert found.ratios == pytest.approx([a / b, a / b])


def test_seconds_that_a_side_tells_are_taken_for_those_that_passed() -> None:
    clock = FakeClock()

    def run() -> float:
        clock.now += 1000
        return 2.0

    assert repeat(Side(run, n_units=4), 2, clock=clock) == [0.5, 0.5]


def test_a_result_is_never_taken_for_seconds() -> None:
    clock = FakeClock()

    def work() -> float:
        clock.now += 3
        return 2.0

    assert repeat(Side(untold(work)), 1, clock=clock) == [3]


def test_a_comparison_becomes_a_figure_in_rates_or_in_times() -> None:
    found = Comparison([5.0, 4.0, 6.0], [0.5, 0.4, 0.6], [0.1, 0.1, 0.1])
    rates = ratio_figure("name", "other", found, unit="clips/s", target=5.0)
    assert (rates.median, rates.min, rates.max, rates.pairs) == (5, 4, 6, 3)
    assert (rates.baseline_median, rates.ours_median) == (2, 10)
    times = ratio_figure("name", "other", found, unit="ms")
    assert (times.baseline_median, times.ours_median) == (500, 100)


@pytest.mark.parametrize(
    ("value", "target_is", "met"),
    [
        (1.0, "at most", True),
        (1.1, "at most", False),
        (1.0, "at least", True),
        (0.9, "at least", False),
    ],
)
def test_a_target_is_met_up_to_its_value(value: float, target_is: str, met: bool) -> None:
    assert value_figure("name", [value], "s", target=1.0, target_is=target_is).met is met


def test_a_ratio_meets_its_target_by_the_median_alone() -> None:
    found = Comparison([1.0, 8.0, 9.0], [1.0], [1.0])
    assert ratio_figure("name", "other", found, target=8.0).met
    assert not ratio_figure("name", "other", found, target=8.5).met
    assert ratio_figure("name", "other", found).met is None


def test_one_benchmark_replaces_its_own_results_and_no_others() -> None:
    old = {"stage": {"seconds": 1}, "floor": {"seconds": 2}}
    merged = report.merge(old, {"floor": {"seconds": 3}, "reading": {"seconds": 4}})
    assert merged == {
        "floor": {"seconds": 3},
        "reading": {"seconds": 4},
        "stage": {"seconds": 1},
    }
    assert list(merged) == sorted(merged)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    document = results(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == document
    assert report.read(tmp_path / "missing.json") == {}
    assert document["some"]["figures"][1]["met"] is True


def test_the_machine_is_described_without_names_and_paths() -> None:
    told = [str(value) for value in machine.describe().values()]
    assert platform.node() not in told
    assert [value for value in told if value.startswith(("/home", "/tmp"))] == []  # noqa: S108


def test_every_figure_has_one_row_as_wide_as_the_header(tmp_path: Path) -> None:
    document = results(tmp_path / "results.json")
    table = [row for row in report.markdown_table(document).splitlines() if row.startswith("|")]
    assert len(table) == 2 + len(document["some"]["figures"])
    assert {row.count("|") for row in table} == {len(report.HEADER) + 1}


def test_the_table_shows_ratios_against_a_baseline_and_values_without_one(tmp_path: Path) -> None:
    cells = report.rows(results(tmp_path / "results.json")["some"]["figures"])
    assert cells[0][2:6] == ["0.3 s", "0.29 s - 0.31 s", "at most 0.5 s", "yes"]
    assert cells[1][2:8] == [
        *("50x", "50x - 50x", "at least 40x", "yes"),
        *("2 clips/s", "100 clips/s"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.00031, "3.1e-04"), (0.5, "0.5"), (12.34, "12.3"), (67_840.0, "67 840")],
)
def test_numbers_are_written_with_the_digits_that_count(value: float, text: str) -> None:
    assert report.number(value) == text


def test_writing_the_table_into_a_page_twice_is_writing_it_once(tmp_path: Path) -> None:
    document = results(tmp_path / "results.json")
    page = f"before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n"
    once = report.with_table(page, document)
    assert report.with_table(once, document) == once
    assert once.startswith("before\n")
    assert once.endswith("\n\nafter\n")
    assert "old" not in once


def test_the_committed_table_is_that_of_the_committed_results() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.with_table(page, report.read(report.RESULTS)) == page


def test_the_committed_results_are_of_benchmarks_that_exist() -> None:
    document = report.read(report.RESULTS)
    assert set(document) <= set(MODULES)
    fields = set(Figure.__dataclass_fields__)
    for result in document.values():
        assert all(set(figure) == fields for figure in result["figures"])


def test_every_long_benchmark_is_one() -> None:
    assert set(LONG) < set(MODULES)


def test_without_recordings_one_line_says_where_they_were_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIMBRE_DATA", str(tmp_path / "nowhere"))
    assert main(["--quick"]) == 1
    assert capsys.readouterr().err == (
        f"error: no recordings to measure on in {tmp_path / 'nowhere'}: set TIMBRE_DATA to the "
        "folder that holds reciters/ and fsdd/\n"
    )


def test_an_unknown_benchmark_is_named_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["everything"])
    told = capsys.readouterr().err
    assert "no such benchmark: everything; there are: " in told
    assert all(name in told for name in MODULES)


@pytest.mark.parametrize("spread", coverage.SIZES.values())
def test_simulated_corpora_have_the_size_and_the_accuracy_that_they_shall_have(
    spread: float,
) -> None:
    correct, groups = coverage.corpus(0.9, 4000, spread, np.random.default_rng(0))
    sizes = np.bincount(groups)
    assert len(sizes) == 4000
    assert sizes.mean() == pytest.approx(coverage.N_CLIPS, rel=0.06)
    assert np.log(sizes).std() == pytest.approx(spread, abs=0.06)
    assert correct.mean() == pytest.approx(0.9, abs=0.02)


def test_the_table_of_rejection_scores_is_written_between_its_marks_best_first() -> None:
    runs = {
        "worse": [rejection.Rates(0.6, 0.7, 0.5, 0.1, 0.4)],
        "better": [
            rejection.Rates(0.9, 0.9, 0.1, 0.05, 0.1),
            rejection.Rates(0.7, 0.8, 0.2, 0.05, 0.2),
        ],
    }
    text = rejection.markdown(runs, "reciters", 2, 1)
    lines = text.splitlines()
    assert lines[4:] == [
        "| `better` | 0.8000 | 0.8500 | 0.8000 | 15.0 % | 5.0 % | 15.0 % |",
        "| `worse` | 0.6000 | 0.7000 | 0.7000 | 50.0 % | 10.0 % | 40.0 % |",
    ]
    page = rejection.PAGE.read_text(encoding="utf-8")
    assert rejection.with_table(rejection.with_table(page, "old"), text).count("`better`") == 1


def test_what_training_reads_is_made_before_it() -> None:
    needed = needed_by("train_cnn")
    assert needed[-1] == "train_cnn"
    assert {"encode_labels", "find_copies", "split", "extract_spectrograms"} < set(needed)
    assert "evaluate" not in needed


@pytest.mark.real
def test_a_quick_run_goes_through_all_stages_up_to_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Its stages were once listed by hand: a new one between them broke every benchmark of training.
    assert main(["--quick", "reading"]) == 0
    assert "nothing was written" in capsys.readouterr().out


def test_the_page_of_results_is_that_of_the_committed_runs() -> None:
    page = voice_page.PAGE.read_text(encoding="utf-8")
    assert voice_page.with_tables(page, voice.read_results()) == page
    page = voice_page.README.read_text(encoding="utf-8")
    assert voice_page.with_short_table(page, voice.read_results()) == page
    page = ablation.PAGE.read_text(encoding="utf-8")
    assert ablation.with_table(page, voice.read_results(ablation.RESULTS)) == page


def test_the_readme_begins_with_the_means_of_the_committed_runs() -> None:
    results = voice.read_results()

    def percent(task: str, measure: str, digits: int) -> str:
        return f"{100 * mean(run[measure] for run in results[task]):.{digits}f} %"

    begins = " ".join(voice_page.README.read_text(encoding="utf-8").split("\n\n")[1].split())
    other = percent("reciters", "other recordings, mean over reciters", 0)
    assert f"{percent('digits', 'clean', 1)} on the official test of the spoken digits" in begins
    assert f"{percent('reciters', 'clean', 1)} on new chapters of twelve reciters" in begins
    assert f"{other} on *other recordings* of two of them" in begins


def test_the_page_of_exports_is_that_of_the_committed_run() -> None:
    page = export.PAGE.read_text(encoding="utf-8")
    results = json.loads(export.RESULTS.read_text(encoding="utf-8"))
    assert export.with_tables(page, results) == page


def test_forms_of_a_model_are_compared_clip_by_clip() -> None:
    exact = [(np.array([0.6, 0.4]), True), (np.array([0.6, 0.4]), True), (np.array([0, 1]), False)]
    told = [(np.array([0.5, 0.5]), True), (np.array([0.3, 0.7]), True), (np.array([0, 1]), True)]
    found = export.agreement(told, exact, np.array([0, 0, 0]))
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["difference"] == pytest.approx(0.3)
    assert found["other_answers"] == 2  # another class, and another verdict on the same class


def test_each_form_is_asked_first_as_often_as_the_others() -> None:
    asked: list[str] = []

    def asking(name: str) -> export.Ask:
        def ask(waveform: Waveform) -> export.Answer:
            asked.append(name)
            return np.array([1.0, 0.0]), bool(waveform[0])

        return ask

    clips: export.Clips = [(np.ones(1, np.float32), 0), (np.ones(1, np.float32), 1)]
    found = export.ask_all({export.TORCH: asking("a"), "other": asking("b")}, clips)
    assert asked == ["a", "b", "a", "b", "b", "a"]  # the first two to warm up
    assert [own["accuracy"] for own in found.values()] == [0.5, 0.5]


def test_goals_are_of_measures_that_the_runs_have() -> None:
    for key, runs in voice.read_results().items():
        goals = TASKS[key.partition(", ")[0]].goals
        assert all(set(goals) <= set(run) for run in runs)


def test_a_goal_is_met_by_the_mean_over_runs() -> None:
    task = Task("Some", "corpus", {}, {"clean": 0.9, "calibration error": 0.02})
    runs = [
        {"fold": fold, "seed": 0, "clean": clean, "calibration error": error}
        for fold, (clean, error) in enumerate([(0.8, 0.02), (1.0, 0.04)])
    ]
    assert voice_page.table(task, runs).splitlines()[-2:] == [
        "| clean | 90.00% | 80.0% - 100.0% | at least 90.0% | yes |",
        "| calibration error | 3.00% | 2.0% - 4.0% | at most 2.0% | no |",
    ]


@pytest.mark.real
def test_planted_copies_are_found_and_other_recordings_are_not() -> None:
    paths = reciter_recordings()[::5]
    planted = planted_leaks.plant(paths, planted_leaks.spectrograms(paths), 100)
    assert planted.share() >= 0.99
    assert len(planted.alarms) <= 0.001 * planted.n_pairs
    reciters = {tuple(paths[n].parent.name for n in pair) for pair in planted.alarms}
    assert all(one == other for one, other in reciters)


def cost_document() -> report.Document:
    """What the bench would keep if all costs lay on a line."""
    measured = {
        size: Cost(2 + 0.001 * size, 500 + 10.0 * size, 20.0 * size) for size in (1000, 2000, 4000)
    }
    points = [{size: astuple(own)[n] for size, own in measured.items()} for n in range(3)]
    figures = []
    for part in ("extract_spectrograms", "train_cnn, an epoch"):
        lines = [cost.points_line(own, [1000, 4000]) for own in points]
        figures += cost.part_figures(part, lines)
        figures.append(cost.error_figure(part, lines[0], points[0], [2000]))
    return {"cost": {"machine": {"cores": 2}, "figures": [one.document() for one in figures]}}


@given(st.floats(0, 100), st.floats(0, 1), st.integers(1, 1000), st.integers(1, 1000))
def test_the_line_through_two_points_of_a_line_is_that_line(
    start: float, slope: float, size: int, more: int
) -> None:
    sizes = [size, size + more]
    line = cost.Line.through(sizes, [start + slope * n for n in sizes])
    for n in (0, *sizes, 10 * more):
        assert line.at(n) == pytest.approx(start + slope * n, rel=1e-6, abs=1e-6)


def test_costs_on_a_line_are_predicted_without_error_and_told_a_unit() -> None:
    figures = {one["name"]: one for one in cost_document()["cost"]["figures"]}
    assert figures["extract_spectrograms: seconds a clip"]["median"] == pytest.approx(0.001)
    assert figures["extract_spectrograms: seconds at the start"]["median"] == pytest.approx(2)
    window = "train_cnn, an epoch: bytes written a training window"
    assert figures[window]["median"] == pytest.approx(20 / 0.7, rel=1e-3)
    errors = [one for name, one in figures.items() if "error" in name]
    assert [(one["median"] < 1e-6, one["met"]) for one in errors] == [(True, True)] * 2


def test_all_sizes_run_before_one_runs_again_and_the_shortest_more_often(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log: list[int] = []
    times = itertools.count(2)

    def run(command: list[str], folder: Path, environment: dict[str, str]) -> Cost:
        size = int(folder.name)
        log.append(size)
        return Cost(next(times) if size > 1 else 0.5, size, 0)

    monkeypatch.setattr("bench.cost.run_counted", run)
    pipelines = {size: Pipeline(tmp_path / str(size), tmp_path) for size in (1, 5, 9)}
    found = cost.in_turn("report", pipelines, 3)
    assert log == [1, 5, 9] * 3 + [1] * 12
    assert found == {1: Cost(0.5, 1, 0), 5: Cost(4, 5, 0), 9: Cost(5, 9, 0)}


def test_an_error_above_a_seventh_is_told_as_not_met() -> None:
    line = cost.Line(0, 1)
    figure = cost.error_figure("a part", line, {10: 10, 20: 30}, [10, 20])
    assert (round(figure.median, 1), figure.met) == (33.3, False)


def test_a_million_clips_cost_what_their_units_do_and_money_follows_the_prices() -> None:
    found = scale_page.parts(cost_document()["cost"])
    extracted = found[0]
    assert extracted.core_hours == pytest.approx(1000 * 2 / 3600)
    assert (extracted.gb_read, extracted.gb_written) == pytest.approx((0.01, 0.02))
    once = scale_page.money(found, scale_page.Assumed(epochs=1))
    dearer = scale_page.money(found, scale_page.Assumed(0.1, 0.046, 0.18, epochs=1))
    assert [*dearer.values()] == pytest.approx([2 * value for value in once.values()])


def test_the_page_of_scale_is_that_of_the_committed_results() -> None:
    page = scale_page.PAGE.read_text(encoding="utf-8")
    results = report.read(report.RESULTS)
    assert scale_page.with_table(page, results, scale_page.Assumed()) == page


def test_the_bytes_of_processes_that_nobody_waits_for_are_counted(tmp_path: Path) -> None:
    content = bytes(3_000_000)
    (tmp_path / "file").write_bytes(content)
    orphan = "open('copy', 'wb').write(open('file', 'rb').read())"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {orphan!r}])"
    found = run_counted([sys.executable, "-c", parent], tmp_path, dict(os.environ))
    assert (tmp_path / "copy").read_bytes() == content
    assert len(content) <= found.read < 3 * len(content)
    assert len(content) <= found.written < 1.1 * len(content)

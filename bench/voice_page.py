"""The tables of docs/results.md, and their sum in the README, from bench/voice.json."""

import itertools
import statistics
from collections.abc import Mapping, Sequence

from bench import report
from bench.voice_tasks import KINDS, ONE_GROUP, TASKS, Run, Task
from bench.workshop import REPOSITORY

PAGE, README = REPOSITORY / "docs" / "results.md", REPOSITORY / "README.md"
BEGIN, END = "<!-- begin: bench/voice.json -->", "<!-- end: bench/voice.json -->"
HEADER = "| measure | mean | lowest - highest run | wanted | met |\n|---|---|---|---|---|"
AT_MOST = ("calibration error",)  # all other goals are lower bounds
SUMMARY = (
    *("clean", "mean of the conditions", "worst usual condition", "calibration error"),
    "test clips taken for unknown",
)
IN_SHORT = SUMMARY[:3]
SHORT_HEADER = (
    "| corpus and split | runs | test accuracy, lowest - highest run | mean of 29 conditions "
    "| worst usual condition |\n|---|---|---|---|---|"
)


def write_pages(results: Mapping[str, list[Run]]) -> None:
    """Write both tables anew."""
    for path, with_own in ((PAGE, with_tables), (README, with_short_table)):
        path.write_text(with_own(path.read_text(encoding="utf-8"), results), encoding="utf-8")


def with_tables(page: str, results: Mapping[str, list[Run]]) -> str:
    """Return the page with all tables between its two markers."""
    tables = (_titled(name, runs) for name, runs in results.items())
    return report.between(page, BEGIN, END, "\n\n".join(tables))


def _titled(key: str, runs: list[Run]) -> str:
    name, _, model = key.partition(", ")
    text = table(TASKS[name], runs)
    return f"With `train.model: {model}`:\n\n{text}" if model else text


def with_short_table(page: str, results: Mapping[str, list[Run]]) -> str:
    """Return the page with one row for each task between its two markers."""
    rows = (_short_row(TASKS[name].title, results[name]) for name in TASKS if name in results)
    return report.between(page, BEGIN, END, "\n".join((SHORT_HEADER, *rows)))


def _short_row(title: str, runs: Sequence[Run]) -> str:
    clean, *means = ([run[name] for run in runs] for name in IN_SHORT)
    accuracy = f"{statistics.mean(clean):.1%}, {min(clean):.1%} - {max(clean):.1%}"
    cells = (title, str(len(runs)), accuracy, *(f"{statistics.mean(each):.1%}" for each in means))
    return f"| {' | '.join(cells)} |"


def table(task: Task, runs: Sequence[Run]) -> str:
    """Return a task's table: means over all runs."""
    names = sorted({*itertools.chain(*runs)} - {"fold", "seed"}, key=_place)
    n_folds, n_seeds = (len({run[key] for run in runs}) for key in ("fold", "seed"))
    told = f"{task.title}; runs: {len(runs)}, test splits: {n_folds}, seeds of training: {n_seeds}"
    return "\n".join([f"**{told}**", "", HEADER, *(_row(task, name, runs) for name in names)])


def _place(name: str) -> tuple[int, str]:
    """Return where a measure stands: the summary first, other recordings, then the conditions."""
    if name in SUMMARY:
        return SUMMARY.index(name), ""
    return len(SUMMARY) + (not name.startswith((ONE_GROUP, *KINDS.values()))), name


def _row(task: Task, name: str, runs: Sequence[Run]) -> str:
    values = [run[name] for run in runs if name in run]
    mean, goal = statistics.mean(values), task.goals.get(name)
    cells = [name, f"{mean:.2%}", f"{min(values):.1%} - {max(values):.1%}", "", ""]
    if goal is not None:
        most = name in AT_MOST
        met = mean <= goal if most else mean >= goal
        cells[3:] = [f"at {'most' if most else 'least'} {goal:.1%}", "yes" if met else "no"]
    return f"| {' | '.join(cells)} |"

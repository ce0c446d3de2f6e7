"""What the default settings know: `python -m bench.voice`, minutes for each training.

Trains folds and seeds of real corpora, and scores each model as the pipeline does, under all
conditions, and on the development set of other recordings. Writes bench/voice.json, and from it the
tables of docs/results.md:

    python -m bench.voice reciters --folds 3 4 5
    python -m bench.voice digits speakers --seeds 0 1

What other folds and seeds achieved before is kept beside it.
"""

import argparse
import csv
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import report
from bench.corpora import DIGITS, NoRecordingsError, recordings
from bench.workshop import REPOSITORY, Changes, Pipeline, change_params

RESULTS = REPOSITORY / "bench" / "voice.json"
PAGE = REPOSITORY / "docs" / "results.md"
BEGIN, END = "<!-- begin: bench/voice.json -->", "<!-- end: bench/voice.json -->"
HEADER = "| measure | mean | lowest - highest run | wanted | met |\n|---|---|---|---|---|"
AT_MOST = ("calibration error",)  # all other goals are lower bounds
SUMMARY = (
    *("clean", "mean of the conditions", "worst usual condition", "calibration error"),
    "test clips taken for unknown",
)
ONE_GROUP = "clean, "  # before the name of a group
KINDS = {"same_recording_reencoded": "re-encoded", "other_recording": "other recordings"}

Run = dict[str, Any]  # fold, seed, and the measures by name


@dataclass(frozen=True)
class Task:
    """A corpus, how it is split, and what is hoped for."""

    title: str
    corpus: str
    changes: Changes
    goals: Mapping[str, float]
    n_folds: int = 0
    second: bool = False  # whether the other recordings are of its classes


NOISES = ("white_noise_10db", "babble_10db")
CODECS = ("mp3_64kbps", "mp3_32kbps", "vorbis_q0", "opus_16kbps")
RECITERS: Changes = {"data": {"audio": "Dataset"}}
SPEAKERS: Changes = {"data": {"table": "filespaths_speakers.csv"}}
OFFICIAL: Changes = {"split": {"method": "column"}, "extract": DIGITS}
TASKS = {
    "reciters": Task(
        "12 reciters, grouped by surah",
        "reciters",
        RECITERS,
        {
            "clean": 0.99,
            **dict.fromkeys((*NOISES, *CODECS, "telephone"), 0.95),
            "worst usual condition": 0.85,
            "calibration error": 0.02,
            "re-encoded, mean over reciters": 0.97,
            "other recordings, mean over reciters": 0.75,
        },
        n_folds=6,
        second=True,
    ),
    "random": Task(
        "12 reciters, random rows", "reciters", {**RECITERS, "split": {"method": "random"}}, {}
    ),
    "digits": Task("spoken digits, official split", "fsdd", OFFICIAL, {"clean": 0.993}),
    "speakers": Task(
        "who speaks the digits, official split", "fsdd", {**OFFICIAL, **SPEAKERS}, {"clean": 0.997}
    ),
    "strangers": Task(
        "spoken digits of a speaker left out", "fsdd", {"extract": DIGITS}, {}, n_folds=6
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Run the tasks that are asked for; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.voice", description=__doc__)
    parser.add_argument("tasks", nargs="+", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--folds", type=int, nargs="+", help="only these of the task's folds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of training")
    parser.add_argument("--model", default="cnn", help="train.model")
    parser.add_argument("--print", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    try:
        recordings()
    except NoRecordingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in options.tasks:
        key = name if options.model == "cnn" else f"{name}, {options.model}"
        runs: list[Run] = []
        with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
            own = run_task(TASKS[name], Path(folder), options.folds, options.seeds, options.model)
            for run in own:
                runs.append(run)
                if not options.print:
                    keep(key, runs)  # at once: hours of runs outlive a mistake in the last
        print(table(TASKS[name], runs), flush=True)
    return 0


def run_task(
    task: Task, folder: Path, folds: Sequence[int] | None, seeds: Sequence[int], model: str
) -> Iterator[Run]:
    """Train and score every fold with every seed; yield what each achieved."""
    pipeline = Pipeline.make(folder, recordings() / task.corpus, task.changes)
    pipeline.run_needed_by("split")
    params = folder / "params.yaml"
    change_params(params, {"train": {"model": model}})
    for fold in tqdm(folds or range(max(task.n_folds, 1)), unit="fold", disable=None):
        go_to_fold(task, pipeline, fold)
        for seed in seeds:
            change_params(params, {"train": {"seed": seed}})
            yield {"fold": fold, "seed": seed, **train_and_score(task, pipeline)}


def go_to_fold(task: Task, pipeline: Pipeline, fold: int) -> None:
    """Split anew, and make the conditions of the clips that are tested with now."""
    change_params(
        pipeline.folder / "params.yaml", {"split": {"n_folds": task.n_folds, "fold": fold}}
    )
    for stage in ("split", "extract_conditions"):
        pipeline.run(stage)


def train_and_score(task: Task, pipeline: Pipeline) -> dict[str, float]:
    """Train with params.yaml as it is now; return what the model achieved."""
    for stage in ("train_cnn", "evaluate", "measure_robustness"):
        pipeline.run(stage)
    return measures(task, pipeline.folder)


def measures(task: Task, folder: Path) -> dict[str, float]:
    """Return what one model achieved, by the measure's name."""
    test, robustness = (
        json.loads((folder / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("test", "robustness")
    )
    found = {
        "clean": test["accuracy"],
        "calibration error": test["ece"],
        "test clips taken for unknown": test["false_rejects"],
        "mean of the conditions": robustness["mean_accuracy"],
        "worst usual condition": robustness["worst_usual_accuracy"],
    }
    conditions = {
        name: said["accuracy"] for name, said in robustness["conditions"].items() if name != "clean"
    }
    found |= one_group(folder / "data" / "splits.csv", test["accuracy"])
    second = other_recordings(folder / "models" / "timbre.safetensors") if task.second else {}
    return found | conditions | second


def one_group(splits: Path, accuracy: float) -> dict[str, float]:
    """Name the accuracy after the group that was tested on, if it was one alone: a speaker."""
    with splits.open(encoding="utf-8", newline="") as file:
        groups = {row["group"] for row in csv.DictReader(file) if row["split"] == "test"}
    return {f"{ONE_GROUP}{groups.pop()}": accuracy} if len(groups) == 1 else {}


def other_recordings(model: Path) -> dict[str, float]:
    """Return the accuracy on the development set, of each kind and reciter, and their means."""
    from timbre.predict import Classifier

    classifier = Classifier.load(model)
    root = recordings() / "second"
    right: dict[str, dict[str, list[bool]]] = {kind: {} for kind in KINDS.values()}
    with (root / "filespaths.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            answer = classifier.answer(root / row["FilePath"])
            own = right[KINDS[row["Kind"]]].setdefault(row["Class"], [])
            own.append(answer.likeliest == row["Class"])
    found: dict[str, float] = {}
    for kind, reciters in right.items():
        shares = {name: statistics.mean(hits) for name, hits in sorted(reciters.items())}
        found |= {f"{kind}, {name}": share for name, share in shares.items()}
        found[f"{kind}, mean over reciters"] = statistics.mean(shares.values())
    return found


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


def keep(name: str, runs: list[Run]) -> None:
    """Put a task's runs beside its former ones of other folds and seeds; write the page anew."""
    results = read_results()
    by_place = {(run["fold"], run["seed"]): run for run in [*results.get(name, []), *runs]}
    results[name] = [by_place[place] for place in sorted(by_place)]
    text = json.dumps(results, indent=1, sort_keys=True) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


def read_results(path: Path = RESULTS) -> dict[str, list[Run]]:
    """Return the runs of each task, or variant, that has any."""
    if not path.is_file():
        return {}
    results: dict[str, list[Run]] = json.loads(path.read_text(encoding="utf-8"))
    return results


def with_tables(page: str, results: dict[str, list[Run]]) -> str:
    """Return the page with all tables between its two markers."""
    tables = (_titled(name, runs) for name, runs in results.items())
    return report.between(page, BEGIN, END, "\n\n".join(tables))


def _titled(key: str, runs: list[Run]) -> str:
    name, _, model = key.partition(", ")
    text = table(TASKS[name], runs)
    return f"With `train.model: {model}`:\n\n{text}" if model else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

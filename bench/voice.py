"""What the default settings know: `python -m bench.voice`, minutes for each training.

Trains folds and seeds of real corpora, and scores each model as the pipeline does, under all
conditions, and on the development set of other recordings. Writes bench/voice.json, and from it the
tables of docs/results.md and of the README:

    python -m bench.voice reciters --folds 3 4 5
    python -m bench.voice digits speakers --seeds 0 1

What other folds and seeds achieved before is kept beside it.
"""

import argparse
import csv
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from bench import voice_page
from bench.corpora import NoRecordingsError, recordings
from bench.voice_tasks import KINDS, ONE_GROUP, TASKS, Run, Task
from bench.workshop import REPOSITORY, Pipeline, change_params

RESULTS = REPOSITORY / "bench" / "voice.json"


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
        print(voice_page.table(TASKS[name], runs), flush=True)
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


def keep(name: str, runs: list[Run]) -> None:
    """Put a task's runs beside its former ones of other folds and seeds; write the pages anew."""
    voice_page.write_pages(merge(RESULTS, name, runs))


def merge(path: Path, name: str, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Put runs beside others of their name, in the place of those of the same fold and seed."""
    results = read_results(path)
    by_place = {(run["fold"], run["seed"]): run for run in [*results.get(name, []), *runs]}
    results[name] = [by_place[place] for place in sorted(by_place)]
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return results


def read_results(path: Path = RESULTS) -> dict[str, list[Run]]:
    """Return the runs of each task, or variant, that has any."""
    if not path.is_file():
        return {}
    results: dict[str, list[Run]] = json.loads(path.read_text(encoding="utf-8"))
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

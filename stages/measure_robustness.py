"""Measure the trained model on the test clips under each condition.

Reads model, the conditions' shards, splits and labels; writes metrics, their table and a picture:

    python -m stages.measure_robustness models/timbre.safetensors data/conditions \\
        data/splits.csv data/labels.json metrics/robustness.json plots/robustness.csv \\
        plots/robustness.png
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from timbre import command, robustness, scores
from timbre.atomic import write_json
from timbre.clips import read_divided
from timbre.condition_names import parse
from timbre.dataset import find_windows, map_dataset
from timbre.layers import Network
from timbre.model_file import ModelCard, load_model
from timbre.prediction import ask
from timbre.problems import InputError
from timbre.shards import read_index, shard_paths

BATCH_SIZE = 64  # windows at a time
# Points of accuracy below the clean clips. A model that loses more to a usual condition than one
# answer in ten has learnt the recordings along with the voices.
BEARABLE = 0.10


def main(
    model: Path,
    conditions: Path,
    splits: Path,
    labels: Path,
    robustness_json: Path,
    robustness_csv: Path,
    robustness_png: Path,
) -> None:
    """Score the model under every condition that has a folder in `conditions`."""
    network, card = load_model(model)
    table, classes = read_divided(splits, labels, ("test",))
    folders = condition_folders(conditions)
    test = measured_clips(table, folders)
    check_classes(card, classes, model, labels)
    check_features(card, model, folders)
    targets, groups = test["target"].to_numpy(), test["group"].tolist()
    measured = []
    for folder in tqdm(folders, unit="condition", disable=None):
        probs = answer(network, card, folder, test)
        predicted = scores.predict(probs)
        measured.append(robustness.measure(parse(folder.name), probs, predicted, targets, groups))
    ordered = robustness.ordered(measured)
    summary = robustness.summary(ordered, len(test), test["group"].nunique())
    write_json(summary, robustness_json)
    robustness.write_rows(ordered, robustness_csv)
    robustness.draw(ordered, robustness_png)
    print_summary(summary, len(folders))


def condition_folders(conditions: Path) -> list[Path]:
    """Return the folder of each condition; raises InputError if there is no such place."""
    if not conditions.is_dir():
        raise InputError(f"{conditions}: is missing: run dvc repro extract_conditions")
    return sorted(folder for folder in conditions.iterdir() if folder.is_dir())


def measured_clips(splits: pd.DataFrame, folders: list[Path]) -> pd.DataFrame:
    """Return the rows of `splits` whose clips were put under conditions, in the order of clip_id.

    Raises InputError if they are no test clips: that would be another split's data.
    """
    ids = set(read_index(shard_paths(folders[0])[0]).clip_ids) if folders else set()
    test = splits[(splits["split"] == "test") & splits["clip_id"].isin(ids)]
    if len(test) != len(ids):
        raise InputError(f"{folders[0]}: holds clips that are not in the test split: run dvc repro")
    return test.sort_values("clip_id").reset_index(drop=True)


def answer(
    network: Network, card: ModelCard, folder: Path, test: pd.DataFrame
) -> npt.NDArray[np.float64]:
    """Return the model's probabilities `(n_clips, n_classes)` for the test clips in a folder."""
    windows = find_windows(folder, test["clip_id"].tolist())
    answers = ask(network, map_dataset(windows, test["target"].to_numpy()), BATCH_SIZE)
    return np.asarray(answers.of_clips(card.temperature).probs, np.float64)


def check_classes(card: ModelCard, classes: list[str], model: Path, labels: Path) -> None:
    """Raise InputError if the model was trained on other classes."""
    if card.classes != classes:
        raise InputError(f"{model}: was trained on other classes than {labels} holds: retrain")


def check_features(card: ModelCard, model: Path, folders: list[Path]) -> None:
    """Raise InputError with all conditions that have other features than the model knows."""
    problems = []
    for folder in folders:
        features = read_index(shard_paths(folder)[0]).attributes
        if other := sorted(k for k, value in card.features.items() if features.get(k) != value):
            problems.append(
                f"{model}: was trained on other features than {folder} holds "
                f"({', '.join(other)}): retrain"
            )
    if problems:
        raise InputError(problems)


def print_summary(summary: Mapping[str, object], n_conditions: int) -> None:
    """Say the worst in one line, and warn where it is far below the clean clips."""
    if not n_conditions:
        print("measure_robustness: nothing measured: robustness.conditions is empty")
        return
    told = [
        f"{name} {summary[f'{key}_accuracy']:.1%}"
        + (f" ({summary[f'{key}_condition']})" if f"{key}_condition" in summary else "")
        for key, name in (
            *(("clean", "clean"), ("mean", "mean of the others")),
            *(("worst_usual", "worst"), ("worst", "worst with the extreme ones")),
        )
        if f"{key}_accuracy" in summary
    ]
    print(f"measure_robustness: {n_conditions} conditions: {', '.join(told)}")
    clean, worst = summary.get("clean_accuracy"), summary.get("worst_usual_accuracy")
    if isinstance(clean, float) and isinstance(worst, float) and clean - worst > BEARABLE:
        print(
            f"measure_robustness: warning: {summary['worst_usual_condition']} costs "
            f"{100 * (clean - worst):.0f} points: the model hears the recording, not only what "
            "the labels mean (docs/robustness.md)"
        )


if __name__ == "__main__":
    command.run(main)

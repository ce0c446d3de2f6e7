"""Measure the trained model on the test split, once, with intervals.

Reads model, spectrograms, splits and labels; writes metrics, the confusion matrix and predictions:

    python -m stages.evaluate models/timbre.safetensors data/spectrograms data/splits.csv \\
        data/labels.json metrics/test.json metrics/per_class.json plots/confusion.csv \\
        plots/confusion.png data/predictions.csv
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from timbre import command, confusion, scores
from timbre.atomic import write_json
from timbre.clips import read_classes, read_splits
from timbre.dataset import find_windows, map_dataset
from timbre.model_file import ModelCard, load_model
from timbre.params import Section, read_section
from timbre.prediction import clip_probs
from timbre.problems import InputError
from timbre.shards import read_index, shard_paths


class Evaluate(Section):
    """The section `evaluate` of params.yaml."""

    top_k: int = Field(ge=1)  # likeliest classes among which the label counts as found
    batch_size: int = Field(ge=1)  # windows at a time


def main(
    model: Path,
    spectrograms: Path,
    splits: Path,
    labels: Path,
    test_json: Path,
    per_class_json: Path,
    confusion_csv: Path,
    confusion_png: Path,
    predictions: Path,
) -> None:
    """Score the model on the test split."""
    params = read_section("evaluate", Evaluate)
    network, card = load_model(model)
    check_fits(card, model, spectrograms, labels)
    table = read_splits(splits)
    test = table[table.split == "test"].reset_index(drop=True)
    targets = test.target.to_numpy()
    dataset = map_dataset(find_windows(spectrograms, test.clip_id.tolist()), targets)
    probs = clip_probs(network, dataset, len(test), params.batch_size)
    predicted = scores.predict(probs)
    summary = scores.summary(probs, targets, test.group.tolist(), params.top_k)
    write_json(summary, test_json)
    write_json(scores.per_class(predicted, targets, card.classes), per_class_json)
    names = [card.classes[target] for target in predicted]
    confusion.write_rows(confusion.confusion_rows(test.label.tolist(), names), confusion_csv)
    matrix = confusion.count(targets, predicted, len(card.classes))
    confusion.draw(matrix, card.classes, confusion_png, "Test split")
    write_predictions(test, names, probs, card.classes, predictions)
    print_summary(summary, confusion_png)


def check_fits(card: ModelCard, model: Path, spectrograms: Path, labels: Path) -> None:
    """Raise InputError if the model was trained on other classes or other features."""
    problems = []
    if card.classes != read_classes(labels):
        problems.append(f"{model}: was trained on other classes than {labels} holds: retrain")
    features = read_index(shard_paths(spectrograms)[0]).attributes
    names = sorted({*features, *card.features})
    if other := [name for name in names if features.get(name) != card.features.get(name)]:
        problems.append(
            f"{model}: was trained on other features than {spectrograms} holds "
            f"({', '.join(other)}): retrain"
        )
    if problems:
        raise InputError(problems)


def write_predictions(
    test: pd.DataFrame,
    predicted: list[str],
    probs: npt.NDArray[np.float64],
    classes: list[str],
    path: Path,
) -> None:
    """Write one row a clip: what it is, what it was taken for, each class's probability."""
    told = test[["clip_id", "group", "label"]].assign(predicted=predicted)
    columns = pd.DataFrame(probs.round(6), columns=[f"p:{name}" for name in classes])
    pd.concat([told, columns], axis=1).to_csv(path, index=False, lineterminator="\n")


def print_summary(summary: dict[str, int | float], confusion_png: Path) -> None:
    """Say the score in one line, with its interval."""
    print(
        f"evaluate: test accuracy {summary['accuracy']:.1%} "
        f"(95 % interval {summary['accuracy_low']:.1%} to {summary['accuracy_high']:.1%}) "
        f"on {summary['n_clips']} clips of {summary['n_groups']} groups"
    )
    print(f"evaluate: confusion matrix in {confusion_png}, all scores in metrics/test.json")


if __name__ == "__main__":
    command.run(main)

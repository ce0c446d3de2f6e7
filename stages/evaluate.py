"""Measure the trained model on the test split, once, with intervals.

Reads model, spectrograms, splits and labels; writes metrics, the confusion matrix, the reliability
diagram and predictions:

    python -m stages.evaluate models/timbre.safetensors data/spectrograms data/splits.csv \\
        data/labels.json metrics/test.json metrics/per_class.json plots/confusion.csv \\
        plots/confusion.png plots/reliability.csv plots/reliability.png data/predictions.csv
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from timbre import command, confusion, intervals, reliability, roc, scores
from timbre.agreement import check_fits
from timbre.answers import clip_probs
from timbre.atomic import replacing, write_json
from timbre.clips import read_divided
from timbre.columns import SEEN, UNKNOWN
from timbre.dataset import find_windows
from timbre.held_out import HeldOut
from timbre.layers import Network
from timbre.model_file import ModelCard, load_model
from timbre.params import read_section
from timbre.prediction import ask
from timbre.streaming import map_or_stream

Metrics = dict[str, int | float]


class Evaluate(HeldOut):
    """The section `evaluate` of params.yaml."""

    top_k: int = Field(ge=1)  # likeliest classes among which the label counts as found
    batch_size: int = Field(ge=1)  # windows at a time


@dataclass(frozen=True)
class Told:
    """Clips of one split, or of several, and what the model says of them."""

    clips: pd.DataFrame  # rows of splits.csv
    probs: npt.NDArray[np.float64]  # (n_clips, n_classes), calibrated
    raw: npt.NDArray[np.float64]  # (n_clips, n_classes), at temperature 1
    known: npt.NDArray[np.float64]  # (n_clips,), the rejection's scores

    def of(self, split: str) -> "Told":
        """Return the part that is of one split."""
        own = (self.clips["split"] == split).to_numpy()
        clips = self.clips[own].reset_index(drop=True)
        return Told(clips, self.probs[own], self.raw[own], self.known[own])

    def correct(self, probs: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Tell which clips have their own class for the likeliest in `probs`."""
        return np.asarray(scores.predict(probs) == self.clips["target"].to_numpy())


def main(
    model: Path,
    spectrograms: Path,
    splits: Path,
    labels: Path,
    test_json: Path,
    per_class_json: Path,
    confusion_csv: Path,
    confusion_png: Path,
    reliability_csv: Path,
    reliability_png: Path,
    predictions: Path,
) -> None:
    """Score the model on the test split."""
    params = read_section("evaluate", Evaluate)
    network, card = load_model(model)
    table, classes = read_divided(splits, labels, ("test",))
    check_fits(card, classes, model, spectrograms, labels)
    asked = table[table["split"].isin(["test", SEEN, UNKNOWN])].reset_index(drop=True)
    told = tell(network, card, asked, spectrograms, params.batch_size)
    test = told.of("test")
    summary = summarise(told, card, params.top_k)
    write_json(summary, test_json)
    targets, predicted = test.clips["target"].to_numpy(), scores.predict(test.probs)
    write_json(scores.per_class(predicted, targets, card.classes), per_class_json)
    names = [card.classes[target] for target in predicted]
    rows = confusion.confusion_rows(test.clips["label"].tolist(), names)
    confusion.write_rows(rows, confusion_csv)
    matrix = confusion.count(targets, predicted, len(card.classes))
    confusion.draw(matrix, card.classes, confusion_png, "Test split")
    before, after = (
        reliability.bins(probs.max(axis=1), test.correct(probs)) for probs in (test.raw, test.probs)
    )
    reliability.write_rows(reliability.rows(before, after), reliability_csv)
    reliability.draw(before, after, reliability_png)
    write_predictions(told, card, predictions)
    print_summary(summary, confusion_png)


def tell(
    network: Network, card: ModelCard, clips: pd.DataFrame, spectrograms: Path, batch_size: int
) -> Told:
    """Ask the model about clips, rows of splits.csv."""
    windows = find_windows(spectrograms, clips["clip_id"].tolist())
    answers = ask(network, map_or_stream(windows, clips["target"].to_numpy()), batch_size)
    found = answers.of_clips(card.temperature)
    raw = clip_probs(answers.logits, answers.clip, 1.0)
    known = card.rejection.scores(found)
    return Told(clips, *(np.asarray(array, np.float64) for array in (found.probs, raw, known)))


def summarise(told: Told, card: ModelCard, top_k: int) -> Metrics:
    """Return the content of metrics/test.json."""
    test = told.of("test")
    targets, groups = test.clips["target"].to_numpy(), test.clips["group"].tolist()
    summary = scores.summary(test.probs, targets, groups, top_k)
    error, uncalibrated = (
        reliability.expected_calibration_error(probs.max(axis=1), test.correct(probs))
        for probs in (test.probs, test.raw)
    )
    rejected = 1 - float(card.rejection.accepts(test.known).mean())
    more = {"ece": error, "ece_uncalibrated": uncalibrated, "false_rejects": rejected}
    more |= random_rows(told.of(SEEN)) | unknowns(test, told.of(UNKNOWN), card)
    return summary | {name: round(value, scores.DIGITS) for name, value in more.items()}


def random_rows(seen: Told) -> dict[str, float]:
    """Return the accuracy on clips whose groups were trained on: that of a split of random rows."""
    if not len(seen.clips):
        return {}
    correct = seen.correct(seen.probs)
    limits = intervals.accuracy_interval(correct, seen.clips["group"].tolist())
    return {
        "random_rows_accuracy": float(correct.mean()),
        "random_rows_accuracy_low": limits.low,
        "random_rows_accuracy_high": limits.high,
    }


def unknowns(test: Told, unknown: Told, card: ModelCard) -> dict[str, float]:
    """Return how well clips of classes that were held out are told from the test clips."""
    if not len(unknown.clips):
        return {}
    threshold = card.rejection.threshold
    return {
        "unknown_auroc": roc.auroc(test.known, unknown.known),
        "unknown_false_accepts": roc.false_accepts(unknown.known, threshold),
        "unknown_false_accepts_at_95": roc.false_accepts_at(test.known, unknown.known),
    }


def write_predictions(told: Told, card: ModelCard, path: Path) -> None:
    """Write one row a clip: what it is, what it was taken for, each class's probability."""
    names = [card.classes[target] for target in scores.predict(told.probs)]
    rows = told.clips[["clip_id", "split", "group", "label"]].assign(
        predicted=names,
        known_score=told.known.round(scores.DIGITS),
        accepted=card.rejection.accepts(told.known),
    )
    columns = [f"p:{name}" for name in card.classes]
    probs = pd.DataFrame(told.probs.round(scores.DIGITS), columns=columns)
    with replacing(path) as temporary:
        pd.concat([rows, probs], axis=1).to_csv(temporary, index=False, lineterminator="\n")


def print_summary(summary: Metrics, confusion_png: Path) -> None:
    """Say the score in one line, with its interval, and what stands beside it in others."""
    print(
        f"evaluate: test accuracy {shown(summary, 'accuracy')} "
        f"on {summary['n_clips']} clips of {summary['n_groups']} groups"
    )
    if "random_rows_accuracy" in summary:
        print(
            f"evaluate: random rows would have shown {shown(summary, 'random_rows_accuracy')}: "
            "clips of groups that were trained on"
        )
    print(
        f"evaluate: calibration error {summary['ece']:.1%}, without temperature "
        f"{summary['ece_uncalibrated']:.1%}; {summary['false_rejects']:.1%} of the test clips "
        "taken for unknown"
    )
    if "unknown_auroc" in summary:
        print(
            f"evaluate: unknown classes: AUROC {summary['unknown_auroc']:.3f}, "
            f"{summary['unknown_false_accepts']:.1%} of their clips taken for known"
        )
    print(f"evaluate: confusion matrix in {confusion_png}, all scores in metrics/test.json")


def shown(summary: Metrics, name: str) -> str:
    """Return a score with its interval."""
    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    return f"{summary[name]:.1%} (95 % interval {low:.1%} to {high:.1%})"


if __name__ == "__main__":
    command.run(main)

"""A small pipeline that has run as far as the page needs it, with hostile and Arabic names."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_model
import soundfile
import yaml
from commands import run
from conftest import write_wav

from stages import evaluate, inspect_clips
from timbre import curves
from timbre.clips import read_clips, write_splits
from timbre.curves import Epoch
from timbre.model_file import load_model, save_model

HOSTILE = '</script><script>alert("x")</script>\'&{{ 7 * 7 }}`'
ARABIC = "وَاحِد"
PLAIN = "high"
NAMES = (HOSTILE, ARABIC, PLAIN)
ATTRIBUTE = '"><img src=x onerror=alert(1)>'  # of a file's name
INSPECT = {
    "max_clips": 40,
    "unsure_below": 0.6,
    "neighbours": 3,
    "max_seconds": 10.0,
    "max_mb": 12.0,
}
SPLIT: dict[str, Any] = {"method": "grouped", "leaks": {"audio": 0, "group": 0}}
UNDER: dict[str, Any] = {
    "clean_accuracy": 0.8,
    "worst_usual_accuracy": 0.6,
    "worst_usual_condition": "telephone",
    "conditions": {
        "clean": {"accuracy": 0.8, "low": 0.7, "high": 0.9},
        "telephone": {"accuracy": 0.6, "low": 0.5, "high": 0.7},
        "babble_0db": {"accuracy": 0.3, "low": 0.2, "high": 0.4},
    },
}
EVALUATE = {
    "unknown": [],
    "unknown_folds": 0,
    "unknown_fold": 0,
    "top_k": 1,
    "batch_size": 64,
}


@dataclass(frozen=True)
class Place:
    """The files that the stage reads, in the order of its command, and its page."""

    folder: Path

    def arguments(self) -> list[Path]:
        names = (
            *("corpus", "clips.csv", "splits.csv", "labels.json", "spectrograms"),
            *("m.safetensors", "split.json", "test.json", "robustness.json"),
            *("learning_curves.csv", "reliability.csv", "report.html"),
        )
        return [self.folder / name for name in names]

    @property
    def page(self) -> Path:
        return self.folder / "report.html"


def write_params(**changes: float) -> None:
    """Write params.yaml with these values of the section `inspect`."""
    Path("params.yaml").write_text(
        yaml.safe_dump({"inspect": INSPECT | changes, "evaluate": EVALUATE})
    )


def write_corpus(corpus: Path) -> None:
    """Write three clips of each of three classes, told apart by a tone."""
    rows = [["FilePath", "Class", "Group"]]
    for seed, label in enumerate(NAMES):
        for n, (seconds, rate, n_channels) in enumerate(small_model.RECORDINGS):
            name = f"{seed}/{ATTRIBUTE if n == 1 else ''}{n}.wav"
            path = write_wav(corpus / name, seconds, rate, 10 * seed + n, n_channels)
            samples, _ = soundfile.read(path, always_2d=True)
            tone = np.sin(2 * np.pi * 300 * 3**seed * np.arange(len(samples)) / rate)
            soundfile.write(path, samples + 0.1 * tone[:, None], rate, subtype="PCM_16")
            rows.append([name, label, f"{HOSTILE} {n}"])
    with (corpus / "filespaths.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def make_place(folder: Path) -> Place:
    """Train a small model in `folder`, the current one, and write what was measured of it."""
    original = small_model.write_corpus
    small_model.write_corpus = write_corpus
    try:
        small_model.train(folder, "all")
    finally:
        small_model.write_corpus = original
    network, card = load_model(folder / "m.safetensors")
    save_model(folder / "m.safetensors", network, replace(card, trained={"best_epoch": 2}))
    write_params()
    clips = read_clips(folder / "clips.csv")
    split = ["train" if "2.wav" in path else "test" for path in clips["path"]]
    swapped = clips["target"].where(clips["clip_id"] != clips["clip_id"][0], 1)  # a wrong label
    labels = [card.classes[target] for target in swapped]
    table = clips[["clip_id", "group"]].assign(label=labels, target=swapped, split=split)
    write_splits(pd.DataFrame(table), folder / "splits.csv")
    for name, content in (("split", SPLIT), ("robustness", UNDER)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    epochs = [Epoch(n, 1 / n, 0.5, 1.1 / n, 0.4, 0.01) for n in (1, 2, 3)]
    curves.write_csv(epochs, folder / "learning_curves.csv")
    names = (
        *(
            "m.safetensors",
            "spectrograms",
            "splits.csv",
            "labels.json",
            "test.json",
            "classes.json",
        ),
        *("confusion.csv", "confusion.png", "reliability.csv", "reliability.png", "answers.csv"),
    )
    evaluate.main(*(folder / name for name in names))
    return Place(folder)


def finished_place(folder: Path) -> Place:
    """A small pipeline with its page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TIMBRE_JOBS", "1")
        place = make_place(folder)
        assert run(inspect_clips.main, *place.arguments()).code == 0
    return place

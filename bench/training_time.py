"""How soon a training is good, and whether it is as good as the plain one: runs of many minutes."""

import csv
import shutil
import statistics
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import ours
from bench.figures import Figure, ratio_figure, value_figure
from bench.pairs import Side, compare
from bench.plain_training import Augmented, Items, loader, train_steps
from bench.plain_training import accuracy as plain_accuracy
from bench.spectrograms import open_split, plain_items, reciters
from bench.training import notebook_network, plain_network
from bench.workshop import Changes, Pipeline, Workshop, stage_environment

if TYPE_CHECKING:
    from timbre.dataset import SpectrogramDataset

WANTED = 0.966  # validation accuracy: what the notebook reports on random rows
LEAST_RATIO = 25.0
MOST_EPOCHS = 25  # the notebook's own number
LAST_EPOCHS = 3  # whose mean accuracy is compared: a single epoch's swings
MARGIN_POINTS = -0.5
POLL_SECONDS = 0.02
# Nothing of what other recordings do to a voice.
OFF = ("equalise_db", "noise", "babble", "reverb", "distortion", "gate", "band_limit")
NO_IMITATION: Changes = {"train": dict.fromkeys((*OFF, "raise_floor", "crop", "speed"), 0.0)}


def time_to_accuracy(workshop: Workshop) -> list[Figure]:
    """Compare the time to the notebook's accuracy: train_cnn from process start, and its recipe."""
    wanted = 0.1 if workshop.quick else WANTED
    pipeline = reciters(workshop, workshop.new_folder("time_to_accuracy"))
    train, val = (plain_items(open_split(pipeline, name)) for name in ("train", "val"))
    baseline = Side(partial(notebook_until, train, val, wanted))
    mine = Side(partial(stage_until, pipeline, wanted))
    found = compare(baseline, mine, workshop.pairs(2), warm_up=False)
    name = f"time to {wanted:.1%} on validation"
    return [ratio_figure(name, "notebook's recipe", found, unit="s", target=LEAST_RATIO)]


def time_without_imitation(workshop: Workshop) -> list[Figure]:
    """Time the same without what makes other recordings heard: what that costs at the start."""
    wanted = 0.1 if workshop.quick else WANTED
    folder = workshop.new_folder("time_without_imitation")
    pipeline = reciters(workshop, folder, NO_IMITATION)
    seconds = [stage_until(pipeline, wanted) for _ in range(workshop.pairs(3))]
    return [value_figure(f"time to {wanted:.1%} on validation, nothing imitated", seconds, "s")]


def notebook_until(train: Items, val: Items, wanted: float) -> float:
    """Train by the notebook's recipe; return the seconds until validation is good enough.

    The arrays are in memory already, and no process has to start.
    """
    start = time.perf_counter()
    network, optimizer = notebook_network(train)
    for epoch in range(MOST_EPOCHS):
        train_steps(network, optimizer, iter(loader(train, epoch)))
        if plain_accuracy(network, val) >= wanted:
            return time.perf_counter() - start
    raise RuntimeError(f"the notebook's recipe did not reach {wanted:.1%}")


def stage_until(pipeline: Pipeline, wanted: float) -> float:
    """Run train_cnn; return the seconds until its curves show an epoch that is good enough."""
    curves = pipeline.folder / "plots" / "learning_curves.csv"
    curves.unlink(missing_ok=True)
    shutil.rmtree(pipeline.folder / ".timbre", ignore_errors=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        pipeline.command("train_cnn"),
        cwd=pipeline.folder,
        env=stage_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while best_accuracy(curves) < wanted:
            if process.poll() is not None and best_accuracy(curves) < wanted:
                raise RuntimeError(f"train_cnn ended before it reached {wanted:.1%}")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


def best_accuracy(curves: Path) -> float:
    """Return the best validation accuracy written so far."""
    if not curves.is_file():
        return 0.0
    with curves.open(encoding="utf-8", newline="") as file:
        return max((float(row["val_accuracy"] or 0) for row in csv.DictReader(file)), default=0.0)


def accuracy(workshop: Workshop) -> list[Figure]:
    """Compare validation accuracy with that of the plain float32 loop, paired by seed."""
    pipeline = reciters(workshop, workshop.new_folder("accuracy"))
    n_epochs = workshop.size(12, 3)
    differences = []
    for seed in range(workshop.pairs(3)):
        own = ours_accuracy(pipeline, seed, n_epochs)
        differences.append(100 * (own - eager_accuracy(pipeline, seed, n_epochs)))
    name = f"validation accuracy after {n_epochs} epochs, less that of the plain float32 loop"
    return [value_figure(name, differences, "points", target=MARGIN_POINTS, target_is="at least")]


def ours_accuracy(pipeline: Pipeline, seed: int, n_epochs: int) -> float:
    """Train as train_cnn does, but at a constant rate; return the last epochs' mean accuracy."""
    return last_accuracy(pipeline, open_split(pipeline, "train"), seed, n_epochs)


def last_accuracy(
    pipeline: Pipeline, train: "SpectrogramDataset", seed: int, n_epochs: int
) -> float:
    """Train so on this training split; return the last epochs' mean accuracy on validation."""
    run = ours.training(pipeline.folder, train, open_split(pipeline, "val"), seed)
    found = []
    for number in range(1, n_epochs + 1):
        ours.train_epoch(run, number)
        found.append(ours.val_accuracy(run))
    return statistics.mean(found[-LAST_EPOCHS:])


def eager_accuracy(pipeline: Pipeline, seed: int, n_epochs: int) -> float:
    """Train the same network from the same weights in a plain loop; return the same mean."""
    train, val = (plain_items(open_split(pipeline, name)) for name in ("train", "val"))
    network, optimizer = plain_network(pipeline.folder, seed)
    changes = ours.default_augmentation(pipeline.folder)
    found = []
    for epoch in range(n_epochs):
        number = 1000 * seed + epoch
        items = Augmented(train, changes, number)
        train_steps(network, optimizer, iter(loader(items, number)))
        found.append(plain_accuracy(network, val))
    return statistics.mean(found[-LAST_EPOCHS:])

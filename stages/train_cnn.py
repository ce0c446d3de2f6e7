"""Train the network on the training split; keep the epoch that does best on validation.

Reads spectrograms, splits and labels; writes the model, its metrics and its learning curves:

    python -m stages.train_cnn data/spectrograms data/splits.csv data/labels.json \\
        models/timbre.safetensors metrics/train.json plots/learning_curves.csv \\
        plots/learning_curves.png

A killed run goes on after its last whole epoch and ends with the bytes of an uninterrupted one.
With `train.processes` this starts itself that many times, or joins those that torchrun started.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from timbre import curves, ranks
from timbre.atomic import write_json
from timbre.augmentation import Augmentation
from timbre.clips import read_split_clips
from timbre.confidence import measure_confidence
from timbre.dataset import SpectrogramDataset, mean_and_std
from timbre.device import choose_device, choose_precision, room_told
from timbre.fingerprint import fingerprint_of
from timbre.gpus import spread
from timbre.handover import deliver
from timbre.launcher import count_processes, start_processes
from timbre.model_file import ModelCard, save_model
from timbre.networks import build_network, n_parameters
from timbre.params import read_section
from timbre.problems import InputError
from timbre.schedule import learning_rate
from timbre.shards import read_index, shard_paths
from timbre.team import Team, is_rank, join_team
from timbre.trainer import Trainer, balanced_weights
from timbre.training import Training
from timbre.training_data import TrainingData, open_splits
from timbre.training_settings import Train, augmentation, network_sizes

STAGING = Path(".timbre/train_cnn")
PICTURE_SECONDS = 10.0  # between two pictures: one takes a tenth of a second, an epoch maybe one


class Files(NamedTuple):
    """What the stage reads and writes."""

    spectrograms: Path
    splits: Path
    labels: Path
    model: Path
    metrics: Path
    curves_csv: Path
    curves_png: Path


def main(
    spectrograms: Path,
    splits: Path,
    labels: Path,
    model: Path,
    metrics: Path,
    curves_csv: Path,
    curves_png: Path,
) -> None:
    """Train, and write the model with its metrics and curves; in several processes, if wanted."""
    params = read_section("train", Train)
    device = choose_device(params.device)
    n = count_processes(params.processes, params.batch_size, device, compiled=params.compile)
    files = Files(spectrograms, splits, labels, model, metrics, curves_csv, curves_png)
    if is_rank():
        train_network(params, join_team(device), files)
    elif n > 1:
        start_processes(n, "stages.train_cnn", files)
    else:
        train_network(params, Team(device=spread(device)), files)


def train_network(params: Train, team: Team, files: Files) -> None:
    """Do a process's part of the training; the one that leads writes what comes of it."""
    device, size = team.device, params.batch_size
    precision = choose_precision(params.precision, device)
    shared = f", {team.size} processes" if team.size > 1 else ""
    where = f"{device.type} {precision}{shared}".replace("torch.", "")
    shards = shard_paths(files.spectrograms)
    features = read_index(shards[0]).attributes
    (learned, measured), classes = read_split_clips(files.splits, files.labels, ("train", "val"))
    data = open_splits(learned, measured, files.spectrograms, params.memory_gb, size, device, team)
    check_batch_size(size, len(data.train))
    torch.manual_seed(params.seed)
    sizes = network_sizes(params, len(classes), *data.train.table.shape)
    network = build_network(params.model, **sizes)
    if team.leads:  # and tells the others
        network.normalise.set_statistics(*mean_and_std(data.train))
    try:
        changes = augmentation(params, features)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise InputError(f"{shards[0]}: unusable features ({error}): run `dvc repro`") from None
    inputs = [*shards, files.splits, files.labels, Path(__file__)]
    fingerprint = fingerprint_of(inputs, f"{params!r} {where}")
    team.check_same(fingerprint)
    training = plan(params, network, len(classes), data, team, precision, changes)
    lower = "halve it, then lower train.memory_gb"
    with room_told("train.batch_size", device, f"{size} windows at a time", lower):
        fit(training, fingerprint, files)
        team.leave()
        if not team.leads:
            return
        # Again: one that goes on after its last epoch shows none, and DVC has deleted the file.
        curves.write_csv(training.epochs, files.curves_csv)
        draw_curves(training, files.curves_png)
        network.load_state_dict(training.best_weights)
        temperature, rejection = measure_confidence(network, data.train, data.val, size)
    known = {"parameters": n_parameters(network), "temperature": round(temperature, 6)}
    summary = training.summary() | known
    trained = {**params.model_dump(), **summary, "on": where}
    card = ModelCard(
        classes, params.model, sizes, features, trained, fingerprint, temperature, rejection
    )
    save_model(files.model, network, card)
    write_json(summary, files.metrics)
    deliver(STAGING)
    print_summary(summary)


def fit(training: Training, fingerprint: str, files: Files) -> None:
    """Train, and show each epoch as it ends."""
    drawn = time.monotonic()

    def show_epoch() -> None:
        nonlocal drawn
        curves.write_csv(training.epochs, files.curves_csv)
        if time.monotonic() - drawn > PICTURE_SECONDS:
            draw_curves(training, files.curves_png)
            drawn = time.monotonic()

    training.fit(STAGING / "checkpoint.safetensors", fingerprint, show_epoch)


def draw_curves(training: Training, path: Path) -> None:
    """Draw the epochs so far."""
    overfitting = curves.overfitting_epoch(training.epochs)
    curves.draw(training.epochs, training.best_epoch, overfitting, path)


def plan(
    params: Train,
    network: nn.Module,
    n_classes: int,
    data: TrainingData,
    team: Team,
    precision: torch.dtype,
    changes: Augmentation,
) -> Training:
    """Put the training together from its settings."""
    network.to(team.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if params.compile:
        mode = "reduce-overhead" if team.device.type == "cuda" else None
        network.compile(mode=mode, dynamic=False)
    joined = team.join(network)
    algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[params.optimizer]
    optimizer = algorithm(
        network.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True
    )
    trainer = Trainer(
        network=network,
        optimizer=optimizer,
        device=team.device,
        precision=precision,
        class_weights=class_weights(params.class_weights, data.train, n_classes).to(team.device),
        label_smoothing=params.label_smoothing,
        max_grad_norm=params.max_grad_norm,
        team=team,
        joined=joined,
    )
    return Training(
        trainer=trainer,
        train=data.train,
        val=data.part,
        batch_size=params.batch_size,
        n_epochs=params.epochs,
        patience=params.patience,
        seed=params.seed,
        learning_rate=partial(
            learning_rate, peak=params.lr, schedule=params.schedule, warmup=params.warmup
        ),
        augmentation=changes,
        ramp_epochs=int(params.ramp * params.epochs),
    )


def class_weights(kind: str, train: SpectrogramDataset, n_classes: int) -> torch.Tensor:
    """Return the weight of each class in the loss `(n_classes,)`."""
    if kind == "none":
        return torch.ones(n_classes)
    return balanced_weights(torch.bincount(train.targets.cpu(), minlength=n_classes))


def check_batch_size(batch_size: int, n_windows: int) -> None:
    """Raise InputError if the training split does not fill one batch."""
    if batch_size > n_windows:
        raise InputError(
            f"params.yaml: train.batch_size: {batch_size} is more than the {n_windows} windows of "
            "the training split: lower it"
        )


def print_summary(summary: dict[str, Any]) -> None:
    """Say in one line how the training went, in another what was overfitted."""
    print(
        f"train_cnn: best epoch {summary['best_epoch']} of {summary['epochs']}: "
        f"validation accuracy {summary['val_accuracy']:.1%}, loss {summary['val_loss']:.3f}; "
        f"{summary['parameters']:,} parameters"
    )
    if summary["overfitting_from"]:
        print(
            f"train_cnn: overfitting from epoch {summary['overfitting_from']}: validation loss "
            "rises while training loss falls; the best epoch was kept"
        )


if __name__ == "__main__":
    ranks.run(main)

"""Train the network on the training split; keep the epoch that does best on validation.

Reads spectrograms, splits and labels; writes the model, its metrics and its learning curves:

    python -m stages.train_cnn data/spectrograms data/splits.csv data/labels.json \\
        models/timbre.safetensors metrics/train.json plots/learning_curves.csv \\
        plots/learning_curves.png

A killed run goes on after its last whole epoch and ends with the bytes of an uninterrupted one.
"""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from pydantic import Field, StrictBool
from torch import nn

from timbre import command, curves
from timbre.atomic import write_json
from timbre.augmentation import Augmentation
from timbre.channel import IMITATIONS, Channel
from timbre.clips import read_divided
from timbre.confidence import measure_confidence
from timbre.dataset import (
    SpectrogramDataset,
    find_windows,
    load_dataset,
    map_dataset,
    mean_and_std,
)
from timbre.device import choose_device, choose_precision, room_told
from timbre.fingerprint import fingerprint_of
from timbre.gpus import spread
from timbre.handover import deliver
from timbre.model_file import ModelCard, save_model
from timbre.networks import build_network, n_parameters
from timbre.params import Section, read_section
from timbre.problems import InputError
from timbre.schedule import learning_rate
from timbre.shards import read_index, shard_paths
from timbre.trainer import Trainer, balanced_weights
from timbre.training import Training

STAGING = Path(".timbre/train_cnn")
PICTURE_SECONDS = 10.0  # between two pictures: one takes a tenth of a second, an epoch maybe one


class Train(Section):
    """The section `train` of params.yaml."""

    model: Literal["cnn", "resnet", "notebook"]
    channels: list[int] = Field(min_length=1, max_length=6)  # of each convolution block
    stride: int = Field(ge=1, le=4)  # of the first convolution, both directions
    pool: int = Field(ge=1, le=4)  # of each block's max-pooling, both directions
    hidden: list[int] = Field(max_length=6)  # widths of the fully connected layers
    dropout: float = Field(ge=0, lt=1)  # share of their outputs dropped
    optimizer: Literal["adam", "adamw"]
    lr: float = Field(gt=0, le=1)  # learning rate at its highest
    schedule: Literal["constant", "cosine"]
    warmup: float = Field(ge=0, lt=1)  # share of all steps in which the rate rises
    weight_decay: float = Field(ge=0, le=1)
    max_grad_norm: float = Field(gt=0)  # longer gradients are shortened to it
    batch_size: int = Field(ge=2)  # windows a step
    epochs: int = Field(ge=1)  # at most
    patience: int = Field(ge=0)  # epochs without a better validation loss; 0: never stop early
    label_smoothing: float = Field(ge=0, lt=1)
    class_weights: Literal["none", "balanced"]
    mask_bands: int = Field(ge=0)  # SpecAugment: widest run of silenced mel bands; 0: off
    mask_frames: int = Field(ge=0)  # SpecAugment: longest run of silenced frames; 0: off
    n_masks: int = Field(ge=1)  # runs of each kind
    shift_frames: int = Field(ge=0)  # farthest shift in time; 0: off
    mixup: float = Field(ge=0)  # alpha of mixup's Beta distribution; 0: off
    equalise_db: float = Field(ge=0, le=20)  # spread of random equalisation; 0: off
    noise: float = Field(ge=0, le=1)  # share of the windows with noise added, as all down to crop
    babble: float = Field(ge=0, le=1)  # other windows of the batch as background
    reverb: float = Field(ge=0, le=1)
    distortion: float = Field(ge=0, le=1)  # noise that follows the signal, as clipping, codecs add
    gate: float = Field(ge=0, le=1)  # weak cells dropped, as by a codec
    band_limit: float = Field(ge=0, le=1)  # high bands lost, or both ends as by a telephone
    raise_floor: float = Field(ge=0, le=1)
    crop: float = Field(ge=0, le=1)  # a shorter clip
    speed: float = Field(ge=0, le=0.5)  # farthest change of speed, as a share; 0: off
    ramp: float = Field(ge=0, lt=1)  # share of the epochs in which all that grows to full strength
    seed: int = Field(ge=0)
    device: str = Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    precision: Literal["auto", "float32", "bfloat16"]
    compile: StrictBool  # by torch.compile: a minute at the start, for long trainings on a GPU
    memory_gb: float = Field(gt=0)  # a split larger than this is read from disk, batch by batch


def main(
    spectrograms: Path,
    splits: Path,
    labels: Path,
    model: Path,
    metrics: Path,
    curves_csv: Path,
    curves_png: Path,
) -> None:
    """Train, and write the model with its metrics and curves."""
    params = read_section("train", Train)
    device = spread(choose_device(params.device))
    precision = choose_precision(params.precision, device)
    where = f"{device.type} {precision}".replace("torch.", "")
    shard = shard_paths(spectrograms)[0]
    features = read_index(shard).attributes
    table, classes = read_divided(splits, labels, ("train", "val"))
    train = load_split(table, "train", spectrograms, params.memory_gb, device)
    val = load_split(table, "val", spectrograms, params.memory_gb, device)
    check_batch_size(params.batch_size, len(train))
    torch.manual_seed(params.seed)
    sizes = network_sizes(params, len(classes), train)
    network = build_network(params.model, **sizes)
    network.normalise.set_statistics(*mean_and_std(train))
    try:
        changes = augmentation(params, features)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise InputError(f"{shard}: unusable features ({error}): run `dvc repro`") from None
    training = plan(params, network, len(classes), train, val, device, precision, changes)
    inputs = [*shard_paths(spectrograms), splits, labels, Path(__file__)]
    fingerprint = fingerprint_of(inputs, f"{params!r} {where}")
    drawn = time.monotonic()

    def show_epoch() -> None:
        nonlocal drawn
        curves.write_csv(training.epochs, curves_csv)
        if time.monotonic() - drawn > PICTURE_SECONDS:
            draw_curves(training, curves_png)
            drawn = time.monotonic()

    size, lower = params.batch_size, "halve it, then lower train.memory_gb"
    with room_told("train.batch_size", device, f"{size} windows at a time", lower):
        training.fit(STAGING / "checkpoint.safetensors", fingerprint, show_epoch)
        curves.write_csv(training.epochs, curves_csv)  # again: a run may be killed before this
        draw_curves(training, curves_png)
        network.load_state_dict(training.best_weights)
        temperature, rejection = measure_confidence(network, train, val, size)
    measured = {"parameters": n_parameters(network), "temperature": round(temperature, 6)}
    summary = training.summary() | measured
    trained = {**params.model_dump(), **summary, "on": where}
    card = ModelCard(
        classes, params.model, sizes, features, trained, fingerprint, temperature, rejection
    )
    save_model(model, network, card)
    write_json(summary, metrics)
    deliver(STAGING)
    print_summary(summary)


def draw_curves(training: Training, path: Path) -> None:
    """Draw the epochs so far."""
    overfitting = curves.overfitting_epoch(training.epochs)
    curves.draw(training.epochs, training.best_epoch, overfitting, path)


def load_split(
    splits: pd.DataFrame, name: str, spectrograms: Path, memory_gb: float, device: torch.device
) -> SpectrogramDataset:
    """Open one split's windows, and bring them to the device if they fit."""
    own = splits[splits.split == name]
    table = find_windows(spectrograms, own.clip_id.tolist())
    targets = own.target.to_numpy()
    if table.n_bytes() > memory_gb * 1e9:
        return map_dataset(table, targets)
    lower = f"lower it below {table.n_bytes() / 1e9:.3g}, and they are read from disk"
    with room_told("train.memory_gb", device, f"the windows of split {name}", lower):
        return load_dataset(table, targets, device)


def network_sizes(params: Train, n_classes: int, train: SpectrogramDataset) -> dict[str, Any]:
    """Return the values that the network's constructor takes."""
    n_mels, n_frames = train.table.shape
    shape = {"n_classes": n_classes, "n_mels": n_mels}
    if params.model == "notebook":
        return {**shape, "n_frames": n_frames}
    if params.model == "resnet":
        return {**shape, "dropout": params.dropout}
    shrink = params.stride * params.pool ** len(params.channels)
    if min(n_mels, n_frames) < shrink:
        raise InputError(
            f"params.yaml: train.pool, train.stride: nothing is left of a {n_mels} x {n_frames} "
            f"spectrogram that is made {shrink} times smaller: lower them, or use fewer channels"
        )
    names = ("channels", "stride", "pool", "hidden", "dropout")
    return {**shape, **params.model_dump(include=set(names))}


def plan(
    params: Train,
    network: nn.Module,
    n_classes: int,
    train: SpectrogramDataset,
    val: SpectrogramDataset,
    device: torch.device,
    precision: torch.dtype,
    changes: Augmentation,
) -> Training:
    """Put the training together from its settings."""
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if params.compile:
        network.compile(mode="reduce-overhead" if device.type == "cuda" else None, dynamic=False)
    algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[params.optimizer]
    optimizer = algorithm(
        network.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True
    )
    trainer = Trainer(
        network=network,
        optimizer=optimizer,
        device=device,
        precision=precision,
        class_weights=class_weights(params.class_weights, train, n_classes).to(device),
        label_smoothing=params.label_smoothing,
        max_grad_norm=params.max_grad_norm,
    )
    return Training(
        trainer=trainer,
        train=train,
        val=val,
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


def augmentation(params: Train, features: Mapping[str, str | int | float]) -> Augmentation:
    """Return the changes to training windows that were extracted with `features`."""
    floor_db = -float(features["top_db"])
    channel = Channel(
        **params.model_dump(include=set(IMITATIONS)),
        floor_db=floor_db,
        hop_seconds=int(features["hop_length"]) / int(features["sample_rate"]),
        mel_range=(float(features["fmin"]), float(features["fmax"])),
    )
    names = ("n_masks", "mask_bands", "mask_frames", "shift_frames", "mixup")
    return Augmentation(channel=channel, floor_db=floor_db, **params.model_dump(include=set(names)))


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
    command.run(main)

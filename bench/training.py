"""Clips a second in training: Timbre, a plain loop with its network, and the notebook."""

import itertools
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from bench import ours
from bench.figures import Figure, ratio_figure
from bench.pairs import Side, compare
from bench.plain_training import (
    BATCH_SIZE,
    Augmented,
    GzipItems,
    Item,
    Items,
    loader,
    train_steps,
    write_gzip,
)
from bench.spectrograms import open_split, plain_items, reciters
from bench.workshop import Workshop, params
from timbre.networks import NotebookCNN

PLAIN = "the same network, eager float32, plain DataLoader"
NOTEBOOK_RATIO, EAGER_RATIO = 40.0, 4.0
NOTEBOOK_RATE = 1e-4  # Adam's, in the notebook


def training(workshop: Workshop) -> list[Figure]:
    """Compare epochs of training; the slow sides take some steps of one."""
    pipeline = reciters(workshop, workshop.new_folder("training"))
    train = open_split(pipeline, "train")
    items = plain_items(train)
    run = ours.training(pipeline.folder, train, open_split(pipeline, "val"))
    numbers = itertools.count(1)
    mine = Side(lambda: ours.train_epoch(run, next(numbers)), len(train))
    bare = ours.without_changes(run)
    mine_bare = Side(lambda: ours.train_epoch(bare, next(numbers)), len(train))
    few, more = workshop.size(3, 1), workshop.size(20, 2)
    packed = pipeline.folder / "items.h5"
    write_gzip(packed, items.log_mel, items.targets)

    def eager(source: Dataset[Item]) -> Side:
        return plain_side(*plain_network(pipeline.folder), source, more)

    def changed(source: Items | GzipItems) -> Dataset[Item]:
        return Augmented(source, run.augmentation, seed=0)

    notebook = plain_side(*notebook_network(items), items, few)
    comparisons = [
        ("training", "notebook's network and loop", NOTEBOOK_RATIO, notebook, mine),
        ("training", f"{PLAIN}, arrays in memory", EAGER_RATIO, eager(changed(items)), mine),
        ("training", f"{PLAIN}, gzip HDF5", None, eager(changed(GzipItems(packed))), mine),
        (
            "training without augmentation",
            f"{PLAIN}, arrays in memory",
            EAGER_RATIO,
            eager(items),
            mine_bare,
        ),
    ]
    return [
        ratio_figure(name, baseline, compare(side, own, workshop.pairs(5)), target=target)
        for name, baseline, target, side, own in comparisons
    ]


def plain_side(
    network: nn.Module, optimizer: torch.optim.Optimizer, items: Dataset[Item], n_steps: int
) -> Side:
    """Return the first steps of an epoch of a plain loop."""
    seeds = itertools.count()

    def run() -> None:
        train_steps(network, optimizer, iter(loader(items, next(seeds))), n_steps)

    return Side(run, n_steps * BATCH_SIZE)


def plain_network(folder: Path, seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return Timbre's default network as it is built, and a plain AdamW."""
    train = ours.open_split(folder, "train", in_memory=True)
    network = ours.default_network(folder, train, seed)
    decay = params()["train"]["weight_decay"]
    return network, torch.optim.AdamW(
        network.parameters(), lr=ours.LEARNING_RATE, weight_decay=decay
    )


def notebook_network(items: Items) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return the notebook's network of 139 million parameters, and its Adam."""
    torch.manual_seed(0)
    n_classes = int(items.targets.max()) + 1
    network = NotebookCNN(n_classes, *items.log_mel.shape[1:])
    # Not the notebook's, but in its favour: with dB as they are it needs several epochs more.
    mean, std = items.log_mel.mean(axis=(0, 2)), items.log_mel.std(axis=(0, 2)).clip(min=1)
    network.normalise.set_statistics(torch.from_numpy(mean), torch.from_numpy(std))
    return network, torch.optim.Adam(network.parameters(), lr=NOTEBOOK_RATE)

"""Training on a split that passes through memory, beside training on one that lies in it."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench import ours
from bench.figures import Figure, ratio_figure, value_figure
from bench.pairs import Side, compare
from bench.plain_training import BATCH_SIZE
from bench.reading import drain
from bench.spectrograms import open_split, reciters
from bench.training_time import MARGIN_POINTS, last_accuracy
from bench.workshop import Pipeline, Workshop

if TYPE_CHECKING:
    from timbre.dataset import SpectrogramDataset

BUFFER = 0.25  # of the split
LEAST_RATIO = 0.8
IN_MEMORY = "the split in memory"


def streaming(workshop: Workshop) -> list[Figure]:
    """Compare an epoch streamed through a quarter of the split with one in memory; and accuracy."""
    pipeline = reciters(workshop, workshop.new_folder("streaming"))
    in_memory = open_split(pipeline, "train")
    streamed = ours.stream_split(pipeline.folder, "train", BUFFER)
    comparisons = [
        ("training, streamed", LEAST_RATIO, training_side),
        ("reading an epoch, streamed", None, reading_side),
    ]
    figures = []
    for name, target, side in comparisons:
        baseline, mine = (side(pipeline, split) for split in (in_memory, streamed))
        found = compare(baseline, mine, workshop.pairs(7))
        figures.append(ratio_figure(name, IN_MEMORY, found, unit="windows/s", target=target))
    return [*figures, accuracy_figure(workshop, pipeline)]


def training_side(pipeline: Pipeline, train: "SpectrogramDataset") -> Side:
    """Return epochs of training as train_cnn has them."""
    run = ours.training(pipeline.folder, train, open_split(pipeline, "val"))
    numbers = itertools.count(1)
    return Side(lambda: ours.train_epoch(run, next(numbers)), len(train))


def reading_side(_: Pipeline, train: "SpectrogramDataset") -> Side:
    """Return epochs of which nothing is made: all that a network could ever be given."""
    seeds: Iterator[int] = itertools.count()

    def epoch(seed: int) -> "Iterator[object]":
        return ours.shuffled_batches(train, BATCH_SIZE, seed)

    return Side(lambda: drain(epoch, seeds, 1), len(train))


def accuracy_figure(workshop: Workshop, pipeline: Pipeline) -> Figure:
    """Compare validation accuracy after some epochs, paired by seed: the same first weights."""
    n_epochs = workshop.size(20, 3)  # with fewer, a seed decides by some points
    differences = []
    for seed in range(workshop.pairs(5)):
        splits = (
            ours.stream_split(pipeline.folder, "train", BUFFER),
            open_split(pipeline, "train"),
        )
        streamed, in_memory = (last_accuracy(pipeline, s, seed, n_epochs) for s in splits)
        differences.append(100 * (streamed - in_memory))
    name = f"validation accuracy after {n_epochs} epochs streamed, less that in memory"
    return value_figure(name, differences, "points", target=MARGIN_POINTS, target_is="at least")

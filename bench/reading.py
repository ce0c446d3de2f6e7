"""Reading an epoch in shuffled batches, without training on it."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bench import ours
from bench.figures import Figure, ratio_figure
from bench.pairs import Side, compare
from bench.plain_training import BATCH_SIZE, GzipItems, loader, memmap_epoch, write_gzip
from bench.spectrograms import open_split, plain_items, reciters
from bench.workshop import Workshop

GZIP_RATIO, MEMMAP_RATIO = 20.0, 0.8
GZIP = "gzip HDF5, an item at a time, DataLoader"
QUICK_EPOCHS = 10  # in one round of a side that reads an epoch in some hundredths of a second

Epoch = Callable[[int], Iterable[object]]  # from a seed to shuffled batches


def reading(workshop: Workshop) -> list[Figure]:
    """Compare an epoch from the shards, mapped, with gzip HDF5 and with a raw float16 file."""
    pipeline = reciters(workshop, workshop.new_folder("reading"))
    train = open_split(pipeline, "train", in_memory=False)
    packed, raw = pipeline.folder / "items.h5", pipeline.folder / "items.f16"
    items = plain_items(train)
    write_gzip(packed, items.log_mel, items.targets)
    shape = write_raw(raw, items.log_mel)
    seeds = itertools.count()

    def side(epoch: Epoch, n_epochs: int = 1) -> Side:
        return Side(partial(drain, epoch, seeds, n_epochs), n_epochs * len(train))

    def mapped(seed: int) -> Iterable[object]:
        return ours.shuffled_batches(train, BATCH_SIZE, seed)

    def opened(seed: int) -> Iterable[object]:
        anew = open_split(pipeline, "train", in_memory=False)
        return ours.shuffled_batches(anew, BATCH_SIZE, seed)

    gzip = side(partial(gzip_epoch, packed, 0))
    raw_memmap = side(partial(memmap_epoch, raw, shape), QUICK_EPOCHS)
    comparisons = [
        ("reading an epoch", GZIP, GZIP_RATIO, gzip, side(mapped, QUICK_EPOCHS)),
        ("opening, checking and reading an epoch", GZIP, None, gzip, side(opened)),
        (
            "reading an epoch",
            "raw float16 memmap",
            MEMMAP_RATIO,
            raw_memmap,
            side(mapped, QUICK_EPOCHS),
        ),
    ]
    figures = []
    for name, baseline, target, other, mine in comparisons:
        found = compare(other, mine, workshop.pairs(7))
        figures.append(ratio_figure(name, baseline, found, unit="windows/s", target=target))
    return figures


def gzip_epoch(packed: Path, n_workers: int, seed: int) -> Iterable[object]:
    """Iterate over an epoch out of gzip HDF5."""
    return loader(GzipItems(packed), seed, n_workers)


def write_raw(
    path: Path, log_mel: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> tuple[int, ...]:
    """Write float16 values without any header; return their shape."""
    log_mel.astype(np.float16).tofile(path)
    return (len(log_mel), 1, *log_mel.shape[1:])


def drain(epoch: Epoch, seeds: Iterator[int], n_epochs: int) -> None:
    """Take all batches of some epochs and drop them."""
    for _ in range(n_epochs):
        for _ in epoch(next(seeds)):
            pass

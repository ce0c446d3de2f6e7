"""Real spectrograms to train on and to read: the reciters, split at random rows."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench import ours
from bench.corpora import reciter_wavs, recordings
from bench.plain_training import Items
from bench.workshop import Changes, Pipeline, Workshop

if TYPE_CHECKING:
    from timbre.dataset import SpectrogramDataset


def reciters(workshop: Workshop, folder: Path, train: Changes | None = None) -> Pipeline:
    """Run the stages up to training; all clips, or few in a quick run."""
    changes: Changes = {"split": {"method": "random"}, **(train or {})}
    root = recordings() / "reciters"
    if workshop.quick:
        root = folder / "corpus"
        reciter_wavs(root, 96, 22_050)
        changes["split"] = {"method": "stratified"}  # so few rows at random would miss classes
    else:
        changes["data"] = {"audio": "Dataset"}
    pipeline = Pipeline.make(folder / "pipeline", root, changes)
    pipeline.run_needed_by("train_cnn")
    return pipeline


def plain_items(dataset: "SpectrogramDataset") -> Items:
    """Return a split as float32 arrays in memory."""
    from timbre.dataset import batches

    read = [(log_mel.float().numpy()[:, 0], target) for log_mel, target in batches(dataset, 64)]
    targets = np.concatenate([target.numpy() for _, target in read])
    return Items(np.concatenate([log_mel for log_mel, _ in read]), targets)


def open_split(pipeline: Pipeline, name: str, *, in_memory: bool = True) -> "SpectrogramDataset":
    """Open a split of the pipeline."""
    return ours.open_split(pipeline.folder, name, in_memory=in_memory)

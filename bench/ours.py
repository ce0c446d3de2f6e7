"""Timbre's side of each comparison, in one place, through the interfaces that the stages use.

torch is imported where it is needed: workers that extract have no use for it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from bench.workshop import params
from timbre.audio import load
from timbre.log_mel import LogMel, LogMelArray
from timbre.window_sizes import LONGEST_SECONDS, fitting_hop
from timbre.windows import cut
from timbre.workers import map_unordered, n_cores

if TYPE_CHECKING:
    import torch

    from timbre.augmentation import Augmentation
    from timbre.dataset import Integers, SpectrogramDataset, WindowTable
    from timbre.layers import Network
    from timbre.training import Training

LEARNING_RATE = 1e-3
CLIPS_A_TASK = 64  # as a shard of four thousand clips has


def front_end(hop_length: int | None = None) -> LogMel:
    """Return the log-mel front end of params.yaml, or the same with another hop."""
    extract = params()["extract"]
    return LogMel(
        sample_rate=extract["sample_rate"],
        n_fft=extract["n_fft"],
        hop_length=hop_length
        or extract["hop_length"]
        or fitting_hop(LONGEST_SECONDS, extract["sample_rate"]),
        n_mels=extract["n_mels"],
        fmin=extract["fmin"],
        fmax=extract["fmax"] or extract["sample_rate"] / 2,
        top_db=extract["top_db"],
    )


def log_mel(path: Path, transform: LogMel, seconds: float) -> LogMelArray:
    """Return the log-mel `(n_mels, n_frames)` of a clip's first seconds, in dB."""
    waveform = load(path, transform.sample_rate, seconds)
    return transform(cut(waveform, [0], round(seconds * transform.sample_rate))[0])


def extract_on_all_cores(paths: Sequence[Path], seconds: float) -> float:
    """Decode and transform clips in the stage's worker pool.

    Returns the seconds from the first clip's start to the last one's end: joblib's workers are warm
    too when their time is taken.
    """
    tasks = [paths[start : start + CLIPS_A_TASK] for start in range(0, len(paths), CLIPS_A_TASK)]
    work = partial(_extract_some, transform=front_end(), seconds=seconds)
    spans = list(map_unordered(work, tasks, n_cores(), preload=("bench.ours",)))
    return max(end for _, end in spans) - min(start for start, _ in spans)


def _extract_some(paths: Sequence[Path], transform: LogMel, seconds: float) -> tuple[float, float]:
    start = time.perf_counter()
    for path in paths:
        log_mel(path, transform, seconds).astype(np.float16)
    # One clock for all processes: on Linux and macOS it counts from the machine's start.
    return start, time.perf_counter()


def open_split(folder: Path, name: str, *, in_memory: bool) -> "SpectrogramDataset":
    """Open a split of a pipeline that ran in `folder`, in memory or mapped from its shards."""
    from timbre.dataset import load_dataset, map_dataset

    return (load_dataset if in_memory else map_dataset)(*_found(folder, name))


def stream_split(folder: Path, name: str, share: float) -> "SpectrogramDataset":
    """Open a split to be streamed, with a shuffle buffer for a share of its windows."""
    from timbre.streaming import stream_dataset

    table, targets = _found(folder, name)
    return stream_dataset(table, targets, round(share * len(table)))


def _found(folder: Path, name: str) -> "tuple[WindowTable, Integers]":
    from timbre.clips import read_splits
    from timbre.dataset import find_windows

    splits = read_splits(folder / "data" / "splits.csv")
    own = splits[splits.split == name]
    table = find_windows(folder / "data" / "spectrograms", own.clip_id.tolist())
    return table, own.target.to_numpy()


def shuffled_batches(
    dataset: "SpectrogramDataset", batch_size: int, seed: int
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Iterate over an epoch as training does."""
    import torch

    from timbre.dataset import batches

    order = dataset.epoch_order(torch.Generator().manual_seed(seed))
    return batches(dataset, batch_size, order)


def default_network(folder: Path, train: "SpectrogramDataset", seed: int = 0) -> "Network":
    """Build the network of params.yaml for a split, normalised by it, as train_cnn does."""
    import torch

    from timbre.clips import read_classes
    from timbre.dataset import mean_and_std
    from timbre.networks import build_network
    from timbre.params import read_section
    from timbre.training_settings import Train, network_sizes

    settings = read_section("train", Train, folder / "params.yaml")
    torch.manual_seed(seed)
    classes = read_classes(folder / "data" / "labels.json")
    sizes = network_sizes(settings, len(classes), *train.table.shape)
    network = build_network(settings.model, **sizes)
    network.normalise.set_statistics(*mean_and_std(train))
    return network


def training(
    folder: Path, train: "SpectrogramDataset", val: "SpectrogramDataset", seed: int = 0
) -> "Training":
    """Put a training together as train_cnn does."""
    from stages.train_cnn import plan
    from timbre.device import choose_precision
    from timbre.params import read_section
    from timbre.team import ALONE
    from timbre.training_data import TrainingData
    from timbre.training_settings import Train

    settings = read_section("train", Train, folder / "params.yaml")
    precision = choose_precision(settings.precision, ALONE.device)
    network = default_network(folder, train, seed)
    n_classes = int(train.targets.max()) + 1
    changes = default_augmentation(folder)
    data = TrainingData(train, val, val)
    run = plan(settings, network, n_classes, data, ALONE, precision, changes)
    return replace(run, ramp_epochs=0)  # as most epochs are, not as the easy first ones


def default_augmentation(folder: Path) -> "Augmentation":
    """Return the changes to training windows that params.yaml asks for."""
    from timbre.params import read_section
    from timbre.shards import read_index, shard_paths
    from timbre.training_settings import Train, augmentation

    features = read_index(shard_paths(folder / "data" / "spectrograms")[0]).attributes
    return augmentation(read_section("train", Train, folder / "params.yaml"), features)


def without_changes(run: "Training") -> "Training":
    """Return the same training, of the same network, on windows as they are."""
    from timbre.channel import IMITATIONS

    off: dict[str, Any] = dict.fromkeys(IMITATIONS, 0.0)
    return replace(
        run,
        augmentation=replace(
            run.augmentation,
            channel=replace(run.augmentation.channel, **off),
            mask_bands=0,
            mask_frames=0,
            shift_frames=0,
            mixup=0.0,
        ),
    )


def train_epoch(run: "Training", number: int) -> None:
    """Train for one epoch at a constant learning rate; `number` decides what is random in it."""
    run.learning_rate = lambda _: LEARNING_RATE
    run.train_epoch(number, tqdm(disable=True))


def val_accuracy(run: "Training") -> float:
    """Return the share of the validation windows that the network takes for what they are."""
    from timbre.dataset import batches

    return run.trainer.measure(batches(run.val, run.batch_size)).accuracy


def save_untrained(folder: Path, train: "SpectrogramDataset", path: Path) -> None:
    """Write a model file whose network was never trained: what it costs to ask is the same."""
    from timbre.clips import read_classes
    from timbre.confidence import measure_confidence
    from timbre.model_file import ModelCard, save_model
    from timbre.params import read_section
    from timbre.shards import read_index, shard_paths
    from timbre.training_settings import Train, network_sizes

    settings = read_section("train", Train, folder / "params.yaml")
    classes = read_classes(folder / "data" / "labels.json")
    features = read_index(shard_paths(folder / "data" / "spectrograms")[0]).attributes
    sizes = network_sizes(settings, len(classes), *train.table.shape)
    network = default_network(folder, train).eval()
    confidence = measure_confidence(network, train, train, settings.batch_size)
    card = ModelCard(classes, settings.model, sizes, features, {}, "", *confidence)
    save_model(path, network, card)


PREDICT = (
    "import sys; from pathlib import Path; from timbre.predict import Classifier; "
    "print(Classifier.load(Path(sys.argv[1])).probs(Path(sys.argv[2])).argmax())"
)


def predictor(model: Path) -> Callable[[Path], object]:
    """Return a loaded classifier's function from an audio file to probabilities."""
    from timbre.predict import Classifier

    return Classifier.load(model).probs

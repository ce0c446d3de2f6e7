"""Training and reading as a tutorial has it: a Dataset of items, a DataLoader, an eager loop."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from timbre.augmentation import Augmentation
from timbre.imitations import LOG_OF_DB, N_TALKERS, with_babble

BATCH_SIZE = 16
GZIP_LEVEL = 4  # h5py's default

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Item = tuple[torch.Tensor, int]
Loader = DataLoader[Item]


class Items(Dataset[Item]):
    """Spectrograms `(1, n_mels, n_frames)` in dB, float32, and their targets; from memory."""

    def __init__(self, log_mel: Floats, targets: Integers) -> None:
        """Take `(n, n_mels, n_frames)` and `(n,)`."""
        self.log_mel = log_mel
        self.targets = targets

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.targets)

    def __getitem__(self, index: int) -> Item:
        """Return one item."""
        return torch.from_numpy(self.log_mel[index])[None], int(self.targets[index])


class GzipItems(Dataset[Item]):
    """The same items, each read from an HDF5 file when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Take a file that `write_gzip` made."""
        self.path = path
        with h5py.File(path, "r") as file:
            self.n_items = len(file["target"])
        self.file: h5py.File | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return self.n_items

    def __getitem__(self, index: int) -> Item:
        """Return one item; the file is opened by the process that asks first."""
        if self.file is None:
            self.file = h5py.File(self.path, "r")
        log_mel = torch.from_numpy(self.file["log_mel"][index])
        return log_mel[None], int(self.file["target"][index])


class Augmented(Dataset[Item]):
    """Items with Timbre's own changes, made one item at a time as transforms are.

    In its favour, what chance decides is drawn for all items at once and the noise but once.
    """

    def __init__(self, items: Items | GzipItems, augmentation: Augmentation, seed: int) -> None:
        """Draw for an epoch of `items`."""
        self.items = items
        _, n_mels, n_frames = items[0][0].shape
        generator = torch.Generator().manual_seed(seed)
        self.draws = augmentation.draw(len(items), n_mels, n_frames, generator)
        self.field = augmentation.channel.draw_field(n_mels, n_frames, generator)
        # A batch of one has no others to babble: they are added here.
        quiet = dataclasses.replace(augmentation.channel, babble=0.0)
        self.augmentation = dataclasses.replace(augmentation, channel=quiet)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        """Return one item, changed."""
        log_mel, target = self.items[index]
        draws = self.draws.of(slice(index, index + 1))
        window = log_mel[None].clone()
        if draws.channel is not None and draws.channel.babble.any():
            window = self._with_babble(window, draws.channel.babble)
        changed, _ = self.augmentation.apply(window, torch.empty(1, 1), draws, self.field)
        return changed[0], target

    def _with_babble(self, window: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        others = torch.randint(len(self.items), (N_TALKERS,)).tolist()
        windows = torch.stack([window[0], *(self.items[other][0] for other in others)])
        power = (windows * LOG_OF_DB).exp_()
        return with_babble(power, torch.tensor([0]), level).log_().div_(LOG_OF_DB)


def write_gzip(path: Path, log_mel: Floats, targets: Integers) -> None:
    """Write items to an HDF5 file: float32, gzip, one chunk an item."""
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "log_mel",
            data=log_mel,
            chunks=(1, *log_mel.shape[1:]),
            compression="gzip",
            compression_opts=GZIP_LEVEL,
        )
        file.create_dataset("target", data=targets)


def loader(items: Dataset[Item], seed: int = 0, n_workers: int = 0) -> Loader:
    """Return a shuffling DataLoader, everything else as it is by default."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(
        items, batch_size=BATCH_SIZE, shuffle=True, num_workers=n_workers, generator=generator
    )


def train_steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[list[torch.Tensor]],
    n_steps: int | None = None,
) -> int:
    """Take steps, in eager float32; return the number of items seen."""
    network.train()
    seen = 0
    for log_mel, target in itertools.islice(batches, n_steps):
        optimizer.zero_grad()
        loss = cross_entropy(network(log_mel), target)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        seen += len(target)
    return seen


def accuracy(network: nn.Module, items: Items) -> float:
    """Return the share of items that the network takes for what they are."""
    network.eval()
    hits = 0
    with torch.no_grad():
        for log_mel, target in DataLoader(items, batch_size=BATCH_SIZE):
            hits += int((network(log_mel).argmax(dim=1) == target).sum())
    return hits / len(items)


def memmap_epoch(path: Path, shape: tuple[int, ...], seed: int) -> Iterator[torch.Tensor]:
    """Yield shuffled batches out of a raw float16 file, each gathered at once."""
    log_mel = np.memmap(path, np.float16, "r", shape=shape)
    order = np.random.default_rng(seed).permutation(len(log_mel))
    for start in range(0, len(order), BATCH_SIZE):
        yield torch.from_numpy(log_mel[order[start : start + BATCH_SIZE]])

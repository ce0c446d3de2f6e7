"""The spectrograms of one split, as PyTorch reads them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from timbre.problems import InputError
from timbre.shards import read_index, read_log_mel, shard_paths
from timbre.workers import worker_context

N_READERS = 2  # processes that read shuffled batches from files

Batch = tuple[torch.Tensor, torch.Tensor]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WindowTable:
    """Where the windows of some clips lie; parallel arrays, one entry a window, in clip order."""

    paths: list[Path]
    shard: Integers  # index into paths
    row: Integers  # in that shard's log_mel
    clip: Integers  # index into the clips asked for


class SpectrogramDataset(Dataset[Batch]):
    """Windows of one split: `log_mel (1, n_mels, n_frames)` float16 in dB, and their target.

    A list of indices reads a whole batch at once (`__getitems__`). Before `load` every read opens
    its shards anew, in whatever process asks: an HDF5 handle must not cross a fork.
    """

    def __init__(self, table: WindowTable, targets: Integers) -> None:
        """Take where the windows lie and the target `(n_clips,)` of each clip."""
        self.table = table
        self.targets = torch.from_numpy(targets[table.clip])
        self.memory: torch.Tensor | None = None

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.table.row)

    def __getitem__(self, index: int) -> Batch:
        """Return one window and its target."""
        log_mel, target = self.__getitems__([index])
        return log_mel[0], target[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return `(n, 1, n_mels, n_frames)` and `(n,)` for n indices, in their order."""
        chosen = torch.as_tensor(indices)
        if self.memory is None:
            return self._read(np.asarray(indices, np.int64)), self.targets[chosen]
        chosen = chosen.to(self.memory.device)
        return self.memory[chosen], self.targets[chosen]

    def load(self, device: torch.device) -> None:
        """Bring all windows into memory of `device`; reads then touch no file."""
        self.memory = self._read(np.arange(len(self))).to(device)
        self.targets = self.targets.to(device)

    def _read(self, indices: Integers) -> torch.Tensor:
        shards, rows = self.table.shard[indices], self.table.row[indices]
        pieces = {
            shard: _read_rows(self.table.paths[shard], rows[shards == shard])
            for shard in np.unique(shards).tolist()
        }
        shape = next(iter(pieces.values())).shape[1:] if pieces else (0, 0)
        batch = np.empty((len(indices), 1, *shape), np.float16)
        for shard, piece in pieces.items():
            batch[shards == shard, 0] = piece
        return torch.from_numpy(batch)


def find_windows(folder: Path, clip_ids: Sequence[str]) -> WindowTable:
    """Look the windows of `clip_ids` up in the shards of `folder`.

    Raises InputError if clips have no spectrogram.
    """
    paths = shard_paths(folder)
    places: dict[str, tuple[int, range]] = {}
    for number, path in enumerate(paths):
        index = read_index(path)
        for clip_id, rows in zip(index.clip_ids, index.rows(), strict=True):
            places[clip_id] = (number, rows)
    missing = [clip_id for clip_id in clip_ids if clip_id not in places]
    if missing:
        raise InputError(
            f"{folder}: no spectrogram of {len(missing)} clips (the first is {missing[0]}): "
            "run `dvc repro`"
        )
    found = [places[clip_id] for clip_id in clip_ids]
    return WindowTable(
        paths=paths,
        shard=np.array([shard for shard, rows in found for _ in rows], np.int64),
        row=np.array([row for _, rows in found for row in rows], np.int64),
        clip=np.array([clip for clip, (_, rows) in enumerate(found) for _ in rows], np.int64),
    )


def batches(
    dataset: SpectrogramDataset, batch_size: int, seed: int | None = None
) -> Iterator[Batch]:
    """Iterate over a split in batches: shuffled by `seed`, in order without one.

    Shuffled reads from files run in worker processes, ahead of their use; reads in order are quick
    enough without, and processes take seconds to start.
    """
    # A generator of its own: how far ahead the workers ask for the order must disturb nobody else.
    generator = torch.Generator().manual_seed(seed or 0)
    shuffled = RandomSampler(dataset, generator=generator)
    n_workers = N_READERS if seed is not None and dataset.memory is None else 0
    loader = DataLoader(
        dataset,
        batch_sampler=BatchSampler(
            SequentialSampler(dataset) if seed is None else shuffled, batch_size, drop_last=False
        ),
        collate_fn=_as_read,
        num_workers=n_workers,
        multiprocessing_context=worker_context(["timbre.dataset"]) if n_workers else None,
        pin_memory=dataset.memory is None and torch.cuda.is_available(),
        generator=generator,
    )
    return iter(loader)


def mean_and_std(dataset: SpectrogramDataset, batch_size: int = 256) -> tuple[torch.Tensor, ...]:
    """Return mean and standard deviation of each mel band `(n_mels,)` over a whole split, float32.

    Call it on the training split: other clips must not shape the input.
    """
    total = squares = torch.zeros(())
    count = 0
    for log_mel, _ in batches(dataset, batch_size):
        values = log_mel.cpu().double()  # Apple's GPU has no float64
        total = total + values.sum(dim=(0, 1, 3))
        squares = squares + values.square().sum(dim=(0, 1, 3))
        count += len(values) * values.shape[3]
    mean = total / count
    variance = (squares / count - mean.square()).clamp(min=0)
    # A band that never changes (silence, a band-limited corpus) must not be divided by zero.
    return mean.float(), variance.sqrt().clamp(min=1.0).float()


def _as_read(batch: Any) -> Batch:  # noqa: ANN401 (torch's stub thinks of a list of items)
    whole: Batch = batch  # __getitems__ has put it together
    return whole


def _read_rows(path: Path, rows: Integers) -> npt.NDArray[np.float16]:
    # HDF5 wants ascending rows, each once; a batch may hold them in any order.
    ascending, place = np.unique(rows, return_inverse=True)
    return read_log_mel(path, ascending)[place]

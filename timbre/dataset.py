"""The spectrograms of one split: where they lie, and batches of them."""

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from timbre.problems import InputError
from timbre.shards import Half, OpenShards, map_windows, read_index, shard_paths

READ_ROWS = 64  # read at a time, with their checksums

Batch = tuple[torch.Tensor, torch.Tensor]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WindowTable:
    """Where the windows of some clips lie; parallel arrays, one entry a window, in clip order."""

    paths: list[Path]
    shape: tuple[int, int]  # (n_mels, n_frames)
    shard: Integers  # index into paths
    row: Integers  # in that shard's log_mel
    clip: Integers  # index into the clips asked for

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.row)

    def n_bytes(self) -> int:
        """Return the memory that all windows take."""
        return len(self) * int(np.prod(self.shape)) * 2

    def of(self, windows: slice) -> "WindowTable":
        """Return the table of some of the windows."""
        own = {name: getattr(self, name)[windows] for name in ("shard", "row", "clip")}
        return replace(self, **own)


@dataclass(frozen=True)
class SpectrogramDataset:
    """Windows of one split, float16 in dB, and the target of each.

    They lie in a device's memory, or stay in their files. Made by `load_dataset` or `map_dataset`,
    which read each window once with its checksum.
    """

    table: WindowTable
    targets: torch.Tensor  # (n_windows,)
    # (n_windows, 1, n_mels, n_frames), or the bytes of each window
    log_mel: torch.Tensor | list[memoryview]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.table)

    @property
    def device(self) -> torch.device:
        """Return where indices are looked up and batches appear."""
        return self.targets.device

    def clip_targets(self) -> Integers:
        """Return the target of each clip `(n_clips,)`."""
        _, first = np.unique(self.table.clip, return_index=True)
        return np.asarray(self.targets.cpu().numpy()[first])

    def reading_order(self) -> torch.Tensor:
        """Return all windows in the order in which they are read best, where no other is asked."""
        return torch.arange(len(self), device=self.device)

    def epoch_order(self, generator: torch.Generator) -> torch.Tensor:
        """Return all windows in an order for training, drawn from `generator` alone."""
        return torch.randperm(len(self), generator=generator)

    def pieces(
        self, order: torch.Tensor, parts: Sequence[slice]
    ) -> Generator[torch.Tensor, None, None]:
        """Iterate over the windows in each of `parts` of an order, as `read` returns them."""
        if isinstance(self.log_mel, torch.Tensor):
            return (self.read(order[part]) for part in parts)
        places = order.numpy()  # parts of a tensor take a tenth of a batch's time
        mapped = self.log_mel
        return (self._joined(mapped, places[part].tolist()) for part in parts)

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        """Return copies of n windows, `(n, 1, n_mels, n_frames)`, in the order of the indices."""
        if isinstance(self.log_mel, torch.Tensor):
            # Three times quicker than log_mel[indices].
            return self.log_mel.index_select(0, indices)
        return self._joined(self.log_mel, indices.tolist())

    def _joined(self, mapped: list[memoryview], indices: list[int]) -> torch.Tensor:
        # A twentieth quicker than copying into an array, window by window.
        memory = bytearray().join(map(mapped.__getitem__, indices))
        batch = np.frombuffer(memory, np.float16).reshape(len(indices), 1, *self.table.shape)
        return torch.from_numpy(batch)


def find_windows(folder: Path, clip_ids: Sequence[str]) -> WindowTable:
    """Look the windows of `clip_ids` up in the shards of `folder`.

    Raises InputError if clips have no spectrogram, or if the shards are not of one extraction.
    """
    paths = shard_paths(folder)
    indexes = [read_index(path) for path in paths]
    for path, index in zip(paths, indexes, strict=True):
        if (index.shape, index.attributes) != (indexes[0].shape, indexes[0].attributes):
            raise InputError(
                f"{path}: is of another extraction than {paths[0].name}: delete the folder and run "
                "`dvc repro`"
            )
    places = {
        clip_id: (number, rows)
        for number, index in enumerate(indexes)
        for clip_id, rows in zip(index.clip_ids, index.rows(), strict=True)
    }
    missing = [clip_id for clip_id in clip_ids if clip_id not in places]
    if missing:
        raise InputError(
            f"{folder}: no spectrogram of {len(missing)} clips (the first is {missing[0]}): "
            "run `dvc repro`"
        )
    found = [places[clip_id] for clip_id in clip_ids]
    return WindowTable(
        paths=paths,
        shape=indexes[0].shape,
        shard=np.array([shard for shard, rows in found for _ in rows], np.int64),
        row=np.array([row for _, rows in found for row in rows], np.int64),
        clip=np.array([clip for clip, (_, rows) in enumerate(found) for _ in rows], np.int64),
    )


def load_dataset(
    table: WindowTable, targets: Integers, device: torch.device | None = None
) -> SpectrogramDataset:
    """Bring all windows into memory of `device`; `targets` `(n_clips,)` are those of the clips.

    Raises InputError if a checksum does not fit.
    """
    memory = np.empty((len(table), 1, *table.shape), np.float16)
    for windows, log_mel in _checked(table):
        memory[windows, 0] = log_mel
    of_windows = torch.from_numpy(targets[table.clip]).to(device)
    return SpectrogramDataset(table, of_windows, torch.from_numpy(memory).to(device))


def map_dataset(table: WindowTable, targets: Integers) -> SpectrogramDataset:
    """Leave the windows in their files, however many they are; `targets` as in `load_dataset`.

    Raises InputError if a checksum does not fit: all are read once for that.
    """
    for _ in _checked(table):
        pass
    needed = np.unique(table.shard).tolist()
    views = {shard: map_windows(table.paths[shard]) for shard in needed}
    places = zip(table.shard.tolist(), table.row.tolist(), strict=True)
    mapped = [views[shard][row].data.cast("B") for shard, row in places]
    return SpectrogramDataset(table, torch.from_numpy(targets[table.clip]), mapped)


def batches(
    dataset: SpectrogramDataset,
    batch_size: int,
    order: torch.Tensor | None = None,
    parts: Iterable[slice] | None = None,
) -> Generator[Batch, None, None]:
    """Iterate over a split in batches; in `order`, or in its reading order.

    The batches are those of `batch_slices`, or the `parts` of the order: what lies in none of them
    is neither read nor held.
    """
    order = (dataset.reading_order() if order is None else order).to(dataset.device)
    own = list(batch_slices(len(order), batch_size) if parts is None else parts)
    targets = dataset.targets.index_select(0, order)
    # What threads read ahead ends with the epoch, however that ends.
    with closing(dataset.pieces(order, own)) as windows:
        for part, log_mel in zip(own, windows, strict=True):
            yield log_mel, targets[part]


def batch_slices(n: int, batch_size: int, least: int = 2) -> Iterator[slice]:
    """Iterate over the batches of n windows.

    The last one is smaller, but one of fewer than `least` windows joins another where there is one:
    on a single window batch norm could not train.
    """
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] < least:
        starts.pop()
    return itertools.starmap(slice, itertools.pairwise([*starts, n]))


def mean_and_std(dataset: SpectrogramDataset, batch_size: int = 64) -> tuple[torch.Tensor, ...]:
    """Return mean and standard deviation of each mel band `(n_mels,)` over a whole split, float32.

    Call it on the training split: other clips must not shape the input.
    """
    total = squares = torch.zeros(())
    count = 0
    with closing(batches(dataset, batch_size)) as windows:
        for log_mel, _ in windows:
            values = log_mel[:, 0].cpu().float()
            # Exact enough in float32 over the frames of one window, not over a whole split.
            total = total + values.sum(dim=2).double().sum(dim=0)
            squares = squares + values.square_().sum(dim=2).double().sum(dim=0)
            count += len(values) * values.shape[2]
    mean = total / count
    variance = (squares / count - mean.square()).clamp(min=0)
    # A band that never changes (silence, a band-limited corpus) must not be divided by zero.
    return mean.float(), variance.sqrt().clamp(min=1.0).float()


def _checked(table: WindowTable) -> Iterator[tuple[Integers, Half]]:
    """Read all windows with their checksums: pieces of the table, and their log-mels."""
    with OpenShards() as shards:
        for shard in np.unique(table.shard).tolist():
            own = np.flatnonzero(table.shard == shard)
            rows = table.row[own]
            for start in range(0, int(rows.max()) + 1, READ_ROWS):
                wanted = (rows >= start) & (rows < start + READ_ROWS)
                if wanted.any():
                    block = shards.read(table.paths[shard], slice(start, start + READ_ROWS))
                    yield own[wanted], block[rows[wanted] - start]

from pathlib import Path

import numpy as np
import pytest
import torch

from timbre.dataset import SpectrogramDataset, batches, find_windows, mean_and_std
from timbre.problems import InputError
from timbre.shards import Half, ShardIndex, shard_name, write_shard

SHAPE = (4, 6)
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards, four clips; clip b has two windows. Each cell says which window it is in."""
    write(tmp_path / shard_name(0), ["a", "b"], [1, 2], first=0)
    write(tmp_path / shard_name(1), ["c", "d"], [1, 1], first=3)
    return tmp_path


def write(path: Path, clip_ids: list[str], n_windows: list[int], first: int) -> None:
    count = sum(n_windows)
    index = ShardIndex({}, clip_ids, ["0" * 64] * len(clip_ids), n_windows, SHAPE)
    write_shard(path, index, numbered(first, count))


def numbered(first: int, count: int) -> Half:
    cells = np.arange(first, first + count, dtype=np.float16)[:, None, None]
    return np.broadcast_to(cells, (count, *SHAPE)).astype(np.float16)


def dataset(folder: Path, clip_ids: list[str], in_memory: bool = False) -> SpectrogramDataset:
    windows = SpectrogramDataset(find_windows(folder, clip_ids), np.arange(len(clip_ids)) * 10)
    if in_memory:
        windows.load(CPU)
    return windows


def cells(log_mel: torch.Tensor) -> list[float]:
    return [float(value) for value in log_mel.reshape(-1, *SHAPE)[:, 0, 0]]


def test_windows_follow_the_order_of_the_clips_asked_for(folder: Path) -> None:
    table = find_windows(folder, ["d", "b", "a"])
    assert table.clip.tolist() == [0, 1, 1, 2]
    assert table.shard.tolist() == [1, 0, 0, 0]
    assert table.row.tolist() == [1, 1, 2, 0]


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_batch_is_its_items_in_any_order(folder: Path, in_memory: bool) -> None:
    windows = dataset(folder, ["d", "b", "a"], in_memory)
    assert len(windows) == 4
    log_mel, targets = windows.__getitems__([3, 0, 2, 2, 1])
    assert log_mel.shape == (5, 1, *SHAPE)
    assert log_mel.dtype == torch.float16
    assert cells(log_mel) == [0, 4, 2, 2, 1]
    assert targets.tolist() == [20, 0, 10, 10, 10]
    one, target = windows[0]
    assert one.shape == (1, *SHAPE)
    assert (cells(one), int(target)) == ([4], 0)


def test_clips_without_spectrogram_are_counted_and_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no spectrogram of 2 clips \(the first is x\)"):
        find_windows(folder, ["a", "x", "y"])


@pytest.mark.parametrize("in_memory", [False, True])
def test_an_epoch_sees_each_window_once(folder: Path, in_memory: bool) -> None:
    windows = dataset(folder, ["a", "b", "c", "d"], in_memory)
    shuffled = list(batches(windows, 2, seed=0))
    assert [len(targets) for _, targets in shuffled] == [2, 2, 1]
    assert sorted(cells(torch.cat([log_mel for log_mel, _ in shuffled]))) == [0, 1, 2, 3, 4]
    in_order = list(batches(windows, 2))
    assert cells(torch.cat([log_mel for log_mel, _ in in_order])) == [0, 1, 2, 3, 4]


def test_memory_and_disk_give_the_same_batches(folder: Path) -> None:
    epochs = [
        list(batches(dataset(folder, ["a", "b", "c"], kept), 3, seed=7)) for kept in (False, True)
    ]
    for (one, its_targets), (other, other_targets) in zip(*epochs, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(its_targets, other_targets)


def test_the_order_is_the_seeds(folder: Path) -> None:
    windows = dataset(folder, ["a", "b", "c", "d"], in_memory=True)

    def order(seed: int) -> list[float]:
        return cells(torch.cat([b for b, _ in batches(windows, 2, seed)]))

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(10)}) > 3


def test_statistics_are_each_bands_own(tmp_path: Path) -> None:
    log_mel = np.random.default_rng(0).normal(-40, 12, (50, *SHAPE)).astype(np.float16)
    names = [f"{n:02d}" for n in range(50)]
    write_shard(
        tmp_path / shard_name(0), ShardIndex({}, names, ["0" * 64] * 50, [1] * 50, SHAPE), log_mel
    )
    windows = dataset(tmp_path, names[:30], in_memory=True)
    mean, std = mean_and_std(windows, batch_size=7)
    used = log_mel[:30].astype(np.float64)
    np.testing.assert_allclose(mean, used.mean(axis=(0, 2)), rtol=1e-5)
    np.testing.assert_allclose(std, used.std(axis=(0, 2)), rtol=1e-4)


def test_a_constant_band_is_not_divided_by_zero(folder: Path) -> None:
    _, std = mean_and_std(dataset(folder, ["a"], in_memory=True))
    assert (std == 1).all()

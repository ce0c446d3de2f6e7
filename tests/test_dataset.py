from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_files import read_log_mel, write_shard

from timbre.dataset import (
    READ_ROWS,
    Integers,
    SpectrogramDataset,
    WindowTable,
    batches,
    find_windows,
    load_dataset,
    map_dataset,
    mean_and_std,
)
from timbre.problems import InputError
from timbre.shards import Half, ShardIndex, shard_name

SHAPE = (4, 6)
CPU = torch.device("cpu")
Make = Callable[[WindowTable, Integers], SpectrogramDataset]
both = pytest.mark.parametrize("make", [load_dataset, map_dataset])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards, four clips; clip b has two windows. Each cell says which window it is in."""
    write(tmp_path / shard_name(0), ["a", "b"], [1, 2], numbered(0, 3))
    write(tmp_path / shard_name(1), ["c", "d"], [1, 1], numbered(3, 2))
    return tmp_path


def write(path: Path, clip_ids: list[str], n_windows: list[int], log_mel: Half) -> None:
    index = ShardIndex({}, clip_ids, ["0" * 64] * len(clip_ids), n_windows, SHAPE)
    write_shard(path, index, log_mel)


def numbered(first: int, count: int) -> Half:
    cells = np.arange(first, first + count, dtype=np.float16)[:, None, None]
    return np.broadcast_to(cells, (count, *SHAPE)).astype(np.float16)


def noise(count: int, seed: int = 0) -> Half:
    return np.random.default_rng(seed).normal(-40, 12, (count, *SHAPE)).astype(np.float16)


def dataset(make: Make, folder: Path, clip_ids: list[str]) -> SpectrogramDataset:
    return make(find_windows(folder, clip_ids), np.arange(len(clip_ids)) * 10)


def cells(log_mel: torch.Tensor) -> list[float]:
    return [float(value) for value in log_mel.reshape(-1, *SHAPE)[:, 0, 0]]


def indices(*chosen: int) -> torch.Tensor:
    return torch.tensor(chosen, dtype=torch.int64)


def test_windows_follow_the_order_of_the_clips_asked_for(folder: Path) -> None:
    table = find_windows(folder, ["d", "b", "a"])
    assert table.clip.tolist() == [0, 1, 1, 2]
    assert table.shard.tolist() == [1, 0, 0, 0]
    assert table.row.tolist() == [1, 1, 2, 0]
    assert table.shape == SHAPE
    assert len(table) == 4
    assert table.n_bytes() == 4 * 4 * 6 * 2


def test_clips_without_spectrogram_are_counted_and_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no spectrogram of 2 clips \(the first is x\)"):
        find_windows(folder, ["a", "x", "y"])


@both
def test_a_batch_is_its_windows_in_any_order(folder: Path, make: Make) -> None:
    windows = dataset(make, folder, ["d", "b", "a"])
    assert len(windows) == 4
    assert windows.device == CPU
    ((log_mel, targets),) = batches(windows, 5, indices(3, 0, 2, 2, 1))
    assert log_mel.shape == (5, 1, *SHAPE)
    assert log_mel.dtype == torch.float16
    assert cells(log_mel) == [0, 4, 2, 2, 1]
    assert targets.tolist() == [20, 0, 10, 10, 10]


@both
def test_what_is_done_to_a_batch_reaches_no_later_one(folder: Path, make: Make) -> None:
    windows = dataset(make, folder, ["a", "b"])
    stored = (folder / shard_name(0)).read_bytes()
    for _ in range(2):
        for chosen in (indices(1), indices(0, 1, 2), indices(2, 2)):
            ((log_mel, targets),) = batches(windows, 3, chosen)
            assert cells(log_mel) == chosen.tolist()
            assert targets.tolist() == [[0, 10, 10][index] for index in chosen.tolist()]
            log_mel.fill_(-99)
            targets.fill_(-99)
    assert (folder / shard_name(0)).read_bytes() == stored


@both
def test_an_epoch_sees_each_window_once_in_the_order_given(folder: Path, make: Make) -> None:
    windows = dataset(make, folder, ["a", "b", "c", "d"])
    shuffled = list(batches(windows, 2, indices(4, 1, 0, 3, 2)))
    assert [len(targets) for _, targets in shuffled] == [2, 3]  # none alone
    assert cells(torch.cat([log_mel for log_mel, _ in shuffled])) == [4, 1, 0, 3, 2]
    assert torch.cat([targets for _, targets in shuffled]).tolist() == [30, 10, 0, 20, 10]
    in_order = list(batches(windows, 3))
    assert [len(targets) for _, targets in in_order] == [3, 2]
    assert cells(torch.cat([log_mel for log_mel, _ in in_order])) == [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Half]]:
    """Three shards with more windows than are read at a time, and the windows of each clip."""
    folder = tmp_path_factory.mktemp("large")
    clips: dict[str, Half] = {}
    for number, n_windows in enumerate(([1] * 150, [READ_ROWS + 9, 0, 2], [1, 70, 1])):
        log_mel = noise(sum(n_windows), seed=number)
        clip_ids = [f"{number}/{n:03d}" for n in range(len(n_windows))]
        write(folder / shard_name(number), clip_ids, n_windows, log_mel)
        ends = np.cumsum(n_windows)[:-1]
        clips |= dict(zip(clip_ids, np.split(log_mel, ends), strict=True))
    return folder, clips


@settings(max_examples=20)
@given(st.data())
def test_memory_and_files_give_the_same_batches_of_any_clips_in_any_order(
    large: tuple[Path, dict[str, Half]], data: st.DataObject
) -> None:
    folder, clips = large
    chosen = data.draw(st.lists(st.sampled_from(sorted(clips)), min_size=1, max_size=40))
    table = find_windows(folder, chosen)
    expected = np.concatenate([clips[clip_id] for clip_id in chosen])
    order = torch.from_numpy(np.random.default_rng(len(table)).permutation(len(table)))
    targets = np.arange(len(chosen))
    epochs = [list(batches(make(table, targets), 7, order)) for make in (load_dataset, map_dataset)]
    for kept in epochs:
        log_mel = np.concatenate([batch.numpy() for batch, _ in kept] or [expected[:, None]])
        assert log_mel[:, 0].tobytes() == expected[order.numpy()].tobytes()
        met = [target for _, batch in kept for target in batch.tolist()]
        assert met == table.clip[order.numpy()].tolist()


def test_files_may_go_once_they_are_mapped(folder: Path) -> None:
    windows = dataset(map_dataset, folder, ["a", "c"])
    for path in folder.iterdir():
        path.unlink()
    assert cells(windows.read(indices(1, 0))) == [3, 0]


@both
@pytest.mark.parametrize("row", [0, READ_ROWS, 2 * READ_ROWS + 1])
def test_a_flipped_byte_is_found_before_the_first_batch(
    tmp_path: Path, make: Make, row: int
) -> None:
    count = 2 * READ_ROWS + 2
    for number in range(2):
        names = [f"{number}/{n}" for n in range(count)]
        write(tmp_path / shard_name(number), names, [1] * count, noise(count, number))
    path = tmp_path / shard_name(1)
    window = read_log_mel(path, slice(row, row + 1)).tobytes()
    good = path.read_bytes()
    assert good.count(window) == 1
    path.write_bytes(good.replace(window, window[:7] + bytes([window[7] ^ 4]) + window[8:]))
    clean = dataset(make, tmp_path, [f"0/{n}" for n in range(count)])
    assert len(clean) == count
    with pytest.raises(InputError, match=r"shard-0001\.h5: damaged .*: delete it and its copy in"):
        dataset(make, tmp_path, ["0/0", f"1/{row}"])


@both
@pytest.mark.parametrize("batch_size", [7, 64])
def test_statistics_are_each_bands_own(tmp_path: Path, make: Make, batch_size: int) -> None:
    log_mel = noise(50)
    log_mel[:, 1] = log_mel[:, 1] / 8 - 70
    names = [f"{n:02d}" for n in range(50)]
    write(tmp_path / shard_name(0), names, [1] * 50, log_mel)
    mean, std = mean_and_std(dataset(make, tmp_path, names[:30]), batch_size)
    used = log_mel[:30].astype(np.float64)
    assert mean.dtype == std.dtype == torch.float32
    np.testing.assert_allclose(mean, used.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, used.std(axis=(0, 2)), rtol=1e-5)


def test_statistics_stay_exact_over_many_windows() -> None:
    # Sums in float32 over so many cells would be off by three times what is allowed here.
    n, n_frames = 2000, 256
    rng = np.random.default_rng(0)
    log_mel = rng.normal(-60, 2, (n, 1, 2, n_frames)).astype(np.float16)
    rows = np.arange(n)
    table = WindowTable([], (2, n_frames), rows, rows, rows)
    windows = SpectrogramDataset(table, torch.from_numpy(rows), torch.from_numpy(log_mel))
    mean, std = mean_and_std(windows)
    exact = log_mel[:, 0].astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, exact.std(axis=(0, 2)), rtol=3e-5)


def test_a_constant_band_is_not_divided_by_zero(folder: Path) -> None:
    _, std = mean_and_std(dataset(load_dataset, folder, ["a"]))
    assert (std == 1).all()

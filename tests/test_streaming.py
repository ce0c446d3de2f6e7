import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_files import write_shard

from timbre.dataset import (
    Batch,
    Integers,
    SpectrogramDataset,
    WindowTable,
    batch_slices,
    batches,
    find_windows,
    load_dataset,
    mean_and_std,
)
from timbre.epoch_order import BLOCK_ROWS
from timbre.problems import InputError
from timbre.shards import Half, ShardIndex, shard_name
from timbre.stored_windows import StoredWindows
from timbre.streaming import (
    AHEAD,
    BESIDES,
    MAPPED_BYTES,
    StreamedDataset,
    map_or_stream,
    plan,
    stream_dataset,
)

SHAPE = (3, 5)
N_WINDOWS = [[1] * 300, [0, 2, BLOCK_ROWS + 9, 0, 1], [1] * (2 * BLOCK_ROWS), [5] * 30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of several blocks, clips of no to many windows."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for number, n_windows in enumerate(N_WINDOWS):
        log_mel = rng.normal(-40, 12, (sum(n_windows), *SHAPE)).astype(np.float16)
        write(folder / shard_name(number), clip_ids(number), n_windows, log_mel)
    return folder


def clip_ids(number: int) -> list[str]:
    return [f"{number}/{n:03d}" for n in range(len(N_WINDOWS[number]))]


def write(path: Path, clips: list[str], n_windows: list[int], log_mel: Half) -> None:
    index = ShardIndex({}, clips, ["0" * 64] * len(clips), n_windows, log_mel.shape[1:])
    write_shard(path, index, log_mel)


def some(folder: Path, seed: int, share: float) -> WindowTable:
    """Return the windows of a random share of the clips, in any order."""
    rng = np.random.default_rng(seed)
    all_clips = [clip_id for number in range(len(N_WINDOWS)) for clip_id in clip_ids(number)]
    chosen = [clip_id for clip_id in all_clips if rng.random() < share] or [all_clips[0]]
    return find_windows(folder, rng.permutation(chosen).tolist())


def both(table: WindowTable, buffer: int = 1) -> tuple[StreamedDataset, SpectrogramDataset]:
    targets = np.arange(int(table.clip.max()) + 1) * 3
    return stream_dataset(table, targets, buffer), load_dataset(table, targets)


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def readers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("timbre-reader")]


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for pair in zip(one, other, strict=True)
        for a, b in zip(*pair, strict=True)
    )


CASES = {
    "seed": st.integers(0, 10_000),
    "share": st.sampled_from([0.05, 0.7, 1.0]),
    "buffer": st.integers(1, 700),
    "batch_size": st.integers(1, 70),
}


@settings(max_examples=40)
@given(**CASES, shuffled=st.sampled_from(["streamed", "anyhow", "not"]))
def test_a_stream_gives_the_batches_that_memory_gives_in_any_order(
    folder: Path, seed: int, share: float, buffer: int, batch_size: int, shuffled: str
) -> None:
    streamed, in_memory = both(some(folder, seed, share), buffer)
    order = {
        "streamed": streamed.epoch_order(chance(seed)),
        "anyhow": torch.randperm(len(streamed), generator=chance(seed)),
        "not": streamed.reading_order(),
    }[shuffled]
    found = list(batches(streamed, batch_size, order))
    assert same(found, list(batches(in_memory, batch_size, order)))
    assert all(log_mel.dtype == torch.float16 for log_mel, _ in found)
    assert readers() == []


def dealt(n: int, batch_size: int, n_ranks: int) -> list[list[slice]]:
    """Return each rank's part of every batch."""
    edges = [
        np.linspace(batch.start, batch.stop, n_ranks + 1).astype(int).tolist()
        for batch in batch_slices(n, batch_size)
    ]
    return [[slice(e[rank], e[rank + 1]) for e in edges] for rank in range(n_ranks)]


@settings(max_examples=40)
@given(**CASES, n_ranks=st.integers(2, 4))
def test_the_parts_of_several_processes_are_the_batches_of_one(
    folder: Path, seed: int, share: float, buffer: int, batch_size: int, n_ranks: int
) -> None:
    streamed, in_memory = both(some(folder, seed, share), buffer)
    order = streamed.epoch_order(chance(seed))
    whole = list(batches(in_memory, batch_size, order))
    ranks = [
        list(batches(streamed, batch_size, order, parts))
        for parts in dealt(len(order), batch_size, n_ranks)
    ]
    for batch, *own in zip(whole, *ranks, strict=True):
        log_mel, targets = (torch.cat(parts) for parts in zip(*own, strict=True))
        assert same([batch], [(log_mel, targets)])


class Counting(StoredWindows):
    """Notes which windows are read together."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[str, tuple[int, ...]]] = []

    def read(self, path: Path, rows: Integers) -> Half:
        self.reads.append((path.name, tuple(rows.tolist())))
        return super().read(path, rows)


def counted(table: WindowTable, buffer: int) -> tuple[StreamedDataset, Counting]:
    stored = Counting()
    targets = torch.zeros(len(table), dtype=torch.int64)
    return StreamedDataset(table, targets, [], buffer, stored), stored


@settings(max_examples=20)
@given(**CASES, n_ranks=st.integers(1, 3))
def test_an_epoch_reads_each_block_once_and_of_it_what_is_asked_for(
    folder: Path, seed: int, share: float, buffer: int, batch_size: int, n_ranks: int
) -> None:
    table = some(folder, seed, share)
    streamed, stored = counted(table, buffer)
    order = streamed.epoch_order(chance(seed))
    parts = dealt(len(order), batch_size, n_ranks)[0]
    for _ in batches(streamed, batch_size, order, parts):
        pass
    own = torch.cat([order[:0], *(order[part] for part in parts)])
    met = [(name, row) for name, rows in stored.reads for row in rows]
    asked = zip(table.shard[own].tolist(), table.row[own].tolist(), strict=True)
    assert Counter(met) == Counter((shard_name(shard), row) for shard, row in asked)
    blocks = [(name, rows[0] // BLOCK_ROWS) for name, rows in stored.reads]
    assert len({*blocks}) == len(blocks)
    assert all(rows[-1] // BLOCK_ROWS == rows[0] // BLOCK_ROWS for _, rows in stored.reads)


@settings(max_examples=60)
@given(**CASES)
def test_no_more_is_held_than_the_buffer_a_block_and_a_batch(
    folder: Path, seed: int, share: float, buffer: int, batch_size: int
) -> None:
    table = some(folder, seed, share)
    order = stream_dataset(table, np.zeros(999, int), buffer).epoch_order(chance(seed))
    n_batches = -(-len(order) // batch_size)
    sizes = [len(part) for part in np.array_split(order.numpy(), n_batches)] if n_batches else []
    assert plan(table, order.numpy(), sizes).most <= buffer + BLOCK_ROWS + batch_size


def test_an_epoch_takes_no_more_memory_than_is_reckoned_with(tmp_path: Path) -> None:
    n, shape, batch_size, buffer = 3000, (64, 64), 16, 600
    names = [f"{number:04d}" for number in range(n)]
    for shard in range(2):
        own = names[shard::2]
        write(tmp_path / shard_name(shard), own, [1] * len(own), np.zeros((n // 2, *shape), "<f2"))
    table = find_windows(tmp_path, names)
    streamed = stream_dataset(table, np.zeros(n, int), buffer)
    order = streamed.epoch_order(chance(0))
    tracemalloc.start()
    for _ in batches(streamed, batch_size, order):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    window = 2 * shape[0] * shape[1]
    assert buffer * window < peak < (buffer + BESIDES + batch_size + 1) * window < n * window


def test_the_reader_goes_ahead_of_training_but_not_far(folder: Path) -> None:
    """Nothing waits for a block that is read only when it is needed, nor are all read at once."""
    table = find_windows(folder, clip_ids(0) + clip_ids(2))
    streamed, stored = counted(table, 1)
    with closing(batches(streamed, 1, streamed.reading_order())) as found:
        next(found)
    # Closed: what was asked for ahead has been read, or was dropped before it began.
    assert 1 <= len(stored.reads) <= AHEAD + 1


class TrainingStoppedError(Exception):
    """Stands for whatever ends a training step, Ctrl-C among it."""


def test_threads_end_with_the_epoch_however_it_ends(folder: Path) -> None:
    streamed, _ = both(some(folder, 0, 1.0), 100)

    def train(found: Iterator[Batch]) -> None:
        next(found)
        assert readers()
        raise TrainingStoppedError

    with pytest.raises(TrainingStoppedError), closing(batches(streamed, 8)) as found:
        train(found)
    assert readers() == []


def test_a_damaged_window_ends_the_epoch_as_an_input_error(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / shard_name(2)
    row = StoredWindows().read(path, np.array([70])).tobytes()
    path.write_bytes(path.read_bytes().replace(row, row[:5] + bytes([row[5] ^ 1]) + row[6:]))
    streamed, _ = both_streamed(some(tmp_path, 0, 1.0))
    for order in (streamed.reading_order(), streamed.epoch_order(chance(0))):
        with pytest.raises(
            InputError, match=r"shard-0002\.h5: damaged \(the checksum of window 70"
        ):
            for _ in batches(streamed, 8, order):
                pass
        assert readers() == []


def both_streamed(table: WindowTable) -> tuple[StreamedDataset, Integers]:
    targets = np.arange(int(table.clip.max()) + 1)
    return stream_dataset(table, targets, 300), targets


def test_statistics_are_those_of_memory_to_the_last_bit_of_a_float(folder: Path) -> None:
    streamed, in_memory = both(some(folder, 1, 0.7))
    for one, other in zip(mean_and_std(streamed), mean_and_std(in_memory), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


def test_single_windows_are_read_like_those_in_memory(folder: Path) -> None:
    streamed, in_memory = both(some(folder, 2, 0.7))
    chosen = torch.tensor([5, 0, 5, 17])
    assert torch.equal(streamed.read(chosen), in_memory.read(chosen))


def test_what_is_done_to_a_batch_reaches_no_later_one(folder: Path) -> None:
    streamed, in_memory = both(some(folder, 3, 1.0), 100)
    order = streamed.epoch_order(chance(3))
    for found, expected in zip(
        batches(streamed, 7, order), batches(in_memory, 7, order), strict=True
    ):
        assert same([found], [expected])
        found[0].fill_(-99)
        found[1].fill_(-99)


def test_a_split_without_windows_has_no_batches(folder: Path) -> None:
    streamed, _ = both_streamed(find_windows(folder, ["1/001"]))
    empty = stream_dataset(find_windows(folder, ["1/000"]), np.zeros(1, int))
    assert len(list(batches(streamed, 8))) == 1
    assert list(batches(empty, 8, empty.epoch_order(chance(0)))) == []


def test_what_is_looked_at_once_is_streamed_if_it_is_large(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = some(folder, 0, 1.0)
    targets = np.zeros(999, int)
    assert table.n_bytes() < MAPPED_BYTES
    assert not isinstance(map_or_stream(table, targets), StreamedDataset)
    monkeypatch.setattr("timbre.streaming.MAPPED_BYTES", table.n_bytes() - 1)
    assert isinstance(map_or_stream(table, targets), StreamedDataset)

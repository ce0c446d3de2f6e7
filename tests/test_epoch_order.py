import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from timbre.epoch_order import (
    BLOCK_ROWS,
    SIDE_BY_SIDE,
    Integers,
    block_numbers,
    block_turns,
    buffered_order,
    streamed_order,
)

SEEDS = st.integers(0, 2**32)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def corpus(n_shards: int, n_rows: int) -> tuple[Integers, Integers]:
    """Full shards: shard and row of each window."""
    return np.repeat(np.arange(n_shards), n_rows), np.tile(np.arange(n_rows), n_shards)


@given(st.integers(0, 300), st.integers(-1, 400), SEEDS)
def test_each_window_leaves_the_buffer_once_and_never_before_it_came(
    n: int, buffer: int, seed: int
) -> None:
    order = buffered_order(n, buffer, chance(seed))
    assert sorted(order.tolist()) == list(range(n))
    # Before the k-th leaves, k have left, and no more than `buffer` are there.
    assert (order - np.arange(n) < max(buffer, 1)).all()


@given(st.integers(1, 300), st.integers(1, 400), SEEDS)
def test_the_buffer_fills_by_one_window_a_step_from_a_quarter_on(
    n: int, buffer: int, seed: int
) -> None:
    order = buffered_order(n, buffer, chance(seed))
    quarter = -(-min(buffer, n) // 4)
    assert (order < quarter + 2 * np.arange(n)).all()


def test_a_buffer_as_large_as_the_split_makes_every_late_order_likely() -> None:
    """The last to leave are any: over many seeds, each of three windows is last a third of times.

    What leaves first is of the first quarter, for that is all that training waits for.
    """
    lasts = [int(buffered_order(3, 3, chance(seed))[-1]) for seed in range(600)]
    assert np.bincount(lasts, minlength=3)[1:].min() > 200
    assert {int(buffered_order(9, 9, chance(seed))[0]) for seed in range(50)} == {0, 1, 2}


@given(st.data(), SEEDS, st.integers(1, 500))
def test_an_epoch_is_every_window_once_and_its_generator_alone_decides(
    data: st.DataObject, seed: int, buffer: int
) -> None:
    n = data.draw(st.integers(0, 200))
    rows = st.lists(st.integers(0, 3 * BLOCK_ROWS), min_size=n, max_size=n)
    shard = np.array(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)), np.int64)
    row = np.array(data.draw(rows), np.int64)
    order = streamed_order(shard, row, buffer, chance(seed))
    assert sorted(order.tolist()) == list(range(n))
    assert (order == streamed_order(shard, row, buffer, chance(seed))).all()


def test_epochs_differ() -> None:
    shard, row = corpus(20, 30)
    orders = {tuple(streamed_order(shard, row, 100, chance(seed))) for seed in range(5)}
    assert len(orders) == 5


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), SEEDS)
def test_a_shard_is_read_whole_before_shards_of_a_later_group(
    n_blocks: list[int], seed: int
) -> None:
    """At no time are more shards begun and not ended than are read side by side."""
    shard = np.repeat(np.arange(len(n_blocks)), n_blocks)
    turns = block_turns(shard, chance(seed))
    assert sorted(turns.tolist()) == list(range(len(shard)))
    spans = [(turns[shard == s].min(), turns[shard == s].max()) for s in range(len(n_blocks))]
    for turn in range(len(shard)):
        assert sum(first <= turn <= last for first, last in spans) <= SIDE_BY_SIDE


def test_a_block_is_of_one_shard_and_so_many_of_its_rows() -> None:
    shard = np.array([3, 0, 3, 0, 3])
    row = np.array([BLOCK_ROWS - 1, 0, BLOCK_ROWS, BLOCK_ROWS - 1, 0])
    assert block_numbers(shard, row).tolist() == [1, 0, 2, 0, 1]


def n_classes_met(classes: Integers, order: Integers, batch_size: int) -> float:
    """Return how many classes a batch has, in the mean."""
    batches = np.split(classes[order], np.arange(batch_size, len(order), batch_size))
    return float(np.mean([len(np.unique(batch)) for batch in batches]))


def test_batches_are_as_mixed_as_in_memory_though_each_shard_is_sorted_by_class() -> None:
    """The common complaint about streaming: what stands together in a file meets in a batch."""
    shard, row = corpus(32, 400)
    classes = row // 20  # 20 classes, each 20 rows in sequence
    mixed = n_classes_met(classes, torch.randperm(len(row), generator=chance()).numpy(), 16)
    in_files = n_classes_met(classes, np.arange(len(row)), 16)
    for share, least in ((4, 0.98), (16, 0.95)):
        order = streamed_order(shard, row, len(row) // share, chance())
        assert n_classes_met(classes, order, 16) > least * mixed
    assert in_files < 0.2 * mixed

"""In which order an epoch takes windows that do not fit into memory together.

Shards in random order, some side by side, and of these the blocks of rows in random order; then a
shuffle buffer. A shard is a sample of all clips, dealt by a hash, but within it the clips are
sorted by name, and so mostly by class: what stands together in a file must not stay together.
"""

import numpy as np
import numpy.typing as npt
import torch

BLOCK_ROWS = 64  # of a shard, read together: 4 MB of the usual windows
SIDE_BY_SIDE = 8  # shards read at a time
STARTS_AT = 4  # training begins when this fraction of the shuffle buffer is full

Integers = npt.NDArray[np.int64]


def block_numbers(shard: Integers, row: Integers) -> Integers:
    """Return the block `(n,)` of each window, numbered in the order of shards and their rows."""
    per_shard = int(row.max(initial=0)) // BLOCK_ROWS + 1
    return np.asarray(np.unique(shard * per_shard + row // BLOCK_ROWS, return_inverse=True)[1])


def streamed_order(
    shard: Integers, row: Integers, buffer: int, generator: torch.Generator
) -> Integers:
    """Return all windows once, in an order for training that `generator` alone decides.

    `shard` and `row` `(n,)` say where each window lies. Who reads each block whole when its first
    window is due holds no more than `buffer` windows and one block, and what is due together.
    """
    block = block_numbers(shard, row)
    turn = block_turns(_of_blocks(block, shard), generator)
    arrivals = np.lexsort((row, turn[block]))
    return np.asarray(arrivals[buffered_order(len(arrivals), buffer, generator)])


def block_turns(shard_of_block: Integers, generator: torch.Generator) -> Integers:
    """Return when each block has its turn, `(n_blocks,)`, a permutation of 0 to n - 1.

    A shard is read whole while it and its neighbours in a random order of shards have their turn.
    """
    _, shard = np.unique(shard_of_block, return_inverse=True)
    places = torch.randperm(int(shard.max(initial=-1)) + 1, generator=generator).numpy()
    chance = torch.randperm(len(shard), generator=generator).numpy()
    turns = np.empty(len(shard), np.int64)
    turns[np.lexsort((chance, places[shard] // SIDE_BY_SIDE))] = np.arange(len(shard))
    return turns


def buffered_order(n: int, buffer: int, generator: torch.Generator) -> Integers:
    """Return the order in which `n` windows that arrive as 0, 1, 2 ... leave a shuffle buffer.

    Each that leaves is drawn from all in the buffer; it makes room for the next that arrives. Until
    the buffer is full two arrive for one that leaves: training need not wait for all of it, nor
    begins with what stands together in a file. Window w leaves after at least w - buffer others.
    """
    buffer = min(max(buffer, 1), n)
    at_first = -(-buffer // STARTS_AT)
    n_grown = min(buffer - at_first, (n - at_first) // 2)
    size = at_first + n_grown
    n_drawn = n - size  # while there still are some to come; the last `size` leave in any order
    sizes = np.minimum(at_first + np.arange(n_drawn), size)
    drawn = (torch.rand(n_drawn, generator=generator, dtype=torch.float64).numpy() * sizes).astype(
        np.int64
    )
    # A place in the buffer is taken and left in turn. So the i-th window that takes it is the i-th
    # that leaves it, and two stable sorts by place match all of them.
    in_places = np.concatenate([np.arange(at_first), _taken(drawn, at_first, n_grown)])
    last = torch.randperm(size, generator=generator).numpy()
    out_places = np.concatenate([drawn, last])
    order = np.empty(n, np.int64)
    order[np.argsort(out_places, kind="stable")] = np.argsort(in_places, kind="stable")
    return order


def _taken(drawn: Integers, at_first: int, n_grown: int) -> Integers:
    """Return the places that later arrivals take: that which was left, and while it grows a new."""
    growing = np.stack([drawn[:n_grown], at_first + np.arange(n_grown)], axis=1)
    return np.concatenate([growing.ravel(), drawn[n_grown:]])


def _of_blocks(block: Integers, of_windows: Integers) -> Integers:
    """Return for each block what is the same for all its windows."""
    found = np.empty(int(block.max(initial=-1)) + 1, np.int64)
    found[block] = of_windows
    return found

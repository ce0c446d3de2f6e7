"""The processes that train one network together: each one's share, and what they add up.

One process is a team of its own, and does what it would do without one. Each of several holds the
whole network, takes its slice of every batch, and steps with the gradient of the whole batch. So
`batch_size` means the same for any number of them, and no learning rate must change.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import torch
from torch import distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store

from timbre.dataset import batch_slices
from timbre.problems import InputError
from timbre.shared_norm import share_norms

LEAST = 2  # windows of a batch that a process takes: mixup and babble need another one
PATIENCE = timedelta(minutes=10)  # for processes that start later
PRIME = 1_000_003
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Share:
    """What one process does of a batch."""

    own: slice  # of the epoch's order
    n_windows: int  # of the whole batch
    # Of the mean loss over the own windows: over all processes, the mean of these weighted losses
    # is the whole batch's mean loss, and so are the gradients.
    weight: float


@dataclass(frozen=True)
class Team:
    """One process, by its rank, of `size` that train together; rank 0 alone writes and talks."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Tell whether this process writes files and messages."""
        return self.rank == 0

    def deal(self, n_windows: int, batch_size: int) -> Iterator[Share]:
        """Yield this process's share of each batch of an epoch.

        Every window is dealt once, none is repeated to fill a share up, and every process gets at
        least LEAST windows of every batch, so that none waits for another in vain. A rest that is
        too small for that joins the batch before it. Needs `batch_size` of at least LEAST * size.
        """
        for batch in batch_slices(n_windows, batch_size, LEAST * self.size):
            n = batch.stop - batch.start
            part = self.part(n)
            own = slice(batch.start + part.start, batch.start + part.stop)
            yield Share(own, n, (part.stop - part.start) * self.size / n)

    def part(self, n: int) -> slice:
        """Return this process's part of n things; parts differ by one at most."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def join(self, network: nn.Module) -> nn.Module | None:
        """Return the network as it adds up gradients over the team; None for one process.

        Weights and buffers become those of rank 0. Batch norms of `network` are replaced.
        """
        if self.size == 1:
            return None
        share_norms(network, self.device)
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            network, device_ids=devices, forward_sync_buffers=False
        )

    def seed_own(self) -> None:
        """Have dropout silence other units in each process, by the seed that all have set."""
        if self.rank:
            torch.manual_seed((torch.initial_seed() + self.rank * PRIME) % 2**63)

    def sum(self, *values: float) -> list[float]:
        """Return the sum of each value over the team."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(sums)
        return [float(value) for value in sums]

    def check_same(self, text: str) -> None:
        """Raise InputError, in all processes, if they do not start from the same."""
        if self.size == 1:
            return
        digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        extremes = torch.tensor([digest, -digest], device=self.device)
        distributed.all_reduce(extremes, distributed.ReduceOp.MAX)
        if extremes[0] != -extremes[1]:
            raise InputError(
                "the processes that train together see different data, settings, code or "
                "checkpoints: give all of them the same files, in a folder that all machines share"
            )

    def leave(self) -> None:
        """Part from the others, when nothing more is added up."""
        if self.size > 1:
            distributed.destroy_process_group()


ALONE = Team()


def is_rank() -> bool:
    """Tell whether a launcher, torch's or ours, has started this as one of several processes."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


@cache
def store() -> Store:
    """Return where the processes of a team leave each other messages."""
    rank, host, port = (os.environ[name] for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"))
    by_launcher = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    shared = distributed.TCPStore(  # type: ignore[attr-defined]
        host, int(port), is_master=rank == "0" and not by_launcher, timeout=PATIENCE
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"timbre/{attempt}", shared)


def join_team(device: torch.device) -> Team:
    """Find the other processes; return this one's place, on a GPU of its own where they have some.

    Without a launcher it is the only one, on `device`.
    """
    if not is_rank():
        return Team(device=device)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    on_gpu = device.type == "cuda"
    if on_gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store(),
        rank=rank,
        world_size=size,
        device_id=device if on_gpu else None,
    )
    return Team(rank, size, device)

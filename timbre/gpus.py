"""Several trainings on one machine, each on a GPU of its own as long as there are enough.

Locks on files tell who holds which. The system drops them when a process ends, in whatever way.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

MOST = 64  # trainings on one GPU
_held: list[FileLock] = []  # as long as this process lives


def spread(device: torch.device) -> torch.device:
    """Return `device`; of several GPUs, if none is named, one that fewest of our processes hold.

    It is then this process's current one, and counts as held until the process ends.
    """
    n_gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if n_gpus < 2 or device.index is not None:
        return device
    # By name, not by number: CUDA_VISIBLE_DEVICES may number them anew for each process.
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(n_gpus)]
    number = hold_one(names, user_cache_path("timbre") / "gpus")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def hold_one(names: Sequence[str], folder: Path) -> int:
    """Hold one of the named, of those that fewest processes hold the first; return its number.

    Where no lock can be had in `folder`, that is 0, as if nobody else were there.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for place in range(MOST):
            for number, name in enumerate(names):
                lock = FileLock(folder / f"{name}-{place}.lock", timeout=0)
                with suppress(Timeout):
                    lock.acquire()
                    _held.append(lock)
                    return number
    return 0

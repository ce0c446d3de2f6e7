"""Reads files by the project's own readers, in a process whose memory is limited; prints what came.

    python limited.py model|shard|checkpoint|classifier FOLDER

Each file of FOLDER in turn, in one process: its start takes longer than all of them. The answer is
JSON: by the file's name the exception's type and its message, or null for a file that was read.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from timbre.checkpoint import load_checkpoint
from timbre.dataset import batches, find_windows, load_dataset
from timbre.model_file import load_model
from timbre.predict import Classifier
from timbre.problems import InputError
from timbre.shards import map_windows, read_index
from timbre.streaming import stream_dataset

MOST_MEMORY = 1 << 30  # bytes on top of what the imports take


def read_shard(path: Path) -> None:
    """Read all that the stages read of a shard, in each of the ways they do it."""
    problems = []
    for read in (read_index, map_windows, _load, _stream):
        try:
            read(path)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def _load(path: Path) -> None:
    """Load the only shard of a folder for training, whatever its index says that it holds."""
    clip_ids = read_index(path).clip_ids
    load_dataset(find_windows(path.parent, clip_ids), np.zeros(len(clip_ids), np.int64))


def _stream(path: Path) -> None:
    """Read it as a training does whose windows do not fit into memory."""
    clip_ids = read_index(path).clip_ids
    table = find_windows(path.parent, clip_ids)
    for _ in batches(stream_dataset(table, np.zeros(len(clip_ids), np.int64)), 2):
        pass


def read_checkpoint(path: Path) -> None:
    """Go on with a training; a state that cannot be used is no error, but changes nothing."""
    network = torch.nn.Linear(3, 2)
    before = [value.clone() for value in network.state_dict().values()]
    optimizer = torch.optim.AdamW(network.parameters())
    found = load_checkpoint(path, "x", network, optimizer)
    after = network.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not optimizer.state_dict()["state"]
    assert found is None


READERS: dict[str, Callable[[Path], object]] = {
    "model": load_model,
    "classifier": Classifier.load,
    "checkpoint": read_checkpoint,
    "shard": read_shard,
}


def limit_memory() -> None:
    """Let this process take no more than MOST_MEMORY from now on, where the system can say it."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(kind: str, folder: Path) -> None:
    """Read each file of the folder, or the shard in each folder of it."""
    limit_memory()
    told: dict[str, tuple[str, str] | None] = {}
    for path in sorted(folder.iterdir()):
        own = path / "shard-0000.h5" if kind == "shard" else path
        try:
            READERS[kind](own)
            told[path.stem] = None
        except Exception as error:
            told[path.stem] = type(error).__name__, str(error)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""Extraction on a cluster: two workers against one, and what a task costs those who hand it on.

The measures feed `bench/cluster_simulation.py`, which tells what a thousand workers would do.
"""

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psutil

from bench import cluster_simulation, dask_processes, ours
from bench.corpora import reciter_wavs
from bench.figures import Figure, value_figure
from bench.machine import n_cores
from bench.pairs import Side, compare
from bench.workshop import Workshop, params
from timbre.cluster import connected
from timbre.cluster_shards import PIECE_BYTES, fill_shards, pieces
from timbre.extraction import Outcome, Piece, ShardTask, fill_piece, without_clip
from timbre.features import n_frames
from timbre.shards import shard_name
from timbre.sources import Source
from timbre.windows import Windowing

LEAST_EFFICIENCY = 0.9
N_SHARDS = 16
Fill = Callable[[Piece], list[Outcome]]


def cluster(workshop: Workshop) -> list[Figure]:
    """Measure the efficiency of two workers, and the seconds of each part of a task."""
    folder = workshop.new_folder("cluster")
    sources = listed(folder / "corpus", workshop.size(8000, 600))
    fill, shape = recipe(folder / "corpus")
    with running(folder, 1) as one, running(folder, 2) as two:
        sides = [
            Side(partial(extract, sources, shape, fill, address, folder / "shards"), len(sources))
            for address, _ in (one, two)
        ]
        found = compare(sides[0], sides[1], workshop.pairs(5))
        measured = measure_parts(sources, shape, fill, one, folder / "shards")
    if not workshop.quick:
        cluster_simulation.keep(measured)
    name = f"extraction on a cluster, {n_cores()} cores"
    return [
        value_figure(
            f"{name}: efficiency of 2 workers against 1",
            [ratio / 2 for ratio in found.ratios],
            "",
            target=LEAST_EFFICIENCY,
            target_is="at least",
        ),
        value_figure(f"{name}: 1 worker", [1 / s for s in found.baseline_seconds], "clips/s"),
        value_figure(f"{name}: 2 workers", [1 / s for s in found.ours_seconds], "clips/s"),
        value_figure(f"{name}: a task on its worker", measured.task_seconds, "s"),
        value_figure(f"{name}: scheduler, a task", [1000 * measured.scheduler_seconds], "ms"),
        value_figure(f"{name}: client, a task", [1000 * measured.client_seconds], "ms"),
    ]


def measure_parts(
    sources: list[Source],
    shape: tuple[int, int],
    fill: Fill,
    one: tuple[str, list[int]],
    folder: Path,
) -> cluster_simulation.Measured:
    """Measure what tasks take on the one worker, and the processor's time of the others."""
    address, numbers = one
    most = PIECE_BYTES // (2 * shape[0] * shape[1])
    with connected(address) as found:
        cut = pieces(sources, most, lambda _: 1)
        answers = found.map(partial(timed, fill=fill), cut, without_clip)
        task_seconds = [answer.result for answer in answers]
    processes = [psutil.Process(numbers[0]), psutil.Process(os.getpid())]
    before = list(map(busy, processes))
    extract(sources, shape, fill, address, folder)
    spent = [busy(process) - start for process, start in zip(processes, before, strict=True)]
    return cluster_simulation.Measured(
        task_seconds=task_seconds[1:-1] or task_seconds,  # the first warms up, the last is short
        task_clips=most,
        task_bytes=most * 2 * shape[0] * shape[1],
        scheduler_seconds=spent[0] / len(task_seconds),
        client_seconds=spent[1] / len(task_seconds),
    )


def busy(process: psutil.Process) -> float:
    """Return the processor's seconds that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def timed(piece: Piece, fill: Fill) -> float:
    """Return the seconds that a piece takes where it is computed."""
    start = time.perf_counter()
    fill(piece)
    return time.perf_counter() - start


def extract(
    sources: list[Source], shape: tuple[int, int], fill: Fill, address: str, folder: Path
) -> float:
    """Write all shards; return the seconds from the first task to the last shard's rename."""
    dealt = [sources[number::N_SHARDS] for number in range(N_SHARDS)]
    tasks = [
        ShardTask(folder / shard_name(number), shape, own, {}) for number, own in enumerate(dealt)
    ]
    start = time.perf_counter()
    results = list(fill_shards(tasks, address, {}, fill, lambda _: 1))
    seconds = time.perf_counter() - start
    assert sum(result.n_computed for result in results) == len(sources)
    return seconds


def listed(folder: Path, n_clips: int) -> list[Source]:
    """Make clips of real recordings, and list them."""
    paths = reciter_wavs(folder, n_clips, params()["extract"]["sample_rate"])
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    names = [path.relative_to(folder).as_posix() for path in paths]
    return [Source(name, name, digest) for name, digest in zip(names, digests, strict=True)]


def recipe(root: Path) -> tuple[Fill, tuple[int, int]]:
    """Return how params.yaml has a piece of clips below `root` computed, and a window's shape."""
    extract = params()["extract"]
    kept = Windowing(extract["window_seconds"], extract["window_hop_seconds"], keep_all=False)
    rate = extract["sample_rate"]
    fill = partial(fill_piece, root=root, front_end=ours.front_end(), sample_rate=rate, kept=kept)
    return fill, (extract["n_mels"], n_frames(kept.samples(rate), extract["hop_length"]))


@contextmanager
def running(folder: Path, n_workers: int) -> Iterator[tuple[str, list[int]]]:
    """Run a scheduler with workers; yield its address, and the numbers of all processes."""
    with ExitStack() as stack:
        address, scheduler = stack.enter_context(dask_processes.scheduler(folder))
        workers = [
            stack.enter_context(
                dask_processes.worker(address, folder / f"worker-{n_workers}-{number}")
            )
            for number in range(n_workers)
        ]
        yield address, [process.process.pid for process in itertools.chain([scheduler], workers)]

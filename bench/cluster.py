"""Extraction on a cluster: two workers against one, and what a task costs those who hand it on.

The measures feed `bench/cluster_simulation.py`, which tells what a thousand workers would do.
"""

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from bench import cluster_simulation, dask_processes, ours
from bench.cluster_simulation import CLIENT, WORKERS
from bench.corpora import reciter_recordings, reciter_wavs, recordings
from bench.figures import Figure, value_figure
from bench.machine import n_cores
from bench.pairs import Side, compare
from bench.workshop import Workshop, params
from timbre.cluster import Cluster, connected
from timbre.cluster_shards import PIECE_BYTES, fill_shards, pieces
from timbre.extraction import (
    Outcome,
    Piece,
    ShardResult,
    ShardTask,
    fill_piece,
    fill_shard,
    without_clip,
)
from timbre.features import n_frames
from timbre.shards import shard_name
from timbre.sources import Source
from timbre.window_sizes import LONGEST_SECONDS
from timbre.windows import Windowing

LEAST_EFFICIENCY = 0.9
N_SHARDS = 64
# As docs/cluster.md recommends: else Dask's processes wake up fifty times a second and more.
CALM = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING_INTERVAL": "1s",
}


def cluster(workshop: Workshop) -> list[Figure]:
    """Measure the efficiency of two workers, and the seconds of each part of a task."""
    folder = workshop.new_folder("cluster")
    rate = params()["extract"]["sample_rate"]
    wavs = reciter_wavs(folder / "corpus", workshop.size(8000, 600), rate)
    # Of 8000 a task takes 0.2 s, and two workers are through before all is under way: no cluster's
    # work. The same files again are work again: nothing is kept by content.
    corpus = Corpus.of(folder / "shards", folder / "corpus", wavs * workshop.size(3, 1))
    root = recordings() / "reciters" / "Dataset"
    oggs = reciter_recordings()[: workshop.size(1640, 300)]
    compressed = Corpus.of(folder / "shards", root, oggs * workshop.size(3, 1))
    figures, measured = [], {}
    with running(folder, 1) as one, running(folder, 2) as two:
        places, n_pairs = (one[0], two[0]), workshop.pairs(5)
        for way in (WORKERS, CLIENT):
            figures += against_one(corpus, places, way, n_pairs, f"WAV, {rate} Hz")
            measured[way] = measure_parts(corpus, one, way)
            figures += parts(measured[way], way)
        figures += against_one(compressed, places, WORKERS, n_pairs, "Ogg Vorbis, 16000 Hz")
    if not workshop.quick:
        cluster_simulation.keep(measured)
    return figures


def against_one(
    corpus: "Corpus", addresses: tuple[str, str], way: str, n_pairs: int, kind: str
) -> list[Figure]:
    """Measure two workers against one."""
    one, two = (
        Side(partial(extract, corpus, address, way), len(corpus.sources)) for address in addresses
    )
    found = compare(one, two, n_pairs)
    name = f"extraction on a cluster, {kind}, shards written by {way}"
    return [
        value_figure(
            f"{name}: efficiency of 2 workers against 1 on {n_cores()} cores",
            [ratio / 2 for ratio in found.ratios],
            "",
            target=LEAST_EFFICIENCY,
            target_is="at least",
        ),
        value_figure(f"{name}: 1 worker", [1 / s for s in found.baseline_seconds], "clips/s"),
        value_figure(f"{name}: 2 workers", [1 / s for s in found.ours_seconds], "clips/s"),
    ]


def parts(measured: cluster_simulation.Measured, way: str) -> list[Figure]:
    """Return what a task takes where."""
    name = f"extraction on a cluster, shards written by {way}"
    return [
        value_figure(f"{name}: a task on its worker", measured.task_seconds, "s"),
        value_figure(f"{name}: scheduler, a task", [1000 * measured.scheduler_seconds], "ms"),
        value_figure(f"{name}: client, a task", [1000 * measured.client_seconds], "ms"),
    ]


def measure_parts(
    corpus: "Corpus", one: tuple[str, list[int]], way: str
) -> cluster_simulation.Measured:
    """Measure what tasks take on the one worker, and the processor's time of the others."""
    address, numbers = one
    tasks, work = corpus.work(way)
    with connected(address) as found:
        answers = found.map(partial(timed, work=work), tasks, without_clip)
        task_seconds = [answer.result for answer in answers]
    processes = [psutil.Process(numbers[0]), psutil.Process(os.getpid())]
    before = list(map(busy, processes))
    extract(corpus, address, way)
    spent = [busy(process) - start for process, start in zip(processes, before, strict=True)]
    n_clips = len(corpus.sources) // len(task_seconds)
    return cluster_simulation.Measured(
        task_seconds=task_seconds[1:-1] or task_seconds,  # the first warms up, the last is short
        task_clips=n_clips,
        result_bytes=n_clips * 2 * corpus.shape[0] * corpus.shape[1] if way == CLIENT else 0,
        scheduler_seconds=spent[0] / len(task_seconds),
        client_seconds=spent[1] / len(task_seconds),
    )


def busy(process: psutil.Process) -> float:
    """Return the processor's seconds that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def timed(task: Any, work: Callable[[Any], object]) -> float:  # noqa: ANN401 (of either kind)
    """Return the seconds that a task takes where it is done."""
    start = time.perf_counter()
    work(task)
    return time.perf_counter() - start


@dataclass(frozen=True)
class Corpus:
    """Clips of real recordings, and how params.yaml has them computed."""

    folder: Path  # of the shards
    sources: list[Source]
    shape: tuple[int, int]
    write: Callable[[ShardTask], ShardResult]
    compute: Callable[[Piece], list[Outcome]]

    @classmethod
    def of(cls, folder: Path, root: Path, paths: list[Path]) -> "Corpus":
        """List clips below `root`, each under an id of its own; shards will lie in `folder`."""
        extract = params()["extract"]
        rate = extract["sample_rate"]
        seconds = extract["window_seconds"] or LONGEST_SECONDS  # its clips have 6 s
        kept = Windowing(seconds, extract["window_hop_seconds"], keep_all=False)
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        files = [path.relative_to(root).as_posix() for path in paths]
        front_end = ours.front_end()
        hear: dict[str, Any] = {"front_end": front_end, "sample_rate": rate, "kept": kept}
        return cls(
            folder,
            [
                Source(f"{number:06d}", file, sha256)
                for number, (file, sha256) in enumerate(zip(files, digests, strict=True))
            ],
            (extract["n_mels"], n_frames(kept.samples(rate), front_end.hop_length)),
            partial(fill_shard, root=root, attributes={}, **hear),
            partial(fill_piece, root=root, **hear),
        )

    def tasks(self) -> list[ShardTask]:
        """Return the shards to be written."""
        dealt = [self.sources[number::N_SHARDS] for number in range(N_SHARDS)]
        return [
            ShardTask(self.folder / shard_name(number), self.shape, own, {})
            for number, own in enumerate(dealt)
        ]

    def work(self, way: str) -> tuple[list[Any], Callable[[Any], object]]:
        """Return what the cluster is given to do, and what does it."""
        if way == WORKERS:
            return self.tasks(), self.write
        most = PIECE_BYTES // (2 * self.shape[0] * self.shape[1])
        return list(pieces(self.sources, most, lambda _: 1)), self.compute


def extract(corpus: Corpus, address: str, way: str) -> float:
    """Write all shards; return the seconds from the first task to the last shard's rename."""
    start = time.perf_counter()
    with mock.patch.object(Cluster, "sees", return_value=way == WORKERS):
        found = fill_shards(corpus.tasks(), address, {}, corpus.write, corpus.compute, lambda _: 1)
        results = list(found)
    seconds = time.perf_counter() - start
    assert sum(result.n_computed for result in results) == len(corpus.sources)
    return seconds


@contextmanager
def running(folder: Path, n_workers: int) -> Iterator[tuple[str, list[int]]]:
    """Run a scheduler with workers; yield its address, and the numbers of all processes."""
    with ExitStack() as stack:
        address, scheduler = stack.enter_context(dask_processes.scheduler(folder, CALM))
        workers = [
            stack.enter_context(
                dask_processes.worker(address, folder / f"worker-{n_workers}-{number}", CALM)
            )
            for number in range(n_workers)
        ]
        yield address, [process.process.pid for process in itertools.chain([scheduler], workers)]

"""What a thousand workers would do, from what one did: `python -m bench.cluster_simulation`.

Reads bench/cluster.json, which `python -m bench cluster` writes, and writes the table of
docs/cluster.md. The simulation follows `timbre/cluster.py`: tasks go through the scheduler one by
one, so many are given out at a time, and the client takes the results in their order. Shards are
written by the workers, where they see one folder, or by the client.
"""

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bench import report
from bench.workshop import REPOSITORY

RESULTS = REPOSITORY / "bench" / "cluster.json"
PAGE = REPOSITORY / "docs" / "cluster.md"
BEGIN, END = "<!-- begin: bench/cluster.json -->", "<!-- end: bench/cluster.json -->"
N_WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
WORKERS, CLIENT = "the workers", "the client"  # who writes the shards
N_CLIPS = {WORKERS: (10**6, 10**8), CLIENT: (10**6,)}
N_SHARDS = 4096  # tasks where workers write: the most that there can be
NETWORK = 1.25e9  # bytes/s that the client can receive: 10 Gbit/s
STRAGGLERS, SLOWNESS = 0.01, 10.0  # share of the tasks, and how many times longer they take
DEPTH, LEAST_GIVEN = 12, 8  # as in timbre/cluster.py
HEADER = "| workers | hours | clips/s | efficiency | busiest |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Measured:
    """One worker's run."""

    task_seconds: list[float]  # on the worker
    task_clips: int
    result_bytes: int  # of a task, for the client
    scheduler_seconds: float  # of the processor, a task
    client_seconds: float  # the same


@dataclass(frozen=True)
class Outcome:
    """What a simulated run took, in seconds."""

    total: float
    scheduler: float  # busy
    client: float


def simulate(
    task_seconds: Sequence[float], n_workers: int, scheduler_seconds: float, client_seconds: float
) -> Outcome:
    """Run tasks of these seconds on workers of one thread each."""
    most = max(LEAST_GIVEN, DEPTH * n_workers)
    free = [0.0] * n_workers
    taken: list[float] = []  # when the client was done with each task
    handed = now = 0.0
    for number, seconds in enumerate(task_seconds):
        given = taken[number - most] if number >= most else 0.0
        handed = max(handed, given) + scheduler_seconds
        done = max(handed, heapq.heappop(free)) + seconds
        heapq.heappush(free, done)
        now = max(now, done) + client_seconds
        taken.append(now)
    n_tasks = len(task_seconds)
    return Outcome(now, n_tasks * scheduler_seconds, n_tasks * client_seconds)


def drawn_tasks(measured: Measured, n_clips: int, n_tasks: int) -> list[float]:
    """Draw the seconds of a corpus' tasks from the measured ones, some of them stragglers."""
    rng = np.random.default_rng(0)
    longer = n_clips / n_tasks / measured.task_clips
    seconds = longer * rng.choice(np.array(measured.task_seconds), n_tasks)
    slow = rng.random(n_tasks) < STRAGGLERS
    return [float(value) for value in np.where(slow, SLOWNESS * seconds, seconds)]


def tables(measured: Measured, way: str) -> str:
    """Return what is told of one way of writing shards."""
    found = [told(measured, way)]
    for n_clips in N_CLIPS[way]:
        n_tasks = N_SHARDS if way == WORKERS else -(-n_clips // measured.task_clips)
        found.append(f"{n_clips:,} clips in {n_tasks:,} tasks:".replace(",", " "))
        found.append(table(measured, n_clips, n_tasks))
    return "\n\n".join(found)


def table(measured: Measured, n_clips: int, n_tasks: int) -> str:
    """Return what so many tasks take, for each number of workers."""
    tasks = drawn_tasks(measured, n_clips, n_tasks)
    client = max(measured.client_seconds, measured.result_bytes / NETWORK)
    rows = []
    for n_workers in N_WORKERS:
        found = simulate(tasks, n_workers, measured.scheduler_seconds, client)
        shares = {
            "workers": sum(tasks) / n_workers / found.total,
            "client": found.client / found.total,
            "scheduler": found.scheduler / found.total,
        }
        busiest = max(shares, key=lambda name: shares[name])
        cells = [
            str(n_workers),
            f"{found.total / 3600:.3g}",
            f"{n_clips / found.total:.0f}",
            f"{sum(tasks) / n_workers / found.total:.2f}",
            f"{busiest}, {shares[busiest]:.0%}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([HEADER, *rows])


def told(measured: Measured, way: str) -> str:
    """Say what the simulation began with."""
    middle = float(np.median(measured.task_seconds))
    return (
        f"**Shards written by {way}.** Measured, a task of {measured.task_clips} clips: "
        f"{middle:.3g} s on its worker (median of {len(measured.task_seconds)}), "
        f"{1000 * measured.scheduler_seconds:.2g} ms of the scheduler's processor, "
        f"{1000 * measured.client_seconds:.2g} ms of the client's. Assumed: {STRAGGLERS:.0%} of "
        f"the tasks take {SLOWNESS:g} times as long, and the client receives "
        f"{8 * NETWORK / 1e9:g} Gbit/s."
    )


def with_tables(page: str, measured: Mapping[str, Measured]) -> str:
    """Return the page with the tables between its two markers."""
    own = (tables(measured[way], way) for way in (WORKERS, CLIENT))
    return report.between(page, BEGIN, END, "\n\n".join(own))


def read() -> dict[str, Measured]:
    """Read what was measured last, by who wrote the shards."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {way: Measured(**values) for way, values in kept.items()}


def keep(measured: Mapping[str, Measured]) -> None:
    """Write what was measured, and the page's tables anew."""
    kept = {way: asdict(values) for way, values in measured.items()}
    for values in kept.values():
        values["task_seconds"] = [round(seconds, 4) for seconds in values["task_seconds"]]
    RESULTS.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), read()), encoding="utf-8")


if __name__ == "__main__":
    keep(read())

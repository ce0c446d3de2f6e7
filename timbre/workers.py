"""Tasks spread over processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import BaseContext
from typing import TypeVar

from threadpoolctl import threadpool_limits

from timbre.parent import end_with_parent
from timbre.problems import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

LARGE = 31 << 20  # bytes; glibc learns from blocks of up to 32 MiB


def map_unordered(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    n_processes: int,
    preload: Sequence[str] = (),
) -> Iterator[Result]:
    """Yield the result of each task as it is ready, in any order.

    One process, or one task, runs here; more run in workers that have imported `preload`. Either
    way numpy computes in one thread: N processes with N threads each would fight over N cores.
    Raises InputError if a worker is killed.
    """
    n_processes = min(n_processes, len(tasks))
    if n_processes <= 1:
        yield from (_alone(work, task) for task in tasks)
        return
    # Slow to import; not always needed.
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(n_processes, _worker_context(preload), end_with_parent)
    try:
        for future in as_completed([pool.submit(_alone, work, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed, maybe because memory ran out: set TIMBRE_JOBS to fewer "
            f"than {n_processes} or end other programs, then run `dvc repro`: what is finished is "
            "not done again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)  # else an interrupted run would do all tasks first


def n_cores() -> int:
    """Return how many processes to run: TIMBRE_JOBS where it is set, else this process's cores."""
    named = os.environ.get("TIMBRE_JOBS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    affinity = getattr(os, "sched_getaffinity", None)  # what we may use, not what the machine has
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _alone(work: Callable[[Task], Result], task: Task) -> Result:
    _keep_memory()
    with threadpool_limits(1):  # here, not where workers start: it limits what is loaded by now
        return work(task)


def _keep_memory() -> None:
    """Have glibc keep freed arrays for the next ones.

    Else it hands every clip's back to the system, whose new, zeroed pages cost as much as decoding
    and transforming it. It keeps blocks up to the size of the largest that was freed: `man
    mallopt`, M_MMAP_THRESHOLD. Elsewhere this does nothing. The block's pages are never touched.
    """
    bytes(LARGE)


def _worker_context(preload: Sequence[str]) -> BaseContext:
    """Return the way in which workers start: from a fork server where there is one, else anew.

    A plain fork would inherit the locks of this process's threads. The fork server imports
    `preload` once and then forks quickly.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context

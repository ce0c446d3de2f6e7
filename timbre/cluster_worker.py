"""What runs inside a Dask worker: each task goes to a process of its own, which may die of it.

So a decoder that crashes or hangs ends no Dask worker, and is told from a machine that died.
"""

import multiprocessing
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from timbre.made_by import versions
from timbre.problems import InputError
from timbre.workers import Pool

IDLE_SECONDS = 60.0  # after which a process of another run, which may have been killed, is ended


@dataclass(frozen=True)
class Job:
    """What one run of the stage has its tasks done with."""

    token: str  # of the run
    work: Callable[[Any], Any]
    without: Callable[[Any, str, str], Any]  # as `map_unordered` takes it
    made_by: Mapping[str, str]  # versions that the client has


class Answer(NamedTuple):
    """A task's result, and the machine that it comes from."""

    host: str
    result: Any


class _Apart:
    """A process for the tasks of one job."""

    def __init__(self, job: Job) -> None:
        self.token = job.token
        self.since = time.monotonic()
        self.folder = tempfile.TemporaryDirectory(prefix="timbre-")
        work = partial(checked, work=job.work, made_by=dict(job.made_by))
        # Started anew, not forked: it has the code and the versions that are installed by now.
        context = multiprocessing.get_context("spawn")
        self.pool: Pool[Any, Any] = Pool(work, 1, context, Path(self.folder.name))

    def end(self) -> None:
        self.pool.end()
        self.folder.cleanup()


_idle: list[_Apart] = []
_changing = threading.Lock()  # of what is idle; a Dask worker has several threads


def do(task: object, job: Job) -> Answer:
    """Do a task of a job as `map_unordered` does it, with one process for each thread of Dask's.

    Raises InputError where versions differ, or where processes end at nothing in particular.
    """
    apart = _borrow(job)
    try:
        (result,) = apart.pool.run([task], job.without)
    except BaseException:
        apart.end()
        raise
    with _changing:
        apart.since = time.monotonic()
        _idle.append(apart)
    return Answer(socket.gethostname(), result)


def end_processes(token: str) -> None:
    """End the idle processes of a run that is over."""
    for apart in _taken(lambda idle: idle.token == token):
        apart.end()


def checked(task: object, work: Callable[[Any], Any], made_by: Mapping[str, str]) -> object:
    """Do a task if this process computes what the client would. Raises InputError."""
    own = _versions()
    if other := [name for name in made_by if own[name] != made_by[name]]:
        told = ", ".join(f"{name} {own[name][:12]} (here {made_by[name][:12]})" for name in other)
        raise InputError(
            f"worker on {socket.gethostname()}: has {told}, and would compute other values: "
            "install there what is installed here, and start the worker again"
        )
    return work(task)


_versions = cache(versions)


def _borrow(job: Job) -> _Apart:
    longest = time.monotonic() - IDLE_SECONDS
    for apart in _taken(lambda idle: idle.token != job.token and idle.since < longest):
        apart.end()
    if multiprocessing.current_process().daemon:
        # A nanny marks its worker so, and multiprocessing then lets it start no process. Ours end
        # with it all the same: see timbre.parent.
        multiprocessing.current_process().daemon = False
    own = _taken(lambda idle: idle.token == job.token, most=1)
    return own[0] if own else _Apart(job)


def _taken(wanted: Callable[[_Apart], bool], most: int | None = None) -> list[_Apart]:
    with _changing:
        found = [apart for apart in _idle if wanted(apart)][:most]
        for apart in found:
            _idle.remove(apart)
    return found

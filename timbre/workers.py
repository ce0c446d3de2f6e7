"""Tasks spread over processes, whose deaths the run survives."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from timbre.problems import InputError
from timbre.worker_process import alone, noted, serve

Task = TypeVar("Task")
Result = TypeVar("Result")

ITEM_SECONDS = 600.0  # for one item of a task; a decoder that takes longer hangs
STRIKES = 2  # deaths at one item, until it is to blame and not memory or somebody's `kill`

_starting = threading.Lock()  # a worker's start hides the main module for a moment


def map_unordered(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    n_processes: int,
    preload: Sequence[str] = (),
    without: Callable[[Task, str, str], Task] | None = None,
) -> Iterator[Result]:
    """Yield the result of each task as it is ready, in any order.

    Tasks run in workers that have imported `preload`; without `without`, one process or one task
    runs here. Either way numpy computes in one thread: N processes with N threads each would fight
    over N cores.

    A worker that dies is replaced, and its task done again. If it dies a second time at the same
    item, as `work` names them to `note`, or is at it for more than ITEM_SECONDS, the task goes on
    as `without(task, item, reason)`. Raises InputError where that cannot help.
    """
    n_processes = max(1, min(n_processes, len(tasks)))
    if without is None and n_processes == 1:
        yield from (alone(work, task) for task in tasks)
    elif tasks:
        with tempfile.TemporaryDirectory(prefix="timbre-") as folder:
            pool = Pool(work, n_processes, worker_context(preload), Path(folder))
            try:
                yield from pool.run(tasks, without)
            finally:
                pool.end()


def get_ready(preload: Sequence[str]) -> None:
    """Have workers start sooner: let their imports begin while this process does something else."""
    if worker_context(preload).get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def n_cores() -> int:
    """Return how many processes to run: TIMBRE_JOBS where it is set, else this process's cores."""
    named = os.environ.get("TIMBRE_JOBS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    affinity = getattr(os, "sched_getaffinity", None)  # what we may use, not what the machine has
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Worker:
    """A process that does one task at a time."""

    def __init__(self, work: Callable[..., Any], context: BaseContext, diary: Path) -> None:
        """Start it; `diary` is the file in which it notes what it is at."""
        self.number = -1  # of the task that it is at
        self._diary = diary
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, work, diary, ITEM_SECONDS)
        self.process = context.Process(  # type: ignore[attr-defined]
            target=serve, args=arguments, daemon=True
        )
        with _main_hidden():
            self.process.start()
        theirs.close()  # else its end would stay open when the worker dies

    def give(self, number: int, task: object) -> None:
        """Have it do a task, which it is called by `number`."""
        self.number = number
        self._diary.write_bytes(b"")
        self.pipe.send(task)

    def answer(self) -> tuple[bool, Any] | None:
        """Wait for its answer, for `opened`; return None if it died instead."""
        try:
            answer: tuple[bool, Any] = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return answer

    def item(self) -> str:
        """Return what it was at, "" for nothing."""
        return noted(self._diary.read_bytes())

    def end(self) -> int:
        """End the process; return its exit code, minus the signal that it died of."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        return int(self.process.exitcode)


class Pool(Generic[Task, Result]):
    """Workers, and what each is at; `map_unordered` says how they are replaced."""

    def __init__(
        self,
        work: Callable[[Task], Result],
        n_processes: int,
        context: BaseContext,
        folder: Path,
    ) -> None:
        """Start them; `folder` is for their diaries."""
        self._arguments = work, context, folder
        self._workers = [self._new(place) for place in range(n_processes)]

    def _new(self, place: int) -> Worker:
        work, context, folder = self._arguments
        return Worker(work, context, folder / str(place))

    def run(
        self, tasks: Sequence[Task], without: Callable[[Task, str, str], Task] | None
    ) -> Iterator[Result]:
        """Yield the result of each task as it is ready. After an error, only `end` is left."""
        todo = dict(enumerate(tasks))
        waiting = deque(todo)
        strikes: Counter[tuple[int, str]] = Counter()
        busy = {place: w for place, w in enumerate(self._workers) if _give(w, waiting, todo)}
        while busy:
            for place, worker in _ready(busy):
                number, answer = worker.number, worker.answer()
                if answer is None:
                    item, code = self._bury(place)
                    strikes[number, item] += 1
                    if strikes[number, item] >= STRIKES:
                        todo[number] = _go_on(todo[number], item, code, without)
                    waiting.append(number)
                busy.pop(place)
                if _give(self._workers[place], waiting, todo):
                    busy[place] = self._workers[place]
                if answer is not None:
                    yield opened(answer)

    def end(self) -> None:
        """End all of them, whatever they are at."""
        for worker in self._workers:
            worker.end()

    def _bury(self, place: int) -> tuple[str, int]:
        """Replace a dead worker; return what it was at, and its exit code."""
        dead = self._workers[place]
        dead.process.join()  # before its end is told from ours
        item, code = dead.item(), dead.end()
        self._workers[place] = self._new(place)
        return item, code


def _give(worker: Worker, waiting: deque[int], todo: dict[int, Any]) -> bool:
    if waiting:
        number = waiting.popleft()
        worker.give(number, todo[number])
        return True
    return False


def _ready(busy: dict[int, Worker]) -> list[tuple[int, Worker]]:
    """Wait for an answer or a death; return the workers in question."""
    found = set(wait([worker.pipe for worker in busy.values()]))
    return [(place, worker) for place, worker in busy.items() if worker.pipe in found]


def opened(answer: tuple[bool, Any]) -> Any:  # noqa: ANN401 (a task's result)
    """Return the result in a worker's answer, or raise the exception in it."""
    done, value = answer
    if not done:
        raise value
    return value


def _go_on(
    task: Any,  # noqa: ANN401 (any task)
    item: str,
    code: int,
    without: Callable[[Any, str, str], Any] | None,
) -> Any:  # noqa: ANN401 (the same)
    if without is None or not item:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise InputError(
            f"worker processes end at the same task, {how}, maybe because memory ran out: end "
            "other programs, or set TIMBRE_JOBS=1; then run `dvc repro`: what is finished is not "
            "done again"
        )
    return without(task, item, cause_of_death(code))


def cause_of_death(code: int) -> str:
    """Say what a file does to the process that decodes it, which ended with this exit code."""
    if code >= 0:
        return f"ends the process that decodes it (exit code {code})"
    name = signal.Signals(-code).name
    if name == "SIGALRM":
        return f"keeps its decoder busy for more than {ITEM_SECONDS:g} s"
    if name == "SIGKILL":
        return "has the process that decodes it killed (SIGKILL: out of memory?)"
    return f"crashes its decoder ({name})"


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Spare workers the import of the stage, pandas and all: what they do is in other modules."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def worker_context(preload: Sequence[str]) -> BaseContext:
    """Return the way in which workers start: from a fork server where there is one, else anew.

    A plain fork would inherit the locks of this process's threads. The fork server imports
    `preload` once and then forks quickly.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context

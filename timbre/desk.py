"""A few worker processes that each do one task at a time, and a bounded queue before them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timbre.refusal import RefusedError
from timbre.workers import STRIKES, Worker, cause_of_death, opened, worker_context

RETRY_AFTER = 2  # seconds until somebody who found the queue full may ask again
DEATH_SECONDS = 5.0  # for a process that has closed its pipe to be gone, core dump and all


class Desk:
    """Takes tasks from an event loop and has workers do them, in the order of their arrival.

    A worker that dies is replaced. If the next one dies of the same task, or a task takes too
    long, the task is refused.
    """

    def __init__(
        self,
        work: Callable[[Any], Any],
        preload: Sequence[str],
        folder: Path,
        n_workers: int,
        most_waiting: int,
        seconds: float,
    ) -> None:
        """Start workers that have imported `preload`; in `folder` they note what they do.

        At most `most_waiting` tasks wait for a worker, and none takes longer than `seconds`.
        """
        self._arguments = work, worker_context(preload), folder
        self._seconds = seconds
        self._closed = False
        self._places_left = n_workers + most_waiting
        self._workers = [self._new(place) for place in range(n_workers)]
        self._idle: asyncio.Queue[int] = asyncio.Queue()
        for place in range(n_workers):
            self._idle.put_nowait(place)

    def ask_each(self, task: object) -> list[Any]:
        """Have every worker do a task, one after the other, however long it takes."""
        return [self._do(place, task, None) for place in range(len(self._workers))]

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue. Raises RefusedError where there is none."""
        if not self._places_left:
            raise RefusedError(
                503,
                "busy",
                "Too many clips are waiting for an answer: try again in a moment.",
                RETRY_AFTER,
            )
        self._places_left -= 1
        try:
            yield
        finally:
            self._places_left += 1

    async def ask(self, task: object) -> Any:  # noqa: ANN401 (what the work returns)
        """Wait for a worker and for what it says. Raises RefusedError, or what the work raises."""
        place = await self._idle.get()
        doing = asyncio.get_running_loop().run_in_executor(
            None, self._do, place, task, self._seconds
        )
        # Not sooner: whoever asked may be gone while the worker is still at it.
        doing.add_done_callback(lambda _: self._idle.put_nowait(place))
        return await asyncio.shield(doing)

    def close(self) -> None:
        """End the workers, whatever they are at."""
        self._closed = True
        for worker in self._workers:
            _end(worker)

    def _new(self, place: int) -> Worker:
        work, context, folder = self._arguments
        return Worker(work, context, folder / f"worker-{place}")

    def _do(self, place: int, task: object, seconds: float | None) -> Any:  # noqa: ANN401 (the same)
        code = 0
        for number in range(STRIKES):
            try:
                answer = _answer(self._workers[place], number, task, seconds)
            except TimeoutError:
                self._replace(place)
                told = f"This file keeps its decoder busy for more than {seconds:g} s."
                raise RefusedError(400, "too_slow", told) from None
            if answer is not None:
                return opened(answer)
            self._workers[place].process.join(DEATH_SECONDS)  # before its end is told from ours
            code = self._replace(place)
        raise RefusedError(400, "undecodable", f"This file {cause_of_death(code)}.")

    def _replace(self, place: int) -> int:
        """End a worker if it has not ended; return its exit code."""
        if self._closed:
            raise RefusedError(503, "ending", "The server is ending.")
        code = _end(self._workers[place])
        self._workers[place] = self._new(place)
        return code


def _answer(
    worker: Worker, number: int, task: object, seconds: float | None
) -> tuple[bool, Any] | None:
    """Return a worker's answer, None if it died. Raises TimeoutError."""
    try:
        worker.give(number, task)
        there = worker.pipe.poll(seconds)
    except OSError:
        return None
    if not there:
        raise TimeoutError
    return worker.answer()


def _end(worker: Worker) -> int:
    """End a worker even if it is stopped, which heeds no other signal; return its exit code."""
    worker.process.kill()
    return worker.end()

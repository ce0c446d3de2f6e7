"""Tasks on the workers of a Dask scheduler, and what can go wrong between machines.

Imported only where a scheduler is named: `distributed` takes longer to import than a hundred clips
to extract.
"""

import itertools
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from timbre.cluster_worker import Answer, Job, do, end_processes
from timbre.made_by import versions
from timbre.problems import InputError

ALONE = "empty extract.scheduler and DASK_SCHEDULER_ADDRESS to use this machine alone"

try:
    from distributed import CancelledError, Client, Future, KilledWorker, wait
except ImportError as error:
    raise InputError(
        f"extract.scheduler: Dask is not installed ({error}): run "
        f"`pip install 'timbre[cluster]'`, or {ALONE}"
    ) from None

CONNECT_SECONDS = 10.0  # for the scheduler to answer
LOOK_SECONDS = 5.0  # between two looks whether scheduler and workers are there
NO_WORKER_SECONDS = 300.0  # without any; a queue may give machines late
FETCH_SECONDS = 60.0  # for FETCHED results to come
FETCHED = 4  # results at a time
DEPTH = 12  # tasks a thread of the cluster that are given out: what waits for a straggler
LEAST_GIVEN = 8  # also while there is no worker: a cluster that grows on demand sees some
RESUMED = "then run `dvc repro`: what is finished is not done again"


class Cluster:
    """A scheduler and its workers, for one run."""

    def __init__(self, client: Client, address: str) -> None:
        """Take a client that is connected to the scheduler at `address`."""
        self.token = secrets.token_hex(8)
        self._client, self._address = client, address
        self._looked = self._seen = time.monotonic()  # for workers, and when there were some
        self._n_threads = 0
        self._look()
        self._check_timbre()

    def sees(self, path: Path) -> bool:
        """Tell whether there are workers, and a file or folder for all of them."""
        return self._n_threads > 0 and all(
            seen is True for seen in self._on_workers(os.path.exists, str(path)).values()
        )

    def map(
        self,
        work: Callable[[Any], Any],
        tasks: Iterable[Any],
        without: Callable[[Any, str, str], Any],
    ) -> Iterator[Answer]:
        """Yield the answers to the tasks in their order; only so many are given out at a time.

        What is done waits in the workers' memory until it is its turn. `without` is that of
        `timbre.workers.map_unordered`.
        """
        job = Job(self.token, work, without, versions())
        left = iter(tasks)
        given: deque[Future[Answer]] = deque()
        while True:
            most = max(LEAST_GIVEN, DEPTH * self._n_threads)
            if len(given) <= most - most // 4:  # several at once cost the scheduler less
                given.extend(self._give(list(itertools.islice(left, most - len(given))), job))
            if not given:
                return
            yield from self._answers(given)
            if time.monotonic() - self._looked > LOOK_SECONDS:
                self._look()

    def end(self) -> None:
        """End the workers' own processes and leave the cluster."""
        with suppress(Exception):  # they end with their worker, or with the next run
            if self._client.status == "running":
                self._client.sync(
                    *(self._client.run, end_processes, self.token),
                    on_error="ignore",
                    callback_timeout=CONNECT_SECONDS,
                )

    def _give(self, tasks: list[Any], job: Job) -> list[Future[Answer]]:
        if self._client.status != "running":
            raise self._gone()
        futures: list[Future[Answer]] = self._client.map(do, tasks, job=job, pure=False)
        return futures

    def _answers(self, given: deque[Future[Answer]]) -> list[Answer]:
        """Wait for the first of them; return it and what else is ready right behind it."""
        while True:
            try:
                if not given[0].done():
                    with self._client.as_current():
                        wait(given[0], timeout=LOOK_SECONDS)
                head = itertools.islice(given, FETCHED)
                ready = list(itertools.takewhile(lambda future: future.done(), head))
                answers: list[Answer] = self._client.sync(
                    self._client.gather, ready, callback_timeout=FETCH_SECONDS
                )
            except TimeoutError:
                self._look()
            except CancelledError:
                raise self._gone() from None
            except KilledWorker:
                raise InputError(
                    f"{self._address}: workers died one after the other at the same clips, maybe "
                    f"because memory ran out: give them more, or fewer threads, {RESUMED}"
                ) from None
            else:
                for _ in ready:
                    given.popleft().release()
                return answers

    def _look(self) -> None:
        """Count the threads of all workers. Raises InputError if there were none for long."""
        scheduler = self._client.scheduler
        if self._client.status != "running" or scheduler is None:
            raise self._gone()
        try:
            found: dict[str, int] = self._client.sync(
                scheduler.ncores, callback_timeout=CONNECT_SECONDS
            )
        except (OSError, TimeoutError):
            raise self._gone() from None
        self._looked, self._n_threads = time.monotonic(), sum(found.values())
        if found:
            self._seen = self._looked
        elif self._looked - self._seen > NO_WORKER_SECONDS:
            raise InputError(
                f"{self._address}: the scheduler has had no worker for {NO_WORKER_SECONDS:g} s: "
                f"start some with `dask worker {self._address}`, {RESUMED}"
            )

    def _check_timbre(self) -> None:
        """Raise InputError if it is not there: Dask ends a worker that cannot load its task."""
        client = self._client
        try:
            of_scheduler = client.sync(
                *(client.run_on_scheduler, find_spec, "timbre"), callback_timeout=CONNECT_SECONDS
            )
        except (OSError, TimeoutError):
            raise self._gone() from None
        everywhere = {"the scheduler": of_scheduler, **self._on_workers(find_spec, "timbre")}
        if lacking := [name for name, found in everywhere.items() if found is None]:
            raise InputError(
                f"{self._address}: Timbre is not installed where {lacking[0]} runs"
                f"{f' and in {len(lacking) - 1} other places' if lacking[1:] else ''}: install "
                f"there what is installed here, and start it again, {RESUMED}"
            )

    def _on_workers(self, function: Callable[[str], Any], argument: str) -> dict[str, Any]:
        """Return what the function returns, or raises, on each worker, by its address."""
        client = self._client
        try:
            found: dict[str, Any] = client.sync(
                *(client.run, function, argument),
                on_error="return",
                callback_timeout=CONNECT_SECONDS,
            )
        except (OSError, TimeoutError):
            raise self._gone() from None
        return found

    def _gone(self) -> InputError:
        return InputError(
            f"{self._address}: the scheduler does not answer any more: start it again, or {ALONE}, "
            f"{RESUMED}"
        )


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Yield the cluster of the scheduler at `address`. Raises InputError if none answers."""
    try:
        client = Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=True
        )
    except (OSError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{address}: no Dask scheduler answers ({reason}): start one with `dask scheduler`, or "
            f"{ALONE}"
        ) from None
    try:
        cluster = Cluster(client, address)
        try:
            yield cluster
        finally:
            cluster.end()
    finally:
        with suppress(Exception):  # of a scheduler that is gone
            client.close(timeout=CONNECT_SECONDS)

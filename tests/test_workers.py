import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from timbre.problems import InputError
from timbre.workers import _worker_context, map_unordered, n_cores

TESTS = Path(__file__).parent
# As a stage does it: `map_unordered` starts the fork server, which imports what it is told to.
LOOK = """
import json
from test_workers import blas_threads
from timbre.workers import map_unordered
found = list(map_unordered(blas_threads, range(4), 2, preload=["timbre.log_mel"]))
print(json.dumps([blas_threads(0), *found]))
"""


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def fail(number: int) -> int:
    raise ValueError(f"task {number}")


def blas_threads(number: int) -> list[int]:
    """Return how many threads each of numpy's libraries takes."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def new_pages(number: int) -> float:
    """Return the pages that each of many rounds of making and freeing arrays had to ask for."""
    import resource

    n_rounds = 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_rounds):
        arrays = [np.ones(size, np.float32) for size in (30_000, 60_000, 110_000, 110_000)]
        del arrays
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / n_rounds


@pytest.mark.parametrize("n_processes", [1, 2])
def test_every_task_is_done_once(n_processes: int) -> None:
    results = list(map_unordered(square, range(10), n_processes))
    assert sorted(value for value, _ in results) == [n * n for n in range(10)]
    assert (os.getpid() in {pid for _, pid in results}) == (n_processes == 1)


def test_no_tasks_no_results() -> None:
    assert list(map_unordered(square, [], 4)) == []


def test_a_single_task_needs_no_worker() -> None:
    assert list(map_unordered(square, [3], 4)) == [(9, os.getpid())]


def test_results_come_while_others_wait() -> None:
    done: list[int] = []
    for value, _ in map_unordered(square, range(3), 1):
        done.append(value)
        if value == 1:
            break
    assert done == [0, 1]


@pytest.mark.parametrize("n_processes", [1, 2])
def test_an_error_in_a_task_arrives(n_processes: int) -> None:
    with pytest.raises(ValueError, match="task"):
        list(map_unordered(fail, range(3), n_processes))


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_is_told_of_with_a_way_out() -> None:
    with pytest.raises(InputError, match=r"worker process was killed.*fewer than 2 or end other"):
        list(map_unordered(killed, range(10), 2))


def test_in_this_process_numpy_computes_in_one_thread_until_all_is_done() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads(0)
        assert set(before) == {2}
        found = list(map_unordered(blas_threads, range(3), 1))
        assert found == [[1] * len(before)] * 3
        assert blas_threads(0) == before


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="numpy takes one thread on one core anyway")
def test_in_workers_numpy_computes_in_one_thread() -> None:
    paths = os.pathsep.join(map(str, (TESTS, TESTS.parent)))
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    outside, *inside = json.loads(done.stdout)
    assert set(outside) == {2}
    assert inside == [[1] * len(found) for found in inside]
    assert all(inside)


def test_without_a_fork_server_workers_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    assert _worker_context([]).get_start_method() == "spawn"


def test_the_number_of_processes_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMBRE_JOBS", "7")
    assert n_cores() == 7
    for unusable in ("", "0", "-1", "many", "²"):
        monkeypatch.setenv("TIMBRE_JOBS", unusable)
        assert 1 <= n_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc does with freed memory")
def test_workers_keep_freed_memory_for_the_next_arrays() -> None:
    n_pages = 4 * 310_000 / 4096
    assert max(map_unordered(new_pages, range(4), 2)) < n_pages / 4

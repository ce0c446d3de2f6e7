import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from timbre import workers
from timbre.problems import InputError
from timbre.worker_process import note
from timbre.workers import get_ready, map_unordered, n_cores, worker_context

TESTS = Path(__file__).parent
# As a stage does it: `map_unordered` starts the fork server, which imports what it is told to.
LOOK = """
import json
from test_workers import blas_threads
from timbre.workers import map_unordered
found = list(map_unordered(blas_threads, range(4), 2, preload=["timbre.log_mel"]))
print(json.dumps([blas_threads(0), *found]))
"""


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (TESTS, TESTS.parent)))
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )


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
    with pytest.raises(
        InputError, match=r"killed by SIGKILL, maybe because memory ran out: end .*TIMBRE_JOBS=1"
    ):
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
    done = in_a_process(LOOK)
    assert done.returncode == 0, done.stderr
    outside, *inside = json.loads(done.stdout)
    assert set(outside) == {2}
    assert inside == [[1] * len(found) for found in inside]
    assert all(inside)


def test_without_a_fork_server_workers_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    assert worker_context([]).get_start_method() == "spawn"


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


Items = tuple[str, ...]  # what a task has to do; the path in front is where deaths leave a trace
DEADLY = {
    "segv": signal.SIGSEGV,
    "abort": signal.SIGABRT,
    "kill": signal.SIGKILL,
    "bus": signal.SIGBUS,
}
CAUSES = {
    "segv": "crashes its decoder (SIGSEGV)",
    "abort": "crashes its decoder (SIGABRT)",
    "bus": "crashes its decoder (SIGBUS)",
    "kill": "has the process that decodes it killed (SIGKILL: out of memory?)",
    "exit": "ends the process that decodes it (exit code 3)",
    "hang": "keeps its decoder busy for more than 1 s",
}


def do(items: Items) -> Items:
    """Do what the items say; "once" dies the first time only, "unnoted" of no item."""
    trace, *others = items
    for item in others:
        if item != "unnoted":
            note(item)
        if item in DEADLY:
            os.kill(os.getpid(), DEADLY[item])
        if item == "exit":
            os._exit(3)
        if item == "hang":
            time.sleep(60)
        if item == "unnoted":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "once" and not Path(trace).exists():
            Path(trace).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return items


def without(items: Items, item: str, reason: str) -> Items:
    return tuple(f"{item} {reason}" if name == item else name for name in items)


def survive(tmp_path: Path, tasks: Sequence[Sequence[str]], n_processes: int = 2) -> list[Items]:
    named = [(str(tmp_path / str(number)), *items) for number, items in enumerate(tasks)]
    found = map_unordered(do, named, n_processes, without=without)
    return sorted(items[1:] for items in found)


@pytest.mark.parametrize("n_processes", [1, 3])
def test_what_kills_a_worker_is_named_and_the_rest_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_processes: int
) -> None:
    monkeypatch.setattr(workers, "ITEM_SECONDS", 1.0)
    tasks = [["a", item, "z"] for item in CAUSES] + [["good", str(n)] for n in range(5)]
    survived = survive(tmp_path, tasks, n_processes)
    named = [("a", f"{item} {cause}", "z") for item, cause in CAUSES.items()]
    assert survived == sorted([*named, *(("good", str(n)) for n in range(5))])


def test_several_deadly_items_of_one_task_are_all_named(tmp_path: Path) -> None:
    (survived,) = survive(tmp_path, [["segv", "a", "abort"]])
    assert survived == tuple(
        f"{i} {CAUSES[i]}" if i in CAUSES else i for i in ("segv", "a", "abort")
    )


def test_a_worker_that_is_killed_once_does_its_task_again(tmp_path: Path) -> None:
    assert survive(tmp_path, [["once"], ["a"]]) == [("a",), ("once",)]


def test_deaths_at_nothing_in_particular_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"worker processes end at the same task, killed by SIGKILL"
    ):
        survive(tmp_path, [["unnoted"]])


def test_without_a_way_around_deaths_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="worker processes end"):
        list(map_unordered(do, [(str(tmp_path / "a"), "segv")] * 2, 2))


def test_one_slow_task_of_many_quick_items_is_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ITEM_SECONDS", 1.0)
    assert list(map_unordered(slowly, [12, 1], 2, without=lambda *_: pytest.fail("hang"))) == [
        1,
        12,
    ]


def slowly(n_items: int) -> int:
    for number in range(n_items):
        note(str(number))
        time.sleep(0.1)
    return n_items


def test_workers_end_with_the_run() -> None:
    pids = {pid for _, pid in map_unordered(square, range(4), 2)}
    found = map_unordered(square, range(100), 2)
    pids.add(next(found)[1])
    found.close()  # type: ignore[attr-defined]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def chatter(text: str) -> None:
    os.write(2, b"[libmpg123] error: a bad frame\n")
    print(text, file=sys.stderr)


HEAR = """
from test_workers import chatter
from timbre.workers import get_ready, map_unordered
get_ready(())
list(map_unordered(chatter, ["a warning"] * 2, 2))
"""


def test_decoders_are_not_heard_and_python_is() -> None:
    done = in_a_process(HEAR)
    assert done.stderr == "a warning\n" * 2


def test_where_there_is_no_fork_server_workers_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    get_ready(("timbre.log_mel",))
    assert sorted(value for value, _ in map_unordered(square, range(3), 2)) == [0, 1, 4]

import os

import pytest

from timbre.workers import map_unordered, n_cores


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def fail(number: int) -> int:
    raise ValueError(f"task {number}")


@pytest.mark.parametrize("n_processes", [1, 2])
def test_every_task_is_done_once(n_processes: int) -> None:
    results = list(map_unordered(square, range(10), n_processes))
    assert sorted(value for value, _ in results) == [n * n for n in range(10)]
    assert (os.getpid() in {pid for _, pid in results}) == (n_processes == 1)


def test_no_tasks_no_results() -> None:
    assert list(map_unordered(square, [], 4)) == []


def test_an_error_in_a_worker_arrives() -> None:
    with pytest.raises(ValueError, match="task"):
        list(map_unordered(fail, range(3), 2))


def test_the_number_of_processes_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMBRE_JOBS", "7")
    assert n_cores() == 7
    for unusable in ("", "0", "-1", "many"):
        monkeypatch.setenv("TIMBRE_JOBS", unusable)
        assert 1 <= n_cores() <= (os.cpu_count() or 1)

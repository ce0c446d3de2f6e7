"""The workers of the server: replaced when they die or hang, with a bounded queue before them."""

import asyncio
import os
import pickle
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from timbre.desk import Desk
from timbre.refusal import RefusedError

DEADLY = {"segv": signal.SIGSEGV, "kill": signal.SIGKILL}


def work(task: str) -> str | int:
    """Do what the task says: die, hang, refuse, or die the first time only."""
    word, _, rest = task.partition(" ")
    if word in DEADLY:
        os.kill(os.getpid(), DEADLY[word])
    if word == "once" and not Path(rest).exists():
        Path(rest).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if word == "sleep":
        time.sleep(float(rest))
    if word == "refuse":
        raise RefusedError(400, "undecodable", rest)
    return os.getpid() if word == "who" else task


@contextmanager
def desk(
    folder: Path, n_workers: int = 1, most_waiting: int = 4, seconds: float = 30.0
) -> Iterator[Desk]:
    opened = Desk(work, (), folder, n_workers, most_waiting, seconds)
    try:
        yield opened
    finally:
        opened.close()


def ask(opened: Desk, *tasks: str) -> list[object]:
    """Return what is said of each task, asked at once; refusals as they are."""

    async def all_of_them() -> list[object]:
        return list(await asyncio.gather(*map(opened.ask, tasks), return_exceptions=True))

    return asyncio.run(all_of_them())


def test_every_task_has_its_own_answer(tmp_path: Path) -> None:
    tasks = [str(number) for number in range(20)]
    with desk(tmp_path, n_workers=2) as opened:
        assert ask(opened, *tasks) == tasks


def test_workers_stay(tmp_path: Path) -> None:
    with desk(tmp_path) as opened:
        first, second = ask(opened, "who", "who")
        assert first == second != os.getpid()


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("segv", "This file crashes its decoder (SIGSEGV)."),
        ("kill", "This file has the process that decodes it killed (SIGKILL: out of memory?)."),
    ],
)
def test_a_task_that_kills_two_workers_is_refused_and_the_others_are_done(
    tmp_path: Path, task: str, told: str
) -> None:
    with desk(tmp_path) as opened:
        before, refused, after = ask(opened, "who", task, "who")
        assert isinstance(refused, RefusedError)
        assert (refused.status, refused.message) == (400, told)
        assert isinstance(before, int)
        assert isinstance(after, int)
        assert before != after


def test_a_worker_that_is_killed_once_costs_nobody_an_answer(tmp_path: Path) -> None:
    task = f"once {tmp_path / 'trace'}"
    with desk(tmp_path) as opened:
        assert ask(opened, task, "a") == [task, "a"]


@pytest.mark.parametrize("task", ["sleep 60", "stop"])
def test_a_task_that_hangs_is_refused_after_its_time(tmp_path: Path, task: str) -> None:
    with desk(tmp_path, seconds=1.0) as opened:
        refused, other = ask(opened, task, "a")
        assert isinstance(refused, RefusedError)
        assert refused.message == "This file keeps its decoder busy for more than 1 s."
        assert other == "a"


def test_a_worker_that_died_while_it_was_idle_is_replaced(tmp_path: Path) -> None:
    with desk(tmp_path) as opened:
        (number,) = ask(opened, "who")
        assert isinstance(number, int)
        psutil.Process(number).kill()
        assert ask(opened, "a") == ["a"]


def test_what_the_work_raises_arrives(tmp_path: Path) -> None:
    with desk(tmp_path) as opened:
        (refused,) = ask(opened, "refuse for a reason")
        assert isinstance(refused, RefusedError)
        assert (refused.status, refused.code, refused.message) == (
            400,
            "undecodable",
            "for a reason",
        )


def test_the_loop_goes_on_while_a_worker_works(tmp_path: Path) -> None:
    async def ticks(opened: Desk) -> int:
        waiting = asyncio.ensure_future(opened.ask("sleep 0.5"))
        n_ticks = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            n_ticks += 1
        return n_ticks

    with desk(tmp_path) as opened:
        assert asyncio.run(ticks(opened)) > 5


def test_who_finds_no_place_is_told_when_to_come_again(tmp_path: Path) -> None:
    with desk(tmp_path, n_workers=1, most_waiting=1) as opened:
        with opened.place(), opened.place():
            with pytest.raises(RefusedError) as caught, opened.place():
                pytest.fail("a third place")
            assert (caught.value.status, caught.value.headers()) == (503, {"Retry-After": "2"})
        with opened.place():  # it is free again
            pass


def test_whoever_gives_up_leaves_the_worker_to_its_task(tmp_path: Path) -> None:
    async def give_up(opened: Desk) -> object:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(opened.ask("sleep 0.5"), 0.05)
        return await opened.ask("a")

    with desk(tmp_path) as opened:
        assert asyncio.run(give_up(opened)) == "a"


def test_every_worker_can_be_asked_before_a_loop_runs(tmp_path: Path) -> None:
    with desk(tmp_path, n_workers=2) as opened:
        assert len(set(opened.ask_each("who"))) == 2


def test_workers_end_with_the_desk_whatever_they_are_at(tmp_path: Path) -> None:
    async def close(opened: Desk) -> object:
        waiting = asyncio.ensure_future(opened.ask("sleep 60"))
        await asyncio.sleep(0.3)
        opened.close()
        return (await asyncio.gather(waiting, return_exceptions=True))[0]

    with desk(tmp_path) as opened:
        (number,) = ask(opened, "who")
        assert isinstance(number, int)
        said = asyncio.run(close(opened))
        assert isinstance(said, RefusedError)
        assert said.code == "ending"
        assert not psutil.pid_exists(number)


def test_a_refusal_is_the_same_after_a_pipe() -> None:
    refused = pickle.loads(pickle.dumps(RefusedError(503, "busy", "later", 2)))  # noqa: S301 (our own)
    assert vars(refused) == vars(RefusedError(503, "busy", "later", 2))
    assert refused.body() == {"error": {"code": "busy", "message": "later"}}

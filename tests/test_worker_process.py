import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre import worker_process
from timbre.worker_process import note, noted, serve


class Pipe:
    """The parent's side, which gives tasks, takes answers, and ends."""

    def __init__(self, *tasks: int) -> None:
        self.tasks, self.answers = list(tasks), list[tuple[bool, object]]()

    def recv(self) -> int:
        if not self.tasks:
            raise EOFError
        return self.tasks.pop(0)

    def send(self, answer: tuple[bool, object]) -> None:
        self.answers.append(answer)


def halve(number: int) -> int:
    note(f"half of {number}")
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def test_tasks_are_answered_in_turn_until_the_pipe_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here no process of its own serves: signals and stderr are left as they are.
    asked: list[object] = []
    monkeypatch.setattr(signal, "signal", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(worker_process, "_hush_libraries", lambda: asked.append("hush"))
    monkeypatch.setattr(worker_process, "_diary", None)
    monkeypatch.setattr(worker_process, "_seconds", 0.0)
    pipe = Pipe(6, 7, 8)
    serve(pipe, halve, tmp_path / "diary", 60.0)  # type: ignore[arg-type]
    (first, three), (second, error), (third, four) = pipe.answers
    assert (first, three, second, third, four) == (True, 3, False, True, 4)
    assert isinstance(error, ValueError)
    assert (str(error), "in halve" in error.__notes__[0]) == ("7 is odd", True)
    assert asked == [(signal.SIGINT, signal.SIG_IGN), "hush"]
    assert noted((tmp_path / "diary").read_bytes()) == "half of 8"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_where_no_worker_runs_notes_do_nothing() -> None:
    assert worker_process._diary is None
    note("anything")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@given(st.lists(st.text(), min_size=1))
def test_a_diary_holds_what_was_noted_last(
    tmp_path_factory: pytest.TempPathFactory, items: list[str]
) -> None:
    path = tmp_path_factory.mktemp("diary") / "diary"
    diary = os.open(path, os.O_RDWR | os.O_CREAT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_process, "_diary", diary)
        patch.setattr(worker_process, "_set_alarm", lambda _: None)
        for item in items:
            note(item)
            assert noted(path.read_bytes()) == item
    os.close(diary)
    assert noted(b"") == ""


def test_a_name_that_is_no_text_is_noted_as_it_is(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.wav")
    assert noted(len(os.fsencode(name)).to_bytes(4, "big") + os.fsencode(name)) == name


def test_stderr_is_left_to_python(tmp_path: Path) -> None:
    kept, python = os.dup(2), sys.stderr
    file = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT)
    os.dup2(file, 2)
    try:
        worker_process._hush_libraries()
        os.write(2, b"from C\n")
        print("from Python", file=sys.stderr)
    finally:
        sys.stderr.close()
        sys.stderr = python
        os.dup2(kept, 2)
        os.close(kept)
        os.close(file)
    assert (tmp_path / "stderr").read_text() == "from Python\n"


def test_without_timers_there_is_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "setitimer")
    worker_process._set_alarm(0.01)

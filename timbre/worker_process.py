"""What a worker process does: one task after the other, noting what it is at."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from timbre.parent import end_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")

LARGE = 31 << 20  # bytes; glibc learns from blocks of up to 32 MiB
LENGTH_BYTES = 4

_diary: int | None = None  # file descriptor; None where no worker runs
_seconds = 0.0  # that one item may take


def note(item: str) -> None:
    """Name what this worker does next, for the case that it dies of it. Takes microseconds."""
    if _diary is not None:
        name = item.encode(errors="surrogateescape")
        os.lseek(_diary, 0, os.SEEK_SET)  # and not os.pwrite, which Windows has not
        os.write(_diary, len(name).to_bytes(LENGTH_BYTES, "big") + name)
        _set_alarm(_seconds)


def noted(diary: bytes) -> str:
    """Return what `note` last wrote to a diary, "" for nothing."""
    length = int.from_bytes(diary[:LENGTH_BYTES], "big")
    return diary[LENGTH_BYTES : LENGTH_BYTES + length].decode(errors="surrogateescape")


def serve(pipe: Connection, work: Callable[[Any], Any], diary: Path, seconds: float) -> None:
    """Do the tasks that come by the pipe, until it or the process that made this one ends."""
    global _diary, _seconds
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent ends us
    _hush_libraries()
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    _diary, _seconds = os.open(diary, flags), seconds
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, alone(work, task)
        except Exception as error:
            error.add_note(traceback.format_exc())  # where it was raised, which pickling forgets
            answer = False, error
        _set_alarm(0)
        pipe.send(answer)


def _hush_libraries() -> None:
    """Leave stderr to Python: decoders write of bad frames there, without a file's name."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _set_alarm(seconds: float) -> None:
    """Die in `seconds`, 0: never. Unhandled, the signal ends even a loop in a C library."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def alone(work: Callable[[Task], Result], task: Task) -> Result:
    """Do a task with numpy in one thread."""
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

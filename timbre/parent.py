"""A process that ends when the one it works for is gone.

A `dvc repro` that is killed leaves its stage, and a stage its workers. They would go on for hours,
and write among the files of the next run.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time

STAGE = "DVC_STAGE"  # the variable in which DVC names the stage that it runs
LOOK_EVERY = 0.25  # seconds; DVC needs more to start a stage again
GRACE = 10.0  # seconds in which an orphaned stage may put its things away


def end_with_dvc() -> None:
    """End this process as by SIGTERM once the DVC that runs it as a stage is gone."""
    if STAGE in os.environ and hasattr(os, "getpgid"):
        threading.Thread(target=_wait_for_dvc, daemon=True).start()


def end_with_parent() -> None:
    """End this worker of `multiprocessing` once the process that made it is gone."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def end_with_process(pid: int) -> None:
    """End this process once its parent is no more the process of number `pid`."""
    threading.Thread(target=_wait_for_process, args=(pid,), daemon=True).start()


def _wait_for_dvc() -> None:
    first = _runners()
    while not _are_gone(first, _runners()):
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    # An exception that is raised inside a callback is lost, and the stage goes on.
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)


def _runners() -> list[tuple[int, int]]:
    """Return the processes that run this stage and the groups that they are in, the nearest first.

    DVC hands the command to a shell. Bash becomes the stage itself; dash stays, outlives its DVC,
    and has then another parent.
    """
    import psutil  # here: its 27 ms pass beside the stage's own start

    try:
        parent = psutil.Process(os.getppid())
        command = parent.cmdline()
        is_shell = command[-2:-1] == ["-c"] and sys.orig_argv[2] in command[-1]
        found = [parent.pid, *([parent.ppid()] if is_shell else [])]
        return [(number, os.getpgid(number)) for number in found]
    except (psutil.Error, ProcessLookupError):
        return []


def _are_gone(first: list[tuple[int, int]], now: list[tuple[int, int]]) -> bool:
    """Tell whether DVC has ended: it and its shell are in our own group of processes."""
    return not now or now != first or any(group != os.getpgrp() for _, group in now)


def _wait_for_process(pid: int) -> None:
    while os.getppid() == pid:
        time.sleep(LOOK_EVERY)
    os._exit(1)


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

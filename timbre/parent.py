"""A process that ends when the one it works for is gone.

A `dvc repro` that is killed leaves its stage, and a stage its workers. They would go on for hours,
and write among the files of the next run.
"""

import multiprocessing
import os
import signal
import threading
import time

LOOK_EVERY = 0.25  # seconds; DVC needs more to start a stage again


def end_with_dvc() -> None:
    """End this process as by SIGTERM once the DVC that runs it as a stage is gone."""
    if "DVC_STAGE" in os.environ and hasattr(os, "getpgid"):
        parent = os.getppid()
        threading.Thread(target=_wait_for_dvc, args=(parent,), daemon=True).start()


def end_with_parent() -> None:
    """End this worker of `multiprocessing` once the process that made it is gone."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_dvc(parent: int) -> None:
    while not _is_orphan(parent):
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_orphan(parent: int) -> bool:
    """Tell whether `parent` is no longer DVC or DVC's shell: those are in our process group."""
    try:
        return os.getppid() != parent or os.getpgid(parent) != os.getpgrp()
    except ProcessLookupError:
        return True


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

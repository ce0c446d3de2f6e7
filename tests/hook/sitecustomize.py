"""Has the stages of a test note when they ran, and in how many threads and processes.

Python imports this file by itself, before any other, because its folder stands in PYTHONPATH.
`TIMBRE_NOTES` names the folder for the notes. Trainings wait there until a second one has begun, so
that they are seen side by side.
"""

import atexit
import json
import os
import sys
import time
from pathlib import Path

NOTES = os.environ.get("TIMBRE_NOTES", "")
PATIENCE = 120  # seconds
TRAINING = "train_cnn"


def stage_of(command: list[str]) -> str:
    """Name the stage that a command runs, "" for none."""
    module = command[command.index("-m") + 1] if "-m" in command else ""
    return module.removeprefix("stages.") if module.startswith("stages.") else ""


def meet() -> None:
    """Wait until another training has begun."""
    end = time.monotonic() + PATIENCE
    while len(list(Path(NOTES).glob(f"{TRAINING}-*.begun"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)


def tell(stage: str, begun: float) -> None:
    """Write the note of this process, which ends."""
    from threadpoolctl import threadpool_info

    from timbre.workers import n_cores

    torch = sys.modules.get("torch")
    threads = [pool["num_threads"] for pool in threadpool_info()]
    threads += [torch.get_num_threads()] if torch else []
    note = {
        "stage": stage,
        "begun": begun,
        "ended": time.monotonic(),
        "threads": max(threads, default=1),
        "processes": n_cores(),
        "place": str(Path.cwd()),
    }
    (Path(NOTES) / f"{stage}-{os.getpid()}.json").write_text(json.dumps(note), encoding="utf-8")


if NOTES and (STAGE := stage_of(sys.orig_argv)):
    atexit.register(tell, STAGE, time.monotonic())  # the same clock in all processes
    (Path(NOTES) / f"{STAGE}-{os.getpid()}.begun").touch()
    if STAGE == TRAINING:
        meet()

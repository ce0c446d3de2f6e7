"""How a stage runs as one of several processes that a launcher has started.

What goes wrong is told once, by the first process that has something to tell, and without a
traceback where a user can mend it. A process whose launcher is gone ends.
"""

import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from torch import distributed

from timbre import command
from timbre.parent import end_with_dvc, end_with_process
from timbre.problems import InputError
from timbre.team import is_rank, store

LAUNCHER = "TIMBRE_LAUNCHER"  # the variable that holds the process number of our own
FAILED, LOST = 1, 75  # exit codes: it was told why; others are gone, who know why
LOST_IN_TRANSIT = re.compile(r"\b(gloo|NCCL)\b", re.IGNORECASE)  # gloo's errors have no type
ADDED, TOLD = "problems", "told"  # keys of the store
TELLING = timedelta(seconds=10)


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments as paths and exit: `command.run` for ranks."""
    if not is_rank():
        command.run(main)
    _end_with_launcher()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # even while it waits for others inside a library
    if os.environ["RANK"] != "0":
        warnings.simplefilter("ignore")  # rank 0 has the same
    _leave(_exit_code(main, [Path(argument) for argument in sys.argv[1:]]))


def _end_with_launcher() -> None:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_process(int(os.environ.get(LAUNCHER, os.getppid())))
    else:
        end_with_dvc()


def _exit_code(main: Callable[..., None], paths: list[Path]) -> int:
    try:
        main(*paths)
    except InputError as error:
        _tell(error.show)
        return FAILED
    except Exception as error:
        if is_loss(error):
            if LAUNCHER not in os.environ:  # ours says which one is gone
                _tell(lost(str(error)).show)
            return LOST
        if isinstance(error, OSError) and error.errno in command.WAYS_OUT:
            _tell(command.told(error).show)
        else:
            _tell(traceback.print_exc)
        return FAILED
    return 0


def is_loss(error: Exception) -> bool:
    """Tell whether an error means that other processes of the team cannot be reached."""
    typed = distributed.DistBackendError, distributed.DistNetworkError, distributed.DistStoreError
    return isinstance(error, typed) or (
        isinstance(error, RuntimeError) and LOST_IN_TRANSIT.search(str(error)) is not None
    )


def lost(reason: str) -> InputError:
    """Return what is told where no process knows more than that others are gone."""
    return InputError(
        "another process of the training has ended or cannot be reached "
        f"({' '.join(reason.split())[:200]}): see what it says, and whether the network stands, "
        f"{command.RESUMED}"
    )


def _tell(show: Callable[[], None]) -> None:
    """Call `show` in the first process that has something to tell; others wait until it has."""
    try:
        first = store().add(ADDED, 1) == 1
    except RuntimeError:
        first = True
    if first:
        show()
        sys.stderr.flush()
    with suppress(RuntimeError):
        store().set(TOLD, "") if first else store().wait([TOLD], TELLING)


def _leave(code: int) -> NoReturn:
    if code == 0:
        sys.exit(0)
    sys.stdout.flush()
    os._exit(code)  # what libraries do at an exit may wait for processes that are gone

"""How a stage is run from the command line: paths in, problems out without a traceback.

An argument `params:data.root` stands for the path that params.yaml has there. DVC hands commands to
a shell, which would run what a folder's name holds: `$(...)`.
"""

import errno
import inspect
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Never

import yaml

from timbre.handover import clear_recorded
from timbre.parent import end_with_dvc
from timbre.problems import InputError
from timbre.recorded import check_inputs

FROM_PARAMS = "params:"
PARAMS = Path("params.yaml")
INTERRUPTED, TERMINATED = 130, 143  # the shell's exit codes for SIGINT and SIGTERM
RESUMED = "then run `dvc repro`: what is finished is not done again"
# What a disk, a system or a user can be the reason of, and the way out.
WAYS_OUT = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room"),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EIO: "look after the disk",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "allow this user to read and write there"
    ),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit on open files (ulimit -n)"),
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), "end other programs, or set TIMBRE_JOBS=1"),
}


class TerminatedError(BaseException):
    """SIGTERM came: no error, and nobody who catches all errors shall catch it."""


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments as paths and exit.

    Exit codes: 0 done, 1 a problem that the user can mend (its lines on stderr), 2 wrong number of
    arguments, 130 interrupted, 143 terminated. Anything else is our mistake and keeps its
    traceback. The process ends early if the DVC that runs it is killed.
    """
    sys.exit(_exit_code(main, sys.argv[1:]))


def _exit_code(main: Callable[..., None], arguments: list[str]) -> int:
    names = list(inspect.signature(main).parameters)
    if len(arguments) != len(names):
        module = main.__globals__["__spec__"].name if main.__globals__.get("__spec__") else "STAGE"
        usage = " ".join(name.upper() for name in names)
        print(f"usage: python -m {module} {usage}", file=sys.stderr)
        return 2
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        end_with_dvc()
        clear_recorded()
        paths = [_path(argument) for argument in arguments]
        check_inputs(paths)
        main(*paths)
    except InputError as error:
        error.show()
        return 1
    except OSError as error:
        if error.errno not in WAYS_OUT:
            raise
        told(error).show()
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except TerminatedError:
        print("terminated", file=sys.stderr)
        return TERMINATED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _terminate(*_: object) -> Never:
    raise TerminatedError


def told(error: OSError) -> InputError:
    """Return what a user is told of an error of the system that is among WAYS_OUT."""
    place = f"{error.filename}: " if error.filename else ""
    return InputError(f"{place}{error.strerror}: {WAYS_OUT[error.errno or 0]}, {RESUMED}")


def _path(argument: str) -> Path:
    if not argument.startswith(FROM_PARAMS):
        return Path(argument)
    key = argument.removeprefix(FROM_PARAMS)
    try:
        value = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
        for part in key.split("."):
            value = value[part]
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{PARAMS}: {key}: cannot be read ({reason})") from None
    if not isinstance(value, str) or not value:
        raise InputError(f"{PARAMS}: {key}: must be a path (got {value!r})")
    return Path(value)

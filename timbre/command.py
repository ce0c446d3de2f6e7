"""How a stage is run from the command line: paths in, problems out without a traceback.

An argument `params:data.root` stands for the path that params.yaml has there. DVC hands commands to
a shell, which would run what a folder's name holds: `$(...)`.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from timbre.problems import InputError
from timbre.recorded import check_inputs

FROM_PARAMS = "params:"
PARAMS = Path("params.yaml")
INTERRUPTED = 130  # the shell's exit code for SIGINT


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments as paths and exit.

    Exit codes: 0 done, 1 a problem that the user can mend (its lines on stderr), 2 wrong number of
    arguments, 130 interrupted. Anything else is our mistake and keeps its traceback.
    """
    sys.exit(_exit_code(main, sys.argv[1:]))


def _exit_code(main: Callable[..., None], arguments: list[str]) -> int:
    names = list(inspect.signature(main).parameters)
    if len(arguments) != len(names):
        module = main.__globals__["__spec__"].name if main.__globals__.get("__spec__") else "STAGE"
        usage = " ".join(name.upper() for name in names)
        print(f"usage: python -m {module} {usage}", file=sys.stderr)
        return 2
    try:
        paths = [_path(argument) for argument in arguments]
        check_inputs(paths)
        main(*paths)
    except InputError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


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

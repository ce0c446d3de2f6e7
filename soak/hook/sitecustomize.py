"""What a trial puts into every Python that it starts: count the work on files, strike once.

`SOAK_ROOT` names the folder whose files count, `SOAK_LOG` a file to list all of it in, and
`SOAK_STRIKE` holds a `soak.plan.Strike` as JSON. Python imports this file by itself, before any
other, because its folder stands in PYTHONPATH. An audit hook may raise, so an error that is put in
here comes out of the very call that a full or broken disk would make fail.
"""

import errno
import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

ROOT = os.environ.get("SOAK_ROOT", "")
STRIKE: dict[str, Any] = json.loads(os.environ.get("SOAK_STRIKE", "null")) or {}
WRITES = os.O_WRONLY | os.O_RDWR
# Audit events, which of their arguments is the path that changes, and what the trials call them.
EVENTS = {
    "open": (0, "open"),
    "os.rename": (1, "rename"),
    "os.link": (1, "link"),
    "os.mkdir": (0, "mkdir"),
    "os.remove": (0, "remove"),
    "os.rmdir": (0, "remove"),
}
MULTIPROCESSING = "from multiprocessing."  # how the command of its helpers begins


def role_of(command: list[str]) -> str:
    """Name what this process is: dvc, a stage, the workers of one, or another."""
    if "-m" in command:
        return command[command.index("-m") + 1].removeprefix("stages.")
    if "-c" in command:
        code = command[command.index("-c") + 1]
        return "worker" if code.startswith(MULTIPROCESSING + "forkserver") else "other"
    return os.path.basename(command[1]) if len(command) > 1 else "other"  # noqa: PTH119


class Watch:
    """Counts what this process does to files below ROOT, and strikes where the plan says so."""

    def __init__(self, role: str) -> None:
        """Begin to count."""
        self.role, self.start = role, time.monotonic()
        self.count, self.met = 0, 0  # events, and those of the kind and place to strike at
        self.armed = STRIKE.get("role") == role
        path = os.environ.get("SOAK_LOG")
        # By its number: the hook would see an `open` of its own.
        self.log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if path else None
        self._fsync = os.fsync

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an audit event."""
        if event in EVENTS:
            place, kind = EVENTS[event]
            if event != "open" or arguments[2] & WRITES:
                self.see(kind, arguments[place])

    def fsync(self, fd: Any) -> None:  # noqa: ANN401 (a file or a number)
        """Stand for os.fsync, which Python audits not."""
        number = fd if isinstance(fd, int) else fd.fileno()
        self.see("fsync", os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        self._fsync(number)

    def see(self, kind: str, path: object) -> None:
        """Count one event, if it concerns a file of the trial."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        if not name.startswith(ROOT + os.sep) or "__pycache__" in name:
            return
        self.count += 1
        self.note(kind, os.path.relpath(name, ROOT))
        if self.armed and STRIKE["kind"] in kind and STRIKE["path"] in name:
            self.met += 1
            if self.met == STRIKE.get("event"):
                strike(name)

    def note(self, kind: str, name: str) -> None:
        """Write one event down."""
        if self.log is not None:
            seconds = round(time.monotonic() - self.start, 3)
            line = json.dumps([self.role, self.count, seconds, kind, name])
            os.write(self.log, line.encode() + b"\n")

    def wait(self) -> None:
        """Strike when it is time."""
        time.sleep(STRIKE["seconds"])
        strike("")

    def begin(self) -> None:
        """Start the clock, in a thread of this process."""
        if self.armed and "seconds" in STRIKE:
            threading.Thread(target=self.wait, daemon=True).start()


def strike(name: str) -> None:
    """Do what the plan says, in one process and once."""
    try:
        os.close(os.open(os.environ["SOAK_STRUCK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if STRIKE["do"] == "LIMIT":
        resource.setrlimit(resource.RLIMIT_FSIZE, (STRIKE["bytes"], resource.RLIM_INFINITY))
        return
    if not STRIKE["do"].startswith("SIG"):
        number = getattr(errno, STRIKE["do"])
        raise OSError(number, os.strerror(number), name)
    number = getattr(signal, STRIKE["do"])
    if STRIKE["to"] == "group":
        os.killpg(os.getpgrp(), number)
    # Its trial made dvc the first of a group of its own.
    os.kill(os.getpgrp() if STRIKE["to"] == "dvc" else os.getpid(), number)


def main() -> None:
    """Watch this process."""
    watch = Watch(role_of(sys.orig_argv))
    sys.addaudithook(watch.hook)
    os.fsync = watch.fsync
    if watch.role == "worker":  # this is the server that they are forked from
        os.register_at_fork(after_in_child=watch.begin)
    else:
        watch.begin()


if ROOT:
    main()

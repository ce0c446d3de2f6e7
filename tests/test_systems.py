"""What only some systems have is asked for before it is used. Run on Linux, as if it were another.

No test here runs on macOS or Windows: docs/systems.md says what that means.
"""

import ast
import os
import signal
import threading
from pathlib import Path

import pytest
from clone import REPOSITORY

from timbre import parent, worker_process, workers
from timbre.worker_process import note, noted

# Names of `os` and `signal` that Windows, macOS or both have not.
POSIX_ONLY = {
    *("fork", "forkpty", "getpgid", "getpgrp", "setpgid", "setsid", "killpg", "getuid", "geteuid"),
    *("getgid", "getegid", "chown", "mkfifo", "mknod", "nice", "pread", "pwrite", "pipe2", "uname"),
    *("sched_getaffinity", "sched_setaffinity", "sendfile", "statvfs", "sync", "sysconf", "wait"),
    *("waitpid", "getloadavg", "posix_fadvise", "posix_fallocate", "memfd_create", "fchmod"),
    *("setitimer", "getitimer", "ITIMER_REAL", "alarm", "pause", "pthread_kill", "sigwait"),
    *(
        "pthread_sigmask",
        "SIGALRM",
        "SIGHUP",
        "SIGKILL",
        "SIGQUIT",
        "SIGUSR1",
        "SIGUSR2",
        "SIGCHLD",
    ),
}
POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "posix", "syslog"}
# Where one is used all the same, and what is asked before.
GUARDED = {
    ("atomic.py", "uname"): "hasattr in the same line",
    ("parent.py", "getpgid"): "end_with_dvc starts its thread only where os has it",
    ("parent.py", "getpgrp"): "the same",
    ("worker_process.py", "setitimer"): "hasattr in the line above",
    ("worker_process.py", "ITIMER_REAL"): "the same",
}


def test_nothing_that_only_posix_has_is_used_unasked() -> None:
    found, modules = set(), set()
    for path in [*REPOSITORY.glob("timbre/**/*.py"), *REPOSITORY.glob("stages/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id in ("os", "signal") and node.attr in POSIX_ONLY:
                    found.add((path.name, node.attr))
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names} & POSIX_MODULES
            elif isinstance(node, ast.ImportFrom):
                modules |= {str(node.module)} & POSIX_MODULES
    assert found == set(GUARDED)
    assert modules == set()


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what Windows has not, once pytest has asked os who we are."""
    for module, names in ((os, dir(os)), (signal, dir(signal))):
        for name in POSIX_ONLY & {*names}:
            monkeypatch.delattr(module, name)


@pytest.mark.usefixtures("_elsewhere")
def test_workers_note_what_they_are_at_without_alarms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary = os.open(tmp_path / "diary", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr(worker_process, "_diary", diary)
    note("a long name of a clip\n")
    note("short\n")
    os.close(diary)
    assert noted((tmp_path / "diary").read_bytes()) == "short\n"


@pytest.mark.usefixtures("_elsewhere")
def test_cores_are_counted_and_nobody_watches_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIMBRE_JOBS", raising=False)
    monkeypatch.setenv(parent.STAGE, "split")
    assert workers.n_cores() == os.cpu_count()
    before = threading.active_count()
    parent.end_with_dvc()
    assert threading.active_count() == before

"""Dask's scheduler and workers as processes on the loopback interface, ended by their number."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.workshop import REPOSITORY

START_SECONDS = 60.0
END_SECONDS = 20.0


class Logged:
    """A process whose log is read all along: a full pipe would stop it."""

    def __init__(self, words: list[str], folder: Path, variables: Mapping[str, str]) -> None:
        """Start a module of Python's in `folder`; `variables` of the environment on top."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as log:
            for line in log:
                self.lines.put(line)

    def wait_for(self, pattern: str) -> str:
        """Wait for a line that matches; return its first group."""
        while True:
            if found := re.search(pattern, self.lines.get(timeout=START_SECONDS)):
                return found[1]

    def end(self) -> None:
        """End it, frozen or not."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            if self.process.poll() is None:
                self.process.send_signal(number)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()


@contextmanager
def scheduler(
    folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Logged]]:
    """Run a scheduler; yield its address and process."""
    words = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    logged = Logged([*words, "--no-dashboard"], folder, variables or {})
    try:
        yield logged.wait_for(r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)"), logged
    finally:
        logged.end()


@contextmanager
def worker(
    address: str, folder: Path, variables: Mapping[str, str] | None = None, *, nanny: bool = False
) -> Iterator[Logged]:
    """Run a worker with one thread; yield its process, which a nanny starts if there is one."""
    folder.mkdir(exist_ok=True)
    words = ["distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", "1"]
    own = ["--no-dashboard", "--nanny" if nanny else "--no-nanny", "--local-directory", "."]
    logged = Logged([*words, *own], folder, variables or {})
    try:
        logged.wait_for(r"Registered to:\s+(tcp://)")
        yield logged
    finally:
        logged.end()

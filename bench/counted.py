"""Seconds and bytes of a command and of all processes that it starts; needs Linux's /proc."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# The kernel adds what a process read and wrote to the one that waits for it. Workers are children
# of a fork server, which nobody waits for; so this process adopts what is left and waits for it.
ADOPTING = """
import ctypes, os, subprocess, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
code = subprocess.call(sys.argv[2:])
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
counts = open("/proc/self/io").read()
open(sys.argv[1], "w").write(counts)
sys.exit(code)
"""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    read: float  # bytes through read(), whether from the disk or from memory; not mapped pages
    written: float  # bytes


def run_counted(command: list[str], folder: Path, environment: dict[str, str]) -> Cost:
    """Run a command that must succeed."""
    with tempfile.NamedTemporaryFile("r") as counts:
        adopting = [sys.executable, "-S", "-c", ADOPTING, counts.name, *command]
        start = time.perf_counter()
        done = subprocess.run(
            adopting, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        fields = dict(line.split(": ") for line in counts.read().splitlines())
    return Cost(seconds, float(fields["rchar"]), float(fields["wchar"]))

"""Time and peak memory of a process and all its children; needs Linux's /proc."""

import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05
OWN = ("Pss_Anon:", "Pss_Shmem:")


@dataclass(frozen=True)
class Usage:
    """What a command took."""

    seconds: float
    peak_mb: float  # its own memory, not the pages of files that it reads or maps


def run_measured(command: list[str], folder: Path, environment: dict[str, str]) -> Usage:
    """Run a command that must succeed; memory is sampled over all processes of its session."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        peak = 0
        while True:
            try:
                process.wait(SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, session_bytes(process.pid))
        seconds = time.perf_counter() - start
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{shlex.join(command)} failed:\n{output.read().decode()}")
    return Usage(seconds, peak / 1e6)


def session_bytes(session: int) -> int:
    """Return the memory of all processes in a session; shared pages count once."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sum(own_bytes(pid) for pid in pids if _session(pid) == session)


def own_bytes(pid: int) -> int:
    """Return a process's memory that no file backs, its share of what several have; 0 if gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(OWN))


def _session(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return -1
    # The name of the program, in brackets, may hold anything.
    return int(stat.rsplit(")", 1)[1].split()[3])

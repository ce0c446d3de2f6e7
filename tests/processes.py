"""Other processes, waited for."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

PATIENCE = 60.0  # seconds


def ends(pid: int) -> bool:
    """Wait until a process has ended, or is left unburied; kill it where it does not."""
    try:
        process = psutil.Process(pid)
        for _ in range(round(PATIENCE / 0.05)):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.05)
    except psutil.NoSuchProcess:
        return True
    os.kill(pid, signal.SIGKILL)
    return False


def waited_for(path: Path, process: "subprocess.Popen[str]", lines: int = 1) -> str:
    """Return the text of a file once it has so many lines; its process must not end before."""
    for _ in range(round(PATIENCE / 0.02)):
        if path.exists() and len((text := path.read_text()).splitlines()) >= lines:
            return text
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"{path} was not written")

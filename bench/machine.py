"""What machine this is, as far as speed depends on it: no names of hosts or folders."""

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = (
    *("numpy", "opencv-python-headless", "soundfile", "soxr", "h5py", "torch", "pandas", "dvc"),
    *("librosa", "scikit-image", "joblib", "kaldi-native-fbank"),
)

Machine = dict[str, str | int | float]


def describe() -> Machine:
    """Return processor, cores, memory, system and versions."""
    return {
        "cpu": cpu_model(),
        "cores": n_cores(),
        "memory_gb": round(memory_bytes() / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    """Return the processor's name as the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.is_file():
        lines = told.read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def n_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory_bytes() -> int:
    """Return the size of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def version(package: str) -> str:
    """Return the installed version, "-" without one."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"

"""The DVC repository that a command is run in, from whichever of its folders."""

import subprocess
import sys
from pathlib import Path

from timbre.problems import InputError


def find_root() -> Path:
    """Return the nearest folder with `.dvc` in it, from the current one upwards, as DVC does.

    Raises InputError where there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise InputError(
        f"{here}: no DVC repository here or above: go to the folder with dvc.yaml, or to one in it"
    )


def cache_folder() -> Path:
    """Return the folder of DVC's cache, which may lie anywhere."""
    asked = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True
    )
    lines = asked.stdout.strip().splitlines()
    return Path(lines[-1]) if not asked.returncode and lines else Path(".dvc/cache")

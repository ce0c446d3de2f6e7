"""Disks that are small, full, or not to be written to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.repository import Repository
from soak.plan import Strike


class NotPossibleError(Exception):
    """This machine or this user cannot have the fault."""


@contextmanager
def own_disk(strike: Strike, folder: Path) -> Iterator[None]:
    """Put a trial that fills its disk on a small one of its own."""
    folder.mkdir(parents=True)
    if strike.fault != "full":
        yield
        return
    _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder))
    try:
        yield
    finally:
        _unmount(folder)


@contextmanager
def full_disk(strike: Strike, repository: Repository) -> Iterator[None]:
    """Leave the trial's disk as many bytes as the plan says."""
    if strike.fault != "full":
        yield
        return
    folder = repository.folder.parent
    used = shutil.disk_usage(folder).used
    _mount("-o", f"remount,size={used + strike.bytes}", str(folder))
    try:
        yield
    finally:
        _mount("-o", "remount,size=64m", str(folder))


@contextmanager
def read_only(strike: Strike, repository: Repository) -> Iterator[None]:
    """Take away the right to write to a folder; from root, who may all, by a mount."""
    if not strike.place:
        yield
        return
    folder = repository.folder / strike.place
    folder.mkdir(exist_ok=True)
    if os.geteuid():
        folder.chmod(0o555)
    else:
        _mount("--bind", str(folder), str(folder))
        _mount("-o", "remount,ro,bind", str(folder))
    try:
        yield
    finally:
        if os.geteuid():
            folder.chmod(0o755)
        else:
            _unmount(folder)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NotPossibleError(f"mounting is not possible here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True, capture_output=True)

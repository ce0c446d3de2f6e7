"""Find what a kill or a bad disk left broken, say it in plain words, and repair it when asked to.

    python -m timbre.doctor
    python -m timbre.doctor --repair

Exit code 0: healthy, or all is repaired. 1: there are problems, or they cannot be repaired now.

DVC writes `dvc.lock` and its own locks in place, so a kill at the wrong moment leaves half of one.
What it stores is checked against the MD5 that is its name. Nothing is removed that `dvc repro`
cannot make again.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from tqdm import tqdm

from timbre.atomic import leftovers
from timbre.problems import InputError
from timbre.recorded import LOCK, md5_of
from timbre.repository import cache_folder, find_root

LOCKS = (LOCK, Path("data/dvc.lock"))
RWLOCK = Path(".dvc/tmp/rwlock")
OUR_FOLDERS = ("data", "models", "metrics", "plots", ".timbre")
# How DVC and safetensors call a file that they are about to rename.
PIECE = re.compile(r"\.[\w-]{22}\.tmp|\.tmp\w{6}")
STORED = re.compile(r"[0-9a-f]{30}(\.dir)?")  # a file in DVC's cache, in a folder of two digits


@dataclass(frozen=True)
class Finding:
    """Something that is broken: what, why, and what `repair` does to it."""

    text: str
    remedy: str
    repair: Callable[[], None]


def main(arguments: list[str]) -> int:
    """Examine the repository that the current folder is in; return the exit code."""
    parser = argparse.ArgumentParser("python -m timbre.doctor", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repair", action="store_true", help="repair what is found")
    options = parser.parse_args(arguments)
    try:
        root = find_root()
    except InputError as error:
        error.show()
        return 1
    with chdir(root):  # what DVC records is named from there
        return _examine(options.repair)


def _examine(repair: bool) -> int:
    if running := running_commands():
        print(f"error: DVC is at work here ({'; '.join(running)}): wait until it ends, or end it")
        return 1
    found = list(examine(cache_folder()))
    for finding in found:
        print(f"{finding.text}\n  {'repaired' if repair else 'to repair'}: {finding.remedy}")
        if repair:
            finding.repair()
    told = f"{len(found)} problems" if len(found) != 1 else "1 problem"
    if not found:
        print("healthy")
    elif repair:
        print(f"{told} repaired: now run `dvc repro`")
    else:
        print(f"{told}: `python -m timbre.doctor --repair` does what is said above")
    return int(bool(found) and not repair)


def examine(cache: Path) -> Iterator[Finding]:
    """Yield all that is broken in the repository; `cache` is DVC's."""
    for path in LOCKS:
        if path.exists() and read_lock(path) is None:
            yield broken_lock(path)
    yield from stale_locks()
    yield from run_cache(cache / "runs")
    yield from stored_files(cache / "files" / "md5")
    yield from altered_outputs(cache / "files" / "md5")
    yield from left_over()


def read_lock(path: Path) -> dict[str, Any] | None:
    """Return the content of a dvc.lock, None if it is broken."""
    try:
        read = yaml.safe_load(path.read_bytes())
        outs = [out for stage in read["stages"].values() for out in stage.get("outs", [])]
        whole = all("path" in out and ("md5" in out or "hash" in out) for out in outs)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return None
    return read if whole and all("cmd" in stage for stage in read["stages"].values()) else None


def broken_lock(path: Path) -> Finding:
    """Tell of a dvc.lock that was cut off."""
    in_git = subprocess.run(["git", "show", f"HEAD:{path.as_posix()}"], capture_output=True)
    text = f"{path}: broken: DVC writes it in place, and was killed or had no room meanwhile"

    def restore() -> None:
        path.unlink()
        if not in_git.returncode:
            path.write_bytes(in_git.stdout)
            if read_lock(path) is None:
                path.unlink()

    kept = "what ran before comes out of DVC's cache"
    where = "removed" if in_git.returncode else "the last commit's is put in its place"
    return Finding(text, f"{where}; {kept}", restore)


def stale_locks() -> Iterator[Finding]:
    """Find locks in DVC's file of locks whose processes are gone, and such a file cut off."""
    if not RWLOCK.exists():
        return
    locks = read_rwlock()
    if locks is None:
        text = f"{RWLOCK}: broken: DVC writes it in place, and was killed or had no room meanwhile"
        yield Finding(text, "removed; no DVC is at work here", RWLOCK.unlink)
    elif holders := holders_of(locks):
        # Those at work were told before.
        names = "; ".join(sorted(set(holders.values())))
        yield Finding(
            f"{RWLOCK}: holds locks of processes that are gone ({names})", "removed", RWLOCK.unlink
        )


def read_rwlock() -> dict[str, Any] | None:
    """Return DVC's locks, None if their file is broken."""
    try:
        read = json.loads(RWLOCK.read_bytes())
        holders_of(read)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return dict(read)


def holders_of(locks: dict[str, Any]) -> dict[int, str]:
    """Return the processes that hold locks: number to command."""
    readers = [entry for entries in locks.get("read", {}).values() for entry in entries]
    entries = [*readers, *(entry for entry in locks.get("write", {}).values() if entry)]
    return {int(entry["pid"]): str(entry["cmd"]) for entry in entries}


def running_commands() -> list[str]:
    """Return the DVC commands that are at work in this repository."""
    locks = read_rwlock() if RWLOCK.exists() else None
    return [
        f"process {pid}: {command}"
        for pid, command in holders_of(locks or {}).items()
        if _runs_dvc(pid)
    ]


def _runs_dvc(pid: int) -> bool:
    """Tell whether the process is there and DVC's: numbers are given again to others."""
    try:
        return any("dvc" in word for word in psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, ValueError):  # a negative number is nobody's
        return False
    except psutil.Error:
        return True  # another user's


def run_cache(runs: Path) -> Iterator[Finding]:
    """Find records of runs that DVC cannot read, and folders without one, on which it fails."""
    for folder in sorted(runs.glob("*/*")):
        broken = [path for path in folder.iterdir() if not _is_record(path)]

        def remove(folder: Path = folder, broken: list[Path] = broken) -> None:
            for path in broken:
                path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()

        if broken or not any(folder.iterdir()):
            text = f"{folder}: a record of a run, cut off when DVC was killed: DVC fails on it"
            yield Finding(text, "removed; the stage runs again", remove)


def _is_record(path: Path) -> bool:
    try:
        read = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(read, dict) and {"cmd", "outs"} <= read.keys()


def stored_files(store: Path) -> Iterator[Finding]:
    """Find files in DVC's cache whose bytes are not those of their name, and pieces of some."""
    paths = sorted([*store.glob("*.tmp"), *store.glob("*/*")])
    for path in tqdm(paths, unit="file", desc="cache", disable=None):
        if not STORED.fullmatch(path.name):
            text = f"{path}: a piece of a file, left when DVC was killed"
            yield Finding(text, "removed", path.unlink)
        elif md5_of(path) != path.parent.name + path.name[:30]:
            text = f"{path}: damaged: its bytes are not those that DVC stored under this name"
            remedy = "removed; DVC fetches it from a remote, or the stage makes it again"
            yield Finding(text, remedy, path.unlink)


def altered_outputs(store: Path) -> Iterator[Finding]:
    """Find outputs whose bytes are not those that DVC recorded: it looks at their times only."""
    for path, wanted in recorded_files(store).items():
        if path.is_file() and md5_of(path) != wanted:
            text = f"{path}: not what dvc.lock says: damaged, or changed by hand"
            yield Finding(text, "removed; DVC brings it back, or the stage makes it", path.unlink)


def recorded_files(store: Path) -> dict[Path, str]:
    """Return all files of outputs, and the MD5 that DVC recorded of each."""
    found: dict[Path, str] = {}
    locks = [lock for path in LOCKS if path.exists() and (lock := read_lock(path))]
    for out in (o for lock in locks for s in lock["stages"].values() for o in s.get("outs", [])):
        own = str(out.get("md5", ""))
        if not own.endswith(".dir"):
            found[Path(out["path"])] = own
            continue
        try:
            listed = json.loads((store / own[:2] / own[2:]).read_bytes())
            found |= {Path(out["path"], file["relpath"]): file["md5"] for file in listed}
        except (OSError, ValueError, LookupError, TypeError):
            continue  # the list is not here, or is told of as damaged
    return found


def left_over() -> Iterator[Finding]:
    """Find temporary files whose writers are gone, ours and DVC's."""
    for name in OUR_FOLDERS:
        for folder in [Path(name), *(p for p in Path(name).rglob("*") if p.is_dir())]:
            pieces = [path for path in folder.glob(".*") if PIECE.fullmatch(path.name)]
            for path in [*leftovers(folder), *pieces]:
                text = f"{path}: a temporary file of a process that was killed"
                yield Finding(text, "removed", path.unlink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What DVC recorded of the files that stages wrote, and whether a stage's inputs still are that.

DVC takes a file for unchanged as long as its size and time are, and a read-only file in its cache
for sound: a bit that flipped on the disk would be trained on, or scored.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from timbre.parent import STAGE
from timbre.problems import InputError

# Documented at dvc.org/doc/user-guide/project-structure/internal-files.
LOCK, CACHE = Path("dvc.lock"), Path(".dvc/cache/files/md5")
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError)


def recorded_outputs(lock: Path = LOCK) -> dict[str, dict[str, str]]:
    """Return the MD5 of each output, "" without one, by its path, for each stage by its name.

    Raises OSError, or one of UNREADABLE for a file that is no such record.
    """
    return {
        name: {out["path"]: out.get("md5", "") for out in stage.get("outs", [])}
        for name, stage in _stages(lock).items()
    }


def recorded_input(output: Path, path: Path, lock: Path = LOCK) -> str:
    """Return the MD5 that a file had when the stage that makes `output` read it.

    Raises OSError, or one of UNREADABLE where that is not recorded.
    """
    inputs = {
        (out["path"], dep["path"]): str(dep["md5"])
        for stage in _stages(lock).values()
        for out in stage.get("outs", [])
        for dep in stage.get("deps", [])
        if "md5" in dep  # what lies outside may have another kind of hash
    }
    return inputs[output.as_posix(), path.as_posix()]


def _stages(lock: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times quicker where built
    stages: dict[str, Any] = yaml.load(lock.read_bytes(), loader)["stages"]  # noqa: S506 (safe)
    return stages


def cached(md5: str) -> Path:
    """Return where DVC keeps the file with this MD5, unless it is told to keep it elsewhere."""
    return CACHE / md5[:2] / md5[2:]


def check_inputs(paths: Sequence[Path]) -> None:
    """Raise InputError for each of `paths` that another stage wrote and that has changed since.

    Only while DVC runs a stage: its record then tells of the very files that the stage is to read.
    Shards find their own damage, row by row, and are not read for this.
    """
    if not (own := os.environ.get(STAGE)):
        return
    try:
        recorded = recorded_outputs()
    except (OSError, *UNREADABLE):
        return  # nothing was recorded yet
    md5s = {
        path: md5 for name, outs in recorded.items() if name != own for path, md5 in outs.items()
    }
    problems = [
        f"{path}: is not what DVC recorded when it was made: it was damaged, or changed by hand: "
        f"delete it and its copy in DVC's cache ({cached(md5)}), then run `dvc repro`"
        for path in paths
        if (md5 := md5s.get(path.as_posix())) and path.is_file() and md5_of(path) != md5
    ]
    if problems:
        raise InputError(problems)


def md5_of(path: Path) -> str:
    """Return the MD5 of a file as DVC computes it; it guards against damage, not malice."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

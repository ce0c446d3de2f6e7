"""The output folder of a stage: the last run's, out of DVC's cache, and how the next one appears.

DVC deletes the outputs of a stage before it runs; what they were stays in its cache.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from timbre.recorded import UNREADABLE, cached, recorded_outputs

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem


def cached_files(output: Path, folder: Path) -> list[Path]:
    """Return local paths to the files that DVC recorded for `output`; read them, never change them.

    A file that lies only in a remote is fetched into `folder`. Without a repository, a record or a
    cached copy the list is empty; where something else was the matter, a line on stderr says what.
    """
    if (quickly := _in_usual_place(output)) is not None:
        return quickly
    try:
        # Asked last: importing DVC takes longer than to extract two hundred clips.
        from dvc.api import DVCFileSystem

        files = DVCFileSystem(".")
        names = sorted(files.find(output.as_posix(), detail=False))
        return [_local_copy(files, name, output, folder) for name in names]
    except Exception as error:
        # Any of DVC's packages, and any remote, may fail in its own way. All it costs is time.
        if isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError):
            return []  # recorded, but nowhere to be had
        reason = " ".join(str(error).split())
        print(f"{output}: nothing to reuse in DVC's cache ({reason})", file=sys.stderr)
        return []


def publish(files: Mapping[str, Path], output: Path) -> None:
    """Put finished files, by their names below it, into the empty output folder.

    Linked where that can be, not moved: a run killed half way through still has all of them where
    they were, and a file that did not change is not written again.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for name, path in files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(path, output / name)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _in_usual_place(output: Path) -> list[Path] | None:
    """Look the files up as DVC documents its records; None if they are not all where it says."""
    try:
        of_stages = recorded_outputs().values()
        md5s = [outs[output.as_posix()] for outs in of_stages if output.as_posix() in outs]
        if not md5s:
            return []  # the first run, here or ever
        listed = json.loads(cached(md5s[0]).read_bytes())  # a folder is a JSON list of its files
        paths = [cached(file["md5"]) for file in sorted(listed, key=lambda file: file["relpath"])]
    except (OSError, *UNREADABLE):
        return None
    return paths if all(path.is_file() for path in paths) else None


def _local_copy(files: "DVCFileSystem", name: str, output: Path, folder: Path) -> Path:
    with files.open(name, "rb") as handle:
        cached = Path(str(getattr(handle, "name", "")))
        # Where a stage is run by hand, DVC may show its last output itself, which it will empty.
        if cached.is_file() and not cached.resolve().is_relative_to(output.resolve()):
            return cached
        copy = folder / Path(name).relative_to(output)  # its folder too: others may share the name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as target:
            shutil.copyfileobj(handle, target)
        return copy

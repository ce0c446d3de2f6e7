"""The last run's output of a stage, read out of DVC's cache.

DVC deletes the outputs of a stage before it runs; what they were stays in its cache.
"""

import shutil
import sys
from pathlib import Path

from dvc.api import DVCFileSystem


def cached_files(output: Path, folder: Path) -> list[Path]:
    """Return local paths to the files that DVC recorded for `output`; read them, never change them.

    A file that lies only in a remote is fetched into `folder`. Without a repository, a record or a
    cached copy the list is empty; where something else was the matter, a line on stderr says what.
    """
    try:
        files = DVCFileSystem(".")
        names = sorted(files.find(output.as_posix(), detail=False))
        return [_local_copy(files, name, folder) for name in names]
    except Exception as error:
        # Any of DVC's packages, and any remote, may fail in its own way. All it costs is time.
        if isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError):
            return []  # the first run, here or ever: nothing to speak of
        reason = " ".join(str(error).split())
        print(f"{output}: nothing to reuse in DVC's cache ({reason})", file=sys.stderr)
        return []


def _local_copy(files: DVCFileSystem, name: str, folder: Path) -> Path:
    with files.open(name, "rb") as handle:
        cached = Path(str(getattr(handle, "name", "")))
        if cached.is_file():
            return cached
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / Path(name).name
        with copy.open("wb") as target:
            shutil.copyfileobj(handle, target)
        return copy

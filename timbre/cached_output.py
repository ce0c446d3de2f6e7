"""The output folder of a stage: the last run's, out of DVC's cache, and how the next one appears.

DVC deletes the outputs of a stage before it runs; what they were stays in its cache or a remote.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from timbre.recorded import UNREADABLE, cached, recorded_input, recorded_outputs

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

FETCHES = 16  # from a remote at a time: it answers late, each time
EarlierInput = Callable[[Path], Path]  # what a stage's input was when it last ran


def _all(names: Sequence[str], _: EarlierInput) -> Sequence[str]:
    return names


def cached_files(
    output: Path,
    folder: Path,
    choose: Callable[[Sequence[str], EarlierInput], Sequence[str]] = _all,
    fits: Callable[[Path], bool] = lambda _: True,
) -> list[Path]:
    """Return local paths to the files that DVC recorded for `output`; read them, never change them.

    What is not in DVC's cache is fetched into it from the remote: of the names below `output` those
    that `choose` returns, which may ask what inputs of the stage were; and if the first of them
    does not fit, no other. A file with no other place than `output` is copied to `folder`. Without
    a repository, a record or a copy anywhere the list is empty; where something else was the
    matter, a line on stderr says what.
    """
    if (quickly := _in_usual_place(output)) is not None:
        return quickly
    try:
        # Asked last: importing DVC takes longer than to extract two hundred clips.
        from dvc.api import DVCFileSystem

        files = DVCFileSystem(".")
        found = files.find(output.as_posix(), detail=False)
        names = sorted(Path(name).relative_to(output).as_posix() for name in found)
        with suppress(Exception):  # an input that is nowhere any more: then all may be of use
            names = list(choose(names, partial(_earlier_input, files, output)))
        return _fetch(names, partial(_local_copy, files, output, folder), fits)
    except Exception as error:
        # Any of DVC's packages, and any remote, may fail in its own way. All it costs is time.
        cause = _first_cause(error)
        if not isinstance(cause, FileNotFoundError):  # recorded, but nowhere to be had
            reason = " ".join(str(cause).split())
            print(f"{output}: nothing to reuse in DVC's cache ({reason})", file=sys.stderr)
        return []


def _first_cause(error: BaseException) -> BaseException:
    return _first_cause(error.__cause__) if error.__cause__ else error


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


def _fetch(
    names: Sequence[str], copy: Callable[[str], Path | None], fits: Callable[[Path], bool]
) -> list[Path]:
    first = copy(names[0]) if names else None
    if first and not fits(first):
        return []
    with ThreadPoolExecutor(FETCHES) as threads:
        others = threads.map(copy, names[1:])
        return [path for path in (first, *others) if path]


def _local_copy(files: "DVCFileSystem", output: Path, folder: Path, name: str) -> Path | None:
    """Return where a file lies, None if it is recorded, but nowhere to be had."""
    try:
        with files.open((output / name).as_posix(), "rb", cache=True) as handle:
            cached = Path(str(getattr(handle, "name", "")))
            # Of a stage that is run by hand, DVC may show the output itself, which will be emptied.
            if cached.is_file() and not cached.resolve().is_relative_to(output.resolve()):
                return cached
            copy = folder / name  # its folder too: others may share the name
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("wb") as target:
                shutil.copyfileobj(handle, target)
            return copy
    except FileNotFoundError:
        return None


def _earlier_input(files: "DVCFileSystem", output: Path, path: Path) -> Path:
    """Return what an input was when the stage of `output` last ran, fetched if it must be."""
    from dvc_data.hashfile.hash_info import HashInfo

    md5 = recorded_input(output, path)
    place = Path(files.repo.cache.local.oid_to_path(md5))
    if not place.is_file():
        files.repo.cloud.pull([HashInfo("md5", md5)])
    return place

"""A file appears whole or not at all."""

import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# How HDF5 and safetensors, which raise errors of their own, tell what the system said.
SYSTEM_ERROR = re.compile(r"(?:\berrno = |\(os error )(\d+)")
LONGEST_PID = 9  # digits


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`: on success it becomes `path`, else it is removed.

    The bytes are forced to disk before the rename: a power cut leaves the old file or the new one.
    What writers that were killed left of `path` is removed. Raises OSError, whichever library
    writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in leftovers(path.parent, path.name):
        left.unlink(missing_ok=True)
    # In a folder that others may write to, nobody can tell the name, and no link is followed.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.{os.getpid()}-{_host()}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except Exception as error:
        _name(error, temporary, path)
        raise
    finally:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink()


def leftovers(folder: Path, name: str = "*") -> list[Path]:
    """Return the temporary files of `replacing` in a folder whose process is gone."""
    found = folder.glob(f".{_literal(name)}.*.tmp")
    return [path for path in found if not _runs(path.name.split(".")[-2])]


def write_json(document: object, path: Path) -> None:
    """Write `document` to `path` as JSON for people and git: indented, letters as they are, UTF-8.

    Equal documents give equal bytes on every system. Makes the folder; replaces the file whole.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _literal(name: str) -> str:
    return name if name == "*" else re.sub(r"([*?\[])", r"[\1]", name)


def _host() -> str:
    """Return a name of this machine without dots: on a shared disk others write too."""
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(name.encode()):08x}"


def _runs(writer: str) -> bool:
    """Tell whether a process of this number runs; what is no number is not ours to remove.

    Nor is another machine's. One that has ended runs no more, though its parent may never ask: in a
    container nobody may.
    """
    pid, _, host = writer.partition("-")
    if host not in ("", _host()):
        return True
    if not pid.isdecimal() or len(pid) > LONGEST_PID:
        return True
    import psutil  # here: 27 ms, where a writer was killed

    try:
        return bool(psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True  # another user's


def _name(error: Exception, temporary: Path, path: Path) -> None:
    """Have an error of the system speak of `path`; raise it where a library has hidden it."""
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)
    elif found := SYSTEM_ERROR.search(str(error)):
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error

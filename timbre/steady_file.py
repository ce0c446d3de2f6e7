"""A file for HDF5, which cannot bear an error."""

import os
from pathlib import Path
from typing import Self


class SteadyFile:
    """A new file for `h5py.File`; writing to it never fails, `check` tells if it should have.

    HDF5 cannot close a file that it failed to write: h5py then prints tracebacks for each object in
    it, and at the end of the process HDF5 tries again and crashes. So the first error is kept, and
    what comes after it goes nowhere.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, or empty it. Raises OSError."""
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()

    def check(self) -> None:
        """Raise the OSError that writing should have raised."""
        if self._error:
            raise self._error

    def write(self, data: memoryview) -> int:
        """Write all of `data`, or keep the reason."""
        left = memoryview(data).cast("B")
        try:
            while left and not self._error:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._error = error
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Read on; h5py takes what has no `read` for a path."""
        return self._file.read(size)

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer."""
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def truncate(self, size: int) -> int:
        """Make the file as long as this, or keep the reason."""
        try:
            self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
        return size

    def flush(self) -> None:
        """Do nothing: nothing waits here."""

"""HDF5 never meets an error of the disk, and we never miss one."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from timbre.steady_file import SteadyFile

REPOSITORY = Path(__file__).parent.parent
# Writes a shard where no file may grow beyond so many bytes, and leaves in the usual way.
WRITE = """
import resource, sys
from pathlib import Path
import numpy as np
from timbre.shards import StoredClip, write_shard
clips = [StoredClip(f"{n}", "0" * 64, np.full((1, 8, 16), n, np.float16)) for n in range(100)]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_shard(Path(sys.argv[1]), {}, (8, 16), clips)
except OSError as error:
    print(error.errno, error.filename)
"""


def write(path: Path, limit: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WRITE, str(path), str(limit)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


def test_what_hdf5_writes_can_be_read(tmp_path: Path) -> None:
    with SteadyFile(tmp_path / "a.h5") as file:
        with h5py.File(file, "w") as written:
            written["numbers"] = np.arange(1000)
        file.check()
        file.seek(1)
        assert file.read(3) == b"HDF"
        assert file.tell() == 4
        buffer = bytearray(4)
        assert file.seek(0) == 0
        assert file.readinto(memoryview(buffer)) == 4
        assert buffer == b"\x89HDF"
    with h5py.File(tmp_path / "a.h5") as read:
        assert read["numbers"][...].tolist() == list(range(1000))


@pytest.mark.skipif(sys.platform != "linux", reason="limits a file's size as Linux does")
@pytest.mark.parametrize("place", ["start", "middle", "last byte"])
def test_a_shard_without_room_ends_in_one_error_and_no_crash(place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert write(path, 10_000_000).stdout == ""
    limit = {"start": 10, "middle": 9000, "last byte": path.stat().st_size - 1}[place]
    path.unlink()
    done = write(path, limit)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"27 {path}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_the_first_error_is_the_one_that_is_told() -> None:
    with SteadyFile(Path("/dev/full")) as file:
        assert file.write(memoryview(b"four")) == 4
        assert file.truncate(9) == 9
        assert file.write(memoryview(b"more")) == 4
        file.flush()
        with pytest.raises(OSError, match="No space left on device"):
            file.check()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_file_that_cannot_be_cut_is_told_of() -> None:
    with SteadyFile(Path("/dev/full")) as file:
        file.truncate(9)
        with pytest.raises(OSError, match="Invalid argument"):
            file.check()

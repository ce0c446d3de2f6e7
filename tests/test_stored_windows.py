import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_files import read_log_mel, write_shard

from timbre.problems import InputError
from timbre.shards import Half, ShardIndex
from timbre.stored_windows import READ_OVER, StoredWindows

N = 150
SHAPES = [(4, 6), (1, 1), (7, 3), (128, 256)]


def write(path: Path, log_mel: Half) -> None:
    names = [f"{n:03d}" for n in range(len(log_mel))]
    index = ShardIndex({}, names, ["0" * 64] * len(names), [1] * len(names), log_mel.shape[1:])
    write_shard(path, index, log_mel)


def noise(n: int, shape: tuple[int, int]) -> Half:
    """Any bit patterns at all, NaN among them: a checksum knows no numbers."""
    bits = np.random.default_rng(0).integers(0, 1 << 16, (n, *shape), np.uint16)
    return bits.view(np.float16)


def read(path: Path, *rows: int) -> bytes:
    return StoredWindows().read(path, np.array(rows)).tobytes()


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / "s.h5"
    write(path, noise(N, (4, 6)))
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [0, 0x00FF, 0xFF00, 0xFFFF])
def test_windows_are_those_that_hdf5_reads_whatever_bits_they_have(
    tmp_path: Path, shape: tuple[int, int], bits: int
) -> None:
    log_mel = noise(20, shape)
    log_mel.view(np.uint16)[3] = bits
    write(tmp_path / "s.h5", log_mel)
    assert read(tmp_path / "s.h5", *range(20)) == read_log_mel(tmp_path / "s.h5").tobytes()


@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=80))
def test_any_rows_are_read_in_the_order_asked_for(shard: Path, rows: list[int]) -> None:
    assert read(shard, *rows) == read_log_mel(shard)[rows].tobytes()


def test_rows_far_apart_are_read_as_well(tmp_path: Path) -> None:
    log_mel = noise(40, (128, 256))
    assert 30 * log_mel[0].nbytes > READ_OVER
    write(tmp_path / "s.h5", log_mel)
    assert read(tmp_path / "s.h5", 0, 2, 39) == log_mel[[0, 2, 39]].tobytes()


def test_one_reader_takes_shards_of_any_shape_in_turn(tmp_path: Path) -> None:
    stored = StoredWindows()
    for number, shape in enumerate((*SHAPES, *SHAPES[::-1])):
        log_mel = noise(3 + number, shape)
        write(tmp_path / f"{number}.h5", log_mel)
        found = stored.read(tmp_path / f"{number}.h5", np.arange(3 + number))
        assert found.tobytes() == log_mel.tobytes()


@settings(max_examples=60)
@given(row=st.integers(0, N - 1), byte=st.integers(0, 47), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_and_only_in_its_window(
    shard: Path, row: int, byte: int, bit: int
) -> None:
    good = shard.read_bytes()
    place = good.index(read_log_mel(shard)[row].tobytes()) + byte
    raw = bytearray(good)
    raw[place] ^= 1 << bit
    damaged = shard.with_name("damaged.h5")
    damaged.write_bytes(raw)
    others = [other for other in range(N) if other != row]
    assert read(damaged, *others) == read_log_mel(shard)[others].tobytes()
    with pytest.raises(InputError) as caught:
        read(damaged, *range(N))
    assert str(caught.value) == (
        f"{damaged}: damaged (the checksum of window {row} does not fit): delete it and its copy "
        "in the DVC cache, then run `dvc repro extract_spectrograms`"
    )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(cut, "the file ends within a window"), (Path.unlink, "No such file")],
)
def test_a_shard_that_changes_after_it_was_looked_up_is_told(
    shard: Path, tmp_path: Path, harm: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "s.h5"
    shutil.copy(shard, path)
    stored = StoredWindows()
    stored.read(path, np.array([0]))
    harm(path)
    with pytest.raises(InputError, match=rf"s\.h5: damaged \(.*{reason}.*\): delete it"):
        stored.read(path, np.arange(N))


def test_a_row_that_is_not_there_is_told(shard: Path) -> None:
    with pytest.raises(InputError, match=r"s\.h5: damaged \(.*out of bounds"):
        read(shard, N)

import hashlib
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_files import read_log_mel, write_shard

from timbre import shards
from timbre.problems import InputError
from timbre.shard_layout import MOST_ATTRIBUTE
from timbre.shards import (
    MAX_OPEN,
    Attributes,
    Half,
    OpenShards,
    ShardIndex,
    StoredClip,
    map_windows,
    read_index,
    shard_name,
    shard_number,
    shard_paths,
)

SHAPE = (4, 6)
LARGE = (64, 128)  # several such windows are more than HDF5 keeps in memory before it writes
ATTRIBUTES: Attributes = {"sample_rate": 22_050, "top_db": 80.0, "code": "abc"}
COLUMNS = ("clip_id", "audio_sha256", "n_windows")
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def noise(count: int, shape: tuple[int, int] = SHAPE, seed: int = 0) -> Half:
    return np.random.default_rng(seed).uniform(-80, 0, (count, *shape)).astype(np.float16)


def shard(clip_ids: list[str], n_windows: list[int], seed: int = 0) -> tuple[ShardIndex, Half]:
    digests = [hashlib.sha256(clip_id.encode()).hexdigest() for clip_id in clip_ids]
    index = ShardIndex(ATTRIBUTES, clip_ids, digests, n_windows, SHAPE)
    return index, noise(sum(n_windows), seed=seed)


def numbered(n_windows: list[int]) -> tuple[ShardIndex, Half]:
    return shard([f"{n:03d}.wav" for n in range(len(n_windows))], n_windows)


@settings(max_examples=25)
@given(st.dictionaries(names, st.integers(1, 3), max_size=6))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, clips: dict[str, int]
) -> None:
    path = tmp_path_factory.mktemp("shard") / "shard-0000.h5"
    index, log_mel = shard(list(clips), list(clips.values()))
    write_shard(path, index, log_mel)
    assert read_index(path) == index
    assert read_log_mel(path).tobytes() == log_mel.tobytes()


def test_attributes_keep_their_types_and_names(tmp_path: Path) -> None:
    attributes: Attributes = {"whole": 80, "real": 80.0, "format": "theirs", "name": "ش\n\0"}
    write_shard(tmp_path / "s.h5", ShardIndex(attributes, [], [], [], SHAPE), noise(0))
    found = read_index(tmp_path / "s.h5").attributes
    assert found == attributes
    assert [type(value) for value in found.values()] == [str, str, float, int]  # names are sorted


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    index, log_mel = shard(["a.wav", "b/ش.wav"], [1, 2])
    for name in ("one", "two"):
        write_shard(tmp_path / name, index, log_mel)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("n_windows", [[], [1, 2]])
def test_no_time_is_written(tmp_path: Path, n_windows: list[int]) -> None:
    write_shard(tmp_path / "s.h5", *numbered(n_windows))
    with h5py.File(tmp_path / "s.h5") as file:
        layouts = [file[name].id.get_create_plist() for name in ("log_mel", "clips")]
        assert [layout.get_obj_track_times() for layout in layouts] == [False, False]


@pytest.mark.parametrize("shape", [SHAPE, LARGE])
@pytest.mark.parametrize("n_windows", [[200], [1] * 200, [1] * 30 + [70, 0, 3, 97]])
def test_the_pieces_that_are_written_change_no_byte(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, int],
    n_windows: list[int],
) -> None:
    clip_ids = [f"{n:03d}" for n in range(len(n_windows))]
    index = ShardIndex(ATTRIBUTES, clip_ids, ["0" * 64] * len(clip_ids), n_windows, shape)
    log_mel = noise(200, shape)
    written = []
    for number, write_windows in enumerate((shards.WRITE_WINDOWS, 1, 7, 1000)):
        monkeypatch.setattr(shards, "WRITE_WINDOWS", write_windows)
        path = tmp_path / str(number)
        write_shard(path, index, log_mel)
        written.append(path.read_bytes())
    assert written == written[:1] * 4
    assert read_log_mel(path).tobytes() == log_mel.tobytes()
    assert read_index(path) == index


def test_few_windows_wait_in_memory(tmp_path: Path) -> None:
    made: list[weakref.ref[Half]] = []
    most = 0

    def clips() -> Iterator[StoredClip]:
        nonlocal most
        for n in range(500):
            log_mel = noise(1)
            made.append(weakref.ref(log_mel))
            yield StoredClip(f"{n:04d}", "0" * 64, log_mel)
            del log_mel
            most = max(most, sum(window() is not None for window in made))

    shards.write_shard(tmp_path / "s.h5", ATTRIBUTES, SHAPE, clips())
    assert 1 < most < shards.WRITE_WINDOWS
    assert read_index(tmp_path / "s.h5").n_windows == [1] * 500


def test_content_is_id_and_audio_of_each_clip() -> None:
    index, _ = shard(["a", "b"], [1, 2])
    assert index.content() == (("a", index.audio_sha256[0]), ("b", index.audio_sha256[1]))


def test_an_index_that_lacks_an_audio_has_no_content() -> None:
    index = ShardIndex(ATTRIBUTES, ["a", "b"], ["0" * 64], [1, 1], SHAPE)
    with pytest.raises(ValueError, match="shorter"):
        index.content()


def test_rows_are_consecutive_ranges() -> None:
    index, _ = shard(["a", "b", "c", "d"], [1, 3, 0, 2])
    assert index.rows() == [range(1), range(1, 4), range(4, 4), range(4, 6)]


def test_chosen_rows_are_read_in_order(tmp_path: Path) -> None:
    index, log_mel = shard(["a", "b"], [2, 2])
    write_shard(tmp_path / "s.h5", index, log_mel)
    assert (read_log_mel(tmp_path / "s.h5", slice(1, 3)) == log_mel[1:3]).all()
    assert read_log_mel(tmp_path / "s.h5", slice(3, 99)).shape == (1, *SHAPE)


def test_open_shards_read_what_shards_hold_in_any_order(tmp_path: Path) -> None:
    written = {}
    for number in range(3):
        path = tmp_path / shard_name(number)
        index, log_mel = shard(["a", "b"], [2, 3], seed=number)
        write_shard(path, index, log_mel)
        written[path] = log_mel
    turns = [(path, slice(n, n + 2)) for n in (3, 0, 1) for path in reversed(written)]
    with OpenShards() as opened:
        for path, rows in turns:
            found = opened.read(path, rows)
            assert found.tobytes() == written[path][rows].tobytes()
            assert found.tobytes() == read_log_mel(path, rows).tobytes()


def test_more_shards_than_may_be_open_are_read_again_and_again(tmp_path: Path) -> None:
    paths = [tmp_path / shard_name(number) for number in range(MAX_OPEN + 3)]
    for number, path in enumerate(paths):
        write_shard(path, *shard(["a"], [1], seed=number))
    before = n_open_files()
    with OpenShards() as opened:
        for seed, path in [*enumerate(paths), *enumerate(paths)]:
            assert (opened.read(path, slice(1)) == noise(1, seed=seed)).all()
            assert n_open_files() - before <= MAX_OPEN
        assert n_open_files() - before == MAX_OPEN
    assert n_open_files() == before


def n_open_files() -> int:
    return int(h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE))


@pytest.mark.parametrize("count", [0, 1, 100])
def test_mapped_windows_are_the_windows_and_outlive_the_file(tmp_path: Path, count: int) -> None:
    path = tmp_path / "s.h5"
    write_shard(path, *numbered([1] * count))
    expected = read_log_mel(path)
    before = n_open_files()
    windows = map_windows(path)
    assert n_open_files() == before
    path.unlink()  # what is mapped stays
    assert [window.shape for window in windows] == [SHAPE] * count
    assert all(window.dtype == np.float16 for window in windows)
    assert [window.tobytes() for window in windows] == [row.tobytes() for row in expected]


def test_large_windows_written_in_pieces_are_mapped_too(tmp_path: Path) -> None:
    index = ShardIndex(ATTRIBUTES, ["a", "b"], ["0" * 64] * 2, [3, 97], LARGE)
    log_mel = noise(100, LARGE)
    write_shard(tmp_path / "s.h5", index, log_mel)
    assert (np.stack(map_windows(tmp_path / "s.h5")) == log_mel).all()


def test_mapped_windows_cannot_be_written_to(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.h5", *numbered([1]))
    with pytest.raises(ValueError, match="read-only"):
        map_windows(tmp_path / "s.h5")[0][0, 0] = 0


def test_a_flipped_byte_in_a_window_is_found_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    index, log_mel = numbered([1, 1])
    write_shard(path, index, log_mel)
    raw = bytearray(path.read_bytes())
    raw[raw.index(log_mel[1].tobytes()) + 5] ^= 0x10
    path.write_bytes(raw)
    assert read_index(path) == index
    assert (read_log_mel(path, slice(1)) == log_mel[:1]).all()
    with pytest.raises(InputError, match=r"s\.h5: damaged .* run `dvc repro extract"):
        read_log_mel(path)
    with OpenShards() as opened, pytest.raises(InputError, match=r"s\.h5: damaged"):
        opened.read(path, slice(1, 2))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_flipped_byte_in_a_column_is_found_by_reading_the_index(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "s.h5"
    index, log_mel = shard(["first", "second"], [1, 1])
    write_shard(path, index, log_mel)
    # The last clip's row: a padded id, the hash, the number of windows.
    content = {
        "clip_id": b"second",
        "audio_sha256": index.audio_sha256[1].encode(),
        "n_windows": np.array([1], "<i4").tobytes(),
    }[column]
    raw = bytearray(path.read_bytes())
    raw[raw.index(content, raw.rindex(b"second")) + 1] ^= 0x10
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"s\.h5: damaged .* run `dvc repro extract"):
        read_index(path)


@pytest.mark.parametrize("read", [read_index, read_log_mel, map_windows])
@pytest.mark.parametrize("content", [None, b"", b"text", 1000, -100])
def test_what_is_missing_foreign_or_cut_off_is_told_as_damage(
    tmp_path: Path, read: Callable[[Path], object], content: bytes | int | None
) -> None:
    path = tmp_path / "s.h5"
    if isinstance(content, int):
        write_shard(path, *numbered([1, 2]))
        content = path.read_bytes()[:content]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.h5: damaged \(.*\): delete it and its copy in the"):
        read(path)


def test_a_foreign_hdf5_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match=r"s\.h5: not a shard of format 3: delete it and run dvc"):
        read_index(tmp_path / "s.h5")
    for read in (read_log_mel, map_windows):
        with pytest.raises(InputError, match=r"s\.h5: damaged"):
            read(tmp_path / "s.h5")


def test_a_shard_of_the_first_format_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.h5", *numbered([1]))
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.attrs["format"] = 1
    with pytest.raises(InputError, match=r"s\.h5: not a shard of format 3: delete it and run dvc"):
        read_index(tmp_path / "s.h5")


@pytest.mark.parametrize("too_many", [0, 1])
def test_what_made_a_shard_is_read_up_to_a_mebibyte(tmp_path: Path, too_many: int) -> None:
    path = tmp_path / "s.h5"
    write_shard(path, *numbered([1]))
    with h5py.File(path, "r+", libver="v110") as file:
        del file.attrs["made_by"]
        file.attrs["made_by"] = np.bytes_("{}".ljust(MOST_ATTRIBUTE + too_many))
    if too_many:
        with pytest.raises(InputError, match="its made_by is"):
            read_index(path)
    else:
        assert read_index(path).attributes == {}


def test_any_flipped_byte_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    index, log_mel = shard(["first", "ش"], [1, 2])
    write_shard(path, index, log_mel)
    raw = path.read_bytes()
    data = [(raw.index(window.tobytes()), window.nbytes) for window in log_mel]
    found = 0
    for place in range(0, len(raw), 3):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :])
        try:
            assert read_index(path) == index
            assert read_log_mel(path).tobytes() == log_mel.tobytes()
        except InputError:
            found += 1
        if not any(start <= place < start + size for start, size in data):
            with suppress(InputError):
                assert np.stack(map_windows(path)).tobytes() == log_mel.tobytes()
    assert found > log_mel.nbytes / 3


def test_attributes_that_cannot_be_written_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        shards.write_shard(tmp_path / "s.h5", {"x": object()}, SHAPE, [])  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_good", [0, 1, 100])
def test_an_error_among_the_clips_leaves_what_was_there(tmp_path: Path, n_good: int) -> None:
    def clips() -> Iterator[StoredClip]:
        for n in range(n_good):
            yield StoredClip(f"{n:03d}", "0" * 64, noise(1))
        raise RuntimeError("no more")

    for old in (None, b"the shard before"):
        if old:
            (tmp_path / "s.h5").write_bytes(old)
        with pytest.raises(RuntimeError, match="no more"):
            shards.write_shard(tmp_path / "s.h5", ATTRIBUTES, SHAPE, clips())
        assert [path.read_bytes() for path in tmp_path.iterdir()] == ([old] if old else [])
    assert n_open_files() == 0


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 100))
def test_a_clips_shard_depends_on_its_id_alone(clip_id: str, n_shards: int) -> None:
    number = shard_number(clip_id, n_shards)
    assert 0 <= number < n_shards
    assert number == shard_number(clip_id, n_shards)


def test_clips_stay_in_their_shards_between_versions() -> None:
    assert [shard_number(name, 16) for name in ("a.wav", "b/ش.wav")] == [4, 0]


def test_clips_spread_evenly_over_shards() -> None:
    numbers = [shard_number(f"clip {n}.wav", 8) for n in range(8000)]
    assert np.bincount(numbers, minlength=8).min() > 900


def test_a_folder_without_shards_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no spectrogram shards: run `dvc repro extract"):
        shard_paths(tmp_path)
    for number in (10, 1):
        (tmp_path / shard_name(number)).touch()
    assert shard_paths(tmp_path) == [tmp_path / "shard-0001.h5", tmp_path / "shard-0010.h5"]

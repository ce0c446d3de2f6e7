import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.problems import InputError
from timbre.shards import (
    Attributes,
    Half,
    ShardIndex,
    read_index,
    read_log_mel,
    shard_name,
    shard_number,
    shard_paths,
    write_shard,
)

SHAPE = (4, 6)
ATTRIBUTES: Attributes = {"sample_rate": 22_050, "top_db": 80.0, "code": "abc"}
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def shard(clip_ids: list[str], n_windows: list[int], seed: int = 0) -> tuple[ShardIndex, Half]:
    digests = [hashlib.sha256(clip_id.encode()).hexdigest() for clip_id in clip_ids]
    log_mel = np.random.default_rng(seed).uniform(-80, 0, (sum(n_windows), *SHAPE))
    index = ShardIndex(ATTRIBUTES, clip_ids, digests, n_windows, SHAPE)
    return index, log_mel.astype(np.float16)


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


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    index, log_mel = shard(["a.wav", "b/ش.wav"], [1, 2])
    for name in ("one", "two"):
        write_shard(tmp_path / name, index, log_mel)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_rows_are_consecutive_ranges() -> None:
    index, _ = shard(["a", "b", "c"], [1, 3, 2])
    assert index.rows() == [range(1), range(1, 4), range(4, 6)]


def test_chosen_rows_are_read_in_order(tmp_path: Path) -> None:
    index, log_mel = shard(["a", "b"], [2, 2])
    write_shard(tmp_path / "s.h5", index, log_mel)
    assert (read_log_mel(tmp_path / "s.h5", np.array([0, 3])) == log_mel[[0, 3]]).all()


@pytest.mark.parametrize("dataset", ["log_mel", "clip_id", "audio_sha256", "n_windows"])
def test_a_flipped_byte_is_found(tmp_path: Path, dataset: str) -> None:
    path = tmp_path / "s.h5"
    index, log_mel = shard(["first", "second"], [1, 1])
    write_shard(path, index, log_mel)
    content = {
        "log_mel": log_mel[1].tobytes(),
        "clip_id": b"second",
        "audio_sha256": index.audio_sha256[0].encode(),
        "n_windows": np.array([1, 1], np.int32).tobytes(),
    }[dataset]
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(content) + 1] ^= 0x10
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"s\.h5: damaged .* run `dvc repro extract"):
        _ = (read_index(path), read_log_mel(path))


def test_a_truncated_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    write_shard(path, *shard(["a"], [1]))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        read_index(path)


def test_a_foreign_hdf5_file_is_refused(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a shard of format 1"):
        read_index(tmp_path / "s.h5")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    index, log_mel = shard(["a"], [1])
    bad = ShardIndex({**ATTRIBUTES, "x": object()}, *list(vars(index).values())[1:])  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        write_shard(tmp_path / "s.h5", bad, log_mel)
    assert list(tmp_path.iterdir()) == []


@given(st.text(), st.integers(1, 100))
def test_a_clips_shard_depends_on_its_id_alone(clip_id: str, n_shards: int) -> None:
    try:
        clip_id.encode()
    except UnicodeEncodeError:
        return
    number = shard_number(clip_id, n_shards)
    assert 0 <= number < n_shards
    assert number == shard_number(clip_id, n_shards)


def test_clips_spread_evenly_over_shards() -> None:
    numbers = [shard_number(f"clip {n}.wav", 8) for n in range(8000)]
    assert np.bincount(numbers, minlength=8).min() > 900


def test_a_folder_without_shards_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no spectrogram shards: run `dvc repro extract"):
        shard_paths(tmp_path)
    (tmp_path / shard_name(1)).touch()
    assert shard_paths(tmp_path) == [tmp_path / "shard-0001.h5"]

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import write_wav

from timbre.audio import AudioError
from timbre.extraction import (
    ShardTask,
    Source,
    Windowing,
    compute_windows,
    fill_shard,
    is_finished,
    stored_rows,
)
from timbre.log_mel import LogMel
from timbre.shards import Attributes, read_index, read_log_mel

RATE = 8000
FRONT_END = LogMel(RATE, 256, 100, 16, 0.0, 4000.0, 80.0)
FIRST = Windowing(window_seconds=0.5, hop_seconds=0.25, keep_all=False)
ALL = Windowing(window_seconds=0.5, hop_seconds=0.25, keep_all=True)
SHAPE = (16, 41)
ATTRIBUTES: Attributes = {"sample_rate": RATE}


def source(folder: Path, name: str, seconds: float = 0.3, seed: int = 0) -> Source:
    path = write_wav(folder / name, seconds, RATE, seed)
    return Source(name, path, hashlib.sha256(path.read_bytes()).hexdigest())


def task(folder: Path, sources: list[Source], name: str = "shard-0000.h5") -> ShardTask:
    return ShardTask(folder / "out" / name, SHAPE, sources, {})


def fill(one: ShardTask, kept: Windowing = FIRST) -> tuple[int, int, list[str]]:
    result = fill_shard(one, ATTRIBUTES, FRONT_END, RATE, kept)
    return result.n_computed, result.n_copied, result.problems


def test_a_shard_holds_what_its_task_names(tmp_path: Path) -> None:
    sources = [source(tmp_path, f"{n}.wav", seed=n) for n in range(3)]
    one = task(tmp_path, sources)
    assert fill(one) == (3, 0, [])
    index = read_index(one.target)
    assert index.clip_ids == ["0.wav", "1.wav", "2.wav"]
    assert index.audio_sha256 == [s.sha256 for s in sources]
    assert index.n_windows == [1, 1, 1]
    assert read_log_mel(one.target).shape == (3, *SHAPE)


def test_a_task_without_clips_writes_an_empty_shard(tmp_path: Path) -> None:
    one = task(tmp_path, [])
    assert fill(one) == (0, 0, [])
    assert read_index(one.target).clip_ids == []


def test_copied_rows_are_the_bytes_of_computed_ones(tmp_path: Path) -> None:
    old = task(tmp_path, [source(tmp_path, f"{n}.wav", seed=n) for n in range(3)])
    fill(old)
    sources = [*old.sources[1:], source(tmp_path, "9.wav", seed=9)]
    anew = task(tmp_path, sources, "anew.h5")
    fill(anew)
    stored = stored_rows([old.target], ATTRIBUTES)
    reused = ShardTask(tmp_path / "reused.h5", SHAPE, sources, stored)
    assert fill(reused) == (1, 2, [])
    assert reused.target.read_bytes() == anew.target.read_bytes()


def test_a_renamed_clip_is_not_computed_again(tmp_path: Path) -> None:
    old = task(tmp_path, [source(tmp_path, "a.wav")])
    fill(old)
    renamed = Source("b.wav", tmp_path / "no longer needed.wav", old.sources[0].sha256)
    stored = stored_rows([old.target], ATTRIBUTES)
    assert fill(ShardTask(tmp_path / "new.h5", SHAPE, [renamed], stored)) == (0, 1, [])


def test_other_settings_reuse_nothing(tmp_path: Path) -> None:
    old = task(tmp_path, [source(tmp_path, "a.wav")])
    fill(old)
    assert stored_rows([old.target], {"sample_rate": 16_000}) == {}


def test_a_damaged_shard_costs_time_and_not_truth(tmp_path: Path) -> None:
    old = task(tmp_path, [source(tmp_path, "a.wav")])
    fill(old)
    stored = stored_rows([old.target], ATTRIBUTES)
    good = old.target.read_bytes()
    row = read_log_mel(old.target).tobytes()
    old.target.write_bytes(good.replace(row, row[:-1] + bytes([row[-1] ^ 1])))
    again = ShardTask(tmp_path / "again.h5", SHAPE, old.sources, stored)
    assert fill(again) == (1, 0, [])
    assert again.target.read_bytes() == good
    old.target.write_bytes(good[:50])
    assert stored_rows([old.target], ATTRIBUTES) == {}


def test_a_finished_shard_is_known_by_its_content(tmp_path: Path) -> None:
    one = task(tmp_path, [source(tmp_path, "a.wav")])
    assert not is_finished(one, ATTRIBUTES)
    fill(one)
    assert is_finished(one, ATTRIBUTES)
    assert not is_finished(one, {"sample_rate": 1})
    other = ShardTask(one.target, SHAPE, [source(tmp_path, "b.wav", seed=5)], {})
    assert not is_finished(other, ATTRIBUTES)
    one.target.write_bytes(one.target.read_bytes()[:-10])
    assert not is_finished(one, ATTRIBUTES)


def test_all_unusable_clips_are_named_and_no_shard_is_written(tmp_path: Path) -> None:
    sources = [source(tmp_path, f"{n}.wav", seed=n) for n in range(3)]
    sources[0].path.write_bytes(b"changed")
    sources[2].path.unlink()
    one = task(tmp_path, sources)
    _, _, problems = fill(one)
    assert [p.split(": ", 1)[1] for p in problems] == [
        "has changed since encode_labels ran: run `dvc repro` again",
        "cannot be read (No such file or directory)",
    ]
    assert problems[0].startswith(str(sources[0].path))
    assert not one.target.exists()


def test_first_keeps_one_window_and_all_hears_the_whole_clip(tmp_path: Path) -> None:
    long = source(tmp_path, "long.wav", seconds=1.1)
    first = compute_windows(long, FRONT_END, RATE, FIRST)
    every = compute_windows(long, FRONT_END, RATE, ALL)
    assert first.shape == (1, *SHAPE)
    assert every.shape == (4, *SHAPE)
    assert (first[0] == every[0]).all()
    assert every.dtype == np.float16


def test_a_decoding_error_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"text")
    text = Source("a.wav", tmp_path / "a.wav", hashlib.sha256(b"text").hexdigest())
    with pytest.raises(AudioError, match="cannot be decoded"):
        compute_windows(text, FRONT_END, RATE, FIRST)

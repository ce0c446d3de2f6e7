import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import write_wav
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from shard_files import read_log_mel

from timbre.audio import AudioError, Waveform
from timbre.extraction import (
    ShardTask,
    compute_windows,
    fill_shard,
    read_indexes,
    rounded,
    stored_rows,
    without_clip,
)
from timbre.log_mel import LogMel
from timbre.shards import Attributes, Half, read_index
from timbre.sources import Source
from timbre.windows import Windowing

RATE = 8000
FRONT_END = LogMel(RATE, 256, 100, 16, 0.0, 4000.0, 80.0)
FIRST = Windowing(window_seconds=0.5, hop_seconds=0.25, keep_all=False)
ALL = Windowing(window_seconds=0.5, hop_seconds=0.25, keep_all=True)
SHAPE = (16, 41)
DECIBELS = st.floats(-200, 0, width=32)
ATTRIBUTES: Attributes = {"sample_rate": RATE}


def source(folder: Path, name: str, seconds: float = 0.3, seed: int = 0) -> Source:
    path = write_wav(folder / name, seconds, RATE, seed)
    return Source(name, name, hashlib.sha256(path.read_bytes()).hexdigest())


def sources(folder: Path, count: int, seconds: float = 0.3) -> list[Source]:
    return [source(folder, f"{n}.wav", seconds, seed=n) for n in range(count)]


def task(folder: Path, clips: list[Source], name: str = "shard-0000.h5") -> ShardTask:
    return ShardTask(folder / "out" / name, SHAPE, clips, {})


def fill(root: Path, one: ShardTask, kept: Windowing = FIRST) -> tuple[int, int, list[str]]:
    result = fill_shard(one, root, ATTRIBUTES, FRONT_END, RATE, kept)
    assert not result.unusable
    return result.n_computed, result.n_copied, list(map(str, result.unread))


def reusing(one: ShardTask, *old: ShardTask) -> ShardTask:
    """The same task, which finds rows in the shards of others."""
    indexes = read_indexes([other.target for other in old], ATTRIBUTES)
    return replace(one, stored=stored_rows(indexes))


def compute(root: Path, one: Source, kept: Windowing) -> Half:
    return compute_windows(root / one.file, one.sha256, FRONT_END, RATE, kept)


def test_a_shard_holds_what_its_task_names(tmp_path: Path) -> None:
    clips = sources(tmp_path, 3)
    one = task(tmp_path, clips)
    assert fill(tmp_path, one) == (3, 0, [])
    index = read_index(one.target)
    assert index.attributes == ATTRIBUTES
    assert index.content() == tuple((clip.clip_id, clip.sha256) for clip in clips)
    assert index.n_windows == [1, 1, 1]
    expected = np.concatenate([compute(tmp_path, clip, FIRST) for clip in clips])
    assert read_log_mel(one.target).tobytes() == expected.tobytes()


def test_a_task_without_clips_writes_an_empty_shard(tmp_path: Path) -> None:
    one = task(tmp_path, [])
    assert fill(tmp_path, one) == (0, 0, [])
    index = read_index(one.target)
    assert (index.clip_ids, index.shape) == ([], SHAPE)


@pytest.mark.parametrize("kept", [FIRST, ALL])
def test_copied_rows_are_the_bytes_of_computed_ones(tmp_path: Path, kept: Windowing) -> None:
    clips = sources(tmp_path, 4, seconds=1.1)
    old = [task(tmp_path, clips[:2], "one.h5"), task(tmp_path, clips[2:3], "two.h5")]
    for one in old:
        fill(tmp_path, one, kept)
    mixed = [clips[2], clips[3], clips[1]]
    anew, reused = task(tmp_path, mixed, "anew.h5"), task(tmp_path, mixed, "reused.h5")
    assert fill(tmp_path, anew, kept) == (3, 0, [])
    for clip in (clips[1], clips[2]):
        (tmp_path / clip.file).unlink()  # what is copied needs no audio
    assert fill(tmp_path, reusing(reused, *old), kept) == (1, 2, [])
    assert reused.target.read_bytes() == anew.target.read_bytes()


@settings(max_examples=15)
@given(
    st.lists(st.sets(st.integers(0, 5)), min_size=2, max_size=4),
    st.dictionaries(st.integers(0, 5), st.integers(0, 5)),
    st.booleans(),
)
def test_whatever_was_there_before_a_shard_has_the_bytes_of_one_made_from_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[set[int]],
    recorded_again: dict[int, int],
    all_windows: bool,
) -> None:
    """A corpus grows, shrinks, and gets other recordings under old names."""
    root, kept = tmp_path_factory.mktemp("corpus"), ALL if all_windows else FIRST
    runs: list[ShardTask] = []
    for number, present in enumerate(history):
        own = recorded_again if number == len(history) - 1 else {}
        clips = [
            source(root, f"{n}.wav", 0.2 + 0.3 * n, seed=own.get(n, n)) for n in sorted(present)
        ]
        runs.append(reusing(task(root, clips, f"{number}.h5"), *runs[-1:]))
        assert fill(root, runs[-1], kept)[2] == []
    anew = task(root, runs[-1].sources, "anew.h5")
    n_computed, n_copied, _ = fill(root, anew, kept)
    assert (n_computed, n_copied) == (len(anew.sources), 0)
    assert runs[-1].target.read_bytes() == anew.target.read_bytes()


def test_a_renamed_clip_is_not_computed_again(tmp_path: Path) -> None:
    old = task(tmp_path, sources(tmp_path, 1))
    fill(tmp_path, old)
    renamed = Source("b.wav", "no longer needed.wav", old.sources[0].sha256)
    new = task(tmp_path, [renamed], "new.h5")
    assert fill(tmp_path, reusing(new, old)) == (0, 1, [])
    assert read_index(new.target).clip_ids == ["b.wav"]
    assert read_log_mel(new.target).tobytes() == read_log_mel(old.target).tobytes()


def test_other_settings_reuse_nothing(tmp_path: Path) -> None:
    old = task(tmp_path, sources(tmp_path, 1))
    fill(tmp_path, old)
    assert list(read_indexes([old.target], ATTRIBUTES)) == [old.target]
    assert read_indexes([old.target], {"sample_rate": 16_000}) == {}
    assert read_indexes([old.target], {**ATTRIBUTES, "more": 1}) == {}


def test_stored_rows_name_shard_and_windows_of_each_audio(tmp_path: Path) -> None:
    short, long = source(tmp_path, "a.wav"), source(tmp_path, "b.wav", seconds=1.1, seed=1)
    old = task(tmp_path, [short, long])
    fill(tmp_path, old, ALL)
    found = stored_rows(read_indexes([old.target], ATTRIBUTES))
    assert {sha256: stored.rows for sha256, stored in found.items()} == {
        short.sha256: range(1),
        long.sha256: range(1, 5),
    }
    assert {stored.shard for stored in found.values()} == {old.target}


def test_damaged_rows_are_computed_again_and_the_others_copied(tmp_path: Path) -> None:
    old = task(tmp_path, sources(tmp_path, 3))
    fill(tmp_path, old)
    again = reusing(task(tmp_path, old.sources, "again.h5"), old)
    good = old.target.read_bytes()
    row = read_log_mel(old.target)[1].tobytes()
    assert good.count(row) == 1
    old.target.write_bytes(good.replace(row, row[:-1] + bytes([row[-1] ^ 1])))
    assert fill(tmp_path, again) == (1, 2, [])
    assert again.target.read_bytes() == good


@pytest.mark.parametrize("size", [0, 50, -10])
def test_a_cut_off_or_missing_shard_is_passed_over(tmp_path: Path, size: int) -> None:
    old, other = task(tmp_path, sources(tmp_path, 1)), task(tmp_path, [], "other.h5")
    fill(tmp_path, old)
    fill(tmp_path, other)
    again = reusing(task(tmp_path, old.sources, "again.h5"), old)
    good = old.target.read_bytes()
    old.target.write_bytes(good[:size])
    paths = [old.target, tmp_path / "no such shard.h5", other.target]
    assert list(read_indexes(paths, ATTRIBUTES)) == [other.target]
    # It may also be lost between the look at its index and its reading.
    assert fill(tmp_path, again) == (1, 0, [])
    assert again.target.read_bytes() == good


def test_files_that_cannot_be_read_are_all_named_and_no_shard_is_written(tmp_path: Path) -> None:
    clips = sources(tmp_path, 100)
    old = task(tmp_path, clips[:1], "old.h5")
    fill(tmp_path, old)
    (tmp_path / clips[2].file).write_bytes(b"changed")
    (tmp_path / clips[99].file).unlink()
    one = reusing(task(tmp_path, clips), old)
    one.target.write_bytes(b"what was there before")
    n_computed, n_copied, problems = fill(tmp_path, one)
    assert (n_computed, n_copied) == (97, 1)
    assert [problem.removeprefix(f"{tmp_path}/") for problem in problems] == [
        "2.wav: has changed since encode_labels ran: run `dvc repro` again",
        "99.wav: cannot be read (No such file or directory)",
    ]
    assert one.target.read_bytes() == b"what was there before"
    assert {path.name for path in one.target.parent.iterdir()} == {"old.h5", one.target.name}


def test_unusable_clips_are_all_named_and_the_shard_is_that_of_the_others(tmp_path: Path) -> None:
    clips = sources(tmp_path, 5)
    others = task(tmp_path, [clips[n] for n in (0, 2, 4)], "others.h5")
    fill(tmp_path, others)
    for n in (1, 3):
        content = b"text %d" % n
        (tmp_path / clips[n].file).write_bytes(content)
        clips[n] = clips[n]._replace(sha256=hashlib.sha256(content).hexdigest())
    one = task(tmp_path, clips)
    result = fill_shard(one, tmp_path, ATTRIBUTES, FRONT_END, RATE, FIRST)
    assert (result.n_computed, result.n_copied, result.unread) == (3, 0, [])
    assert [(clip.clip_id, clip.path) for clip in result.unusable] == [
        ("1.wav",) * 2,
        ("3.wav",) * 2,
    ]
    assert all(clip.reason.startswith("cannot be decoded (") for clip in result.unusable)
    assert one.target.read_bytes() == others.target.read_bytes()


def test_a_clip_that_ends_its_process_is_left_out_unread_with_the_reason(tmp_path: Path) -> None:
    clips = sources(tmp_path, 3)
    others = task(tmp_path, [clips[0], clips[2]], "others.h5")
    fill(tmp_path, others)
    (tmp_path / clips[1].file).unlink()
    one = without_clip(task(tmp_path, clips), "1.wav", "crashes its decoder (SIGSEGV)")
    result = fill_shard(one, tmp_path, ATTRIBUTES, FRONT_END, RATE, FIRST)
    assert result.unusable == [("1.wav", "1.wav", "crashes its decoder (SIGSEGV)")]
    assert (result.n_computed, result.unread) == (2, [])
    assert one.target.read_bytes() == others.target.read_bytes()


def test_a_clip_that_takes_more_memory_than_there_is_is_named_and_never_left_out(
    tmp_path: Path,
) -> None:
    def greedy(waveform: Waveform) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        raise MemoryError

    one = task(tmp_path, sources(tmp_path, 1))
    result = fill_shard(one, tmp_path, ATTRIBUTES, greedy, RATE, FIRST)
    assert list(map(str, result.unread)) == [f"{tmp_path}/0.wav: takes more memory than there is"]
    assert (result.unusable, result.n_computed) == ([], 0)
    assert not one.target.exists()


def test_a_mistake_of_ours_is_no_problem_of_the_clips(tmp_path: Path) -> None:
    def broken(waveform: Waveform) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        raise ValueError("our mistake")

    one = task(tmp_path, sources(tmp_path, 1))
    with pytest.raises(ValueError, match="our mistake"):
        fill_shard(one, tmp_path, ATTRIBUTES, broken, RATE, FIRST)
    assert list(one.target.parent.iterdir()) == []


def test_first_keeps_one_window_and_all_hears_the_whole_clip(tmp_path: Path) -> None:
    long = source(tmp_path, "long.wav", seconds=1.1)
    first = compute(tmp_path, long, FIRST)
    every = compute(tmp_path, long, ALL)
    assert first.shape == (1, *SHAPE)
    assert every.shape == (4, *SHAPE)
    assert (first[0] == every[0]).all()
    assert every.dtype == np.float16


def test_a_decoding_error_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"text")
    text = Source("a.wav", "a.wav", hashlib.sha256(b"text").hexdigest())
    with pytest.raises(AudioError, match="cannot be decoded"):
        compute(tmp_path, text, FIRST)


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-200, 0, width=32))
)
def test_values_are_rounded_to_the_nearest_float16(log_mel: npt.NDArray[np.float32]) -> None:
    found = rounded(log_mel)
    assert found.shape == log_mel.shape
    np.testing.assert_array_equal(found, log_mel.astype(np.float16))

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import write_wav
from shard_files import read_log_mel

from timbre.audio import AudioError, load
from timbre.condition_names import EXAMPLES, parse
from timbre.condition_shards import (
    MOST_VOICES,
    PART_CLIPS,
    PART_SECONDS,
    Clip,
    Part,
    PartResult,
    Recipe,
    choose_clips,
    choose_voices,
    deal_parts,
    fill_part,
    join,
    voices_for,
    without_file,
)
from timbre.conditions import apply, generator
from timbre.extraction import compute_windows, log_mels
from timbre.log_mel import LogMel
from timbre.shards import Half, read_index
from timbre.windows import Windowing

RATE = 8000
FRONT_END = LogMel(RATE, 256, 100, 16, 0.0, 4000.0, 80.0)
FIRST = Windowing(window_seconds=0.5, hop_seconds=0.25, keep_all=False)
ALL = Windowing(window_seconds=0.5, hop_seconds=0.25, keep_all=True)
NAMES = ("clean", "white_noise_5db", "babble_5db", "shift_500ms", "speed_+4%", "short_1s")


def a_clip(folder: Path, name: str, label: str, seconds: float = 1.2, seed: int = 0) -> Clip:
    path = write_wav(folder / name, seconds, RATE, seed)
    return Clip(name, path, hashlib.sha256(path.read_bytes()).hexdigest(), label, seconds)


def imagined(clip_id: str, label: str = "a", seconds: float = 1.0) -> Clip:
    return Clip(
        clip_id, Path(clip_id), hashlib.sha256(clip_id.encode()).hexdigest(), label, seconds
    )


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return [a_clip(tmp_path, f"{n}.wav", "ab"[n % 2], 0.3 + 0.3 * n, seed=n) for n in range(5)]


def recipe(clips: list[Clip], names: tuple[str, ...] = NAMES, kept: Windowing = FIRST) -> Recipe:
    attributes: dict[str, dict[str, str | int | float]] = {
        name: {"sample_rate": RATE, "condition": name} for name in names
    }
    return Recipe(attributes, 0, choose_voices(clips, 0), FRONT_END, kept, (16, 41))


def compute(
    folder: Path, clips: list[Clip], made_by: Recipe, per_part: int = 2
) -> dict[str, dict[str, Half]]:
    """The log-mels of each condition and clip, computed in parts."""
    parts = [
        Part(folder / f"{start}", clips[start : start + per_part])
        for start in range(0, len(clips), per_part)
    ]
    for part in reversed(parts):
        result = fill_part(part, made_by)
        assert result.problems == []
        assert result.n_clips == len(part.clips)
    found: dict[str, dict[str, Half]] = {}
    for name, attributes in made_by.attributes.items():
        target = folder / f"{name}.h5"
        sources = [part.folder / f"{name}.h5" for part in parts]
        join(sources, clips, attributes, made_by.shape, target)
        index = read_index(target)
        assert index.attributes == attributes
        assert index.content() == tuple((clip.clip_id, clip.sha256) for clip in clips)
        windows = read_log_mel(target)
        found[name] = {
            clip_id: windows[rows.start : rows.stop]
            for clip_id, rows in zip(index.clip_ids, index.rows(), strict=True)
        }
    return found


@pytest.mark.parametrize("kept", [FIRST, ALL])
def test_clean_is_what_extraction_computes_bit_for_bit(
    tmp_path: Path, clips: list[Clip], kept: Windowing
) -> None:
    found = compute(tmp_path, clips, recipe(clips, kept=kept))["clean"]
    for clip in clips:
        extracted = compute_windows(clip.path, clip.sha256, FRONT_END, RATE, kept)
        assert found[clip.clip_id].tobytes() == extracted.tobytes()


def test_neither_parts_nor_other_conditions_nor_other_clips_change_a_byte(
    tmp_path: Path, clips: list[Clip]
) -> None:
    made_by = recipe(clips)
    whole = compute(tmp_path / "whole", clips, made_by, per_part=5)
    single = compute(tmp_path / "single", clips, made_by, per_part=1)
    few = {name: own for name, own in made_by.attributes.items() if name in NAMES[::2]}
    alone = compute(tmp_path / "alone", clips[2:3], replace(made_by, attributes=few))
    for name in NAMES:
        for clip in clips:
            assert whole[name][clip.clip_id].tobytes() == single[name][clip.clip_id].tobytes()
    for name in few:
        assert alone[name]["2.wav"].tobytes() == whole[name]["2.wav"].tobytes()


def test_a_condition_is_applied_to_what_the_network_hears(
    tmp_path: Path, clips: list[Clip]
) -> None:
    found = compute(tmp_path, clips, recipe(clips))
    clip = clips[4]
    for name, seconds in (("white_noise_5db", 0.5), ("speed_+4%", 0.52), ("shift_500ms", 1.0)):
        changed = apply(
            name, load(clip.path, RATE, seconds), RATE, generator(0, name, clip.clip_id)
        )
        expected = log_mels(changed, FRONT_END, RATE, FIRST)
        assert found[name][clip.clip_id].tobytes() == expected.tobytes()


def test_a_run_that_was_killed_goes_on_with_the_shards_that_are_there(
    tmp_path: Path, clips: list[Clip]
) -> None:
    part, made_by = Part(tmp_path / "part", clips), recipe(clips)
    fill_part(part, made_by)
    before = {path: path.stat() for path in part.folder.iterdir()}
    kept, lost = part.folder / "clean.h5", part.folder / "babble_5db.h5"
    content = lost.read_bytes()
    lost.write_bytes(content[:-50])
    fill_part(part, made_by)
    assert kept.stat().st_mtime_ns == before[kept].st_mtime_ns
    assert lost.read_bytes() == content
    fill_part(replace(part, clips=clips[:3]), made_by)
    assert read_index(kept).clip_ids == [clip.clip_id for clip in clips[:3]]


def test_all_unusable_clips_are_named(tmp_path: Path, clips: list[Clip]) -> None:
    clips[1].path.unlink()
    clips[3].path.write_bytes(b"other bytes")
    result = fill_part(Part(tmp_path / "part", clips), recipe(clips))
    assert result.problems == [
        f"{clips[1].path}: cannot be read (No such file or directory)",
        f"{clips[3].path}: has changed since encode_labels ran: run `dvc repro` again",
    ]


def test_a_file_that_ends_its_process_is_named_and_not_read_again(
    tmp_path: Path, clips: list[Clip]
) -> None:
    part = without_file(
        Part(tmp_path / "part", clips[:2]), str(clips[4].path), "crashes its decoder"
    )
    result = fill_part(part, recipe(clips))
    assert result == PartResult(2, [f"{clips[4].path}: crashes its decoder"])
    assert not part.folder.exists()


def test_a_voice_that_has_changed_is_named(tmp_path: Path, clips: list[Clip]) -> None:
    made_by = recipe(clips, ("babble_5db",))
    clips[1].path.write_bytes(b"other bytes")
    result = fill_part(Part(tmp_path / "part", [clips[0]]), made_by)
    assert result.problems == [
        f"{clips[1].path}: has changed since encode_labels ran: run `dvc repro` again"
    ]


def test_a_clip_ends_where_damage_begins_that_extraction_did_not_hear(tmp_path: Path) -> None:
    path, noise = tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.1, 0.1, 8 * RATE)
    soundfile.write(path, noise, RATE)
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * 0.42)])  # blocks of 0.5 s
    cut = Clip("a", path, hashlib.sha256(path.read_bytes()).hexdigest(), "a", 8)
    windows = Windowing(3.0, 1, keep_all=False)
    made_by = replace(recipe([cut], ("speed_+4%",), windows), shape=(16, 241))
    result = fill_part(Part(tmp_path / "part", [cut]), made_by)
    assert result.problems == []
    assert not np.isnan(read_log_mel(tmp_path / "part" / "speed_+4%.h5")).any()
    with pytest.raises(AudioError, match="to its end"):
        load(path, RATE, 3.0 * 1.04)


def test_a_clip_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(b"no audio")
    broken = Clip("broken.wav", path, hashlib.sha256(b"no audio").hexdigest(), "a", 1)
    result = fill_part(Part(tmp_path / "part", [broken]), recipe([broken], ("clean",)))
    (problem,) = result.problems
    assert problem.startswith(f"{path}: cannot be decoded (")


def test_every_usual_condition_goes_into_a_shard(tmp_path: Path, clips: list[Clip]) -> None:
    found = compute(tmp_path, clips[:2], recipe(clips, EXAMPLES))
    assert list(found) == list(EXAMPLES)
    clean = found["clean"]["1.wav"]
    for name in set(EXAMPLES) - {"clean", "low_pass_4khz", "short_3s", "short_2s", "short_1s"}:
        assert not np.array_equal(found[name]["1.wav"], clean), name


def test_parts_hold_few_clips_and_few_seconds_and_keep_the_order() -> None:
    clips = [imagined(f"{n:03}", seconds=1) for n in range(3 * PART_CLIPS - 1)]
    clips[3:3] = [imagined("long", seconds=2 * PART_SECONDS)]
    parts = deal_parts(clips, Path("parts"))
    assert [clip for part in parts for clip in part.clips] == clips
    assert len({part.folder for part in parts}) == len(parts)
    for part in parts:
        assert 1 <= len(part.clips) <= PART_CLIPS
        assert len(part.clips) == 1 or sum(c.seconds for c in part.clips) <= PART_SECONDS
    assert deal_parts([], Path("parts")) == []


def test_voices_are_of_all_classes_however_rare() -> None:
    clips = [imagined(f"{n}", "common") for n in range(500)]
    clips += [imagined(f"rare {n}", "rare") for n in range(2)]
    voices = choose_voices(clips, 0)
    assert len(voices) == MOST_VOICES
    assert {"rare 0", "rare 1"} <= {voice.clip_id for voice in voices}
    assert choose_voices(clips[::-1], 0) == voices
    assert choose_voices(clips, 1) != voices
    assert sorted(choose_voices(clips[:3], 0)) == sorted(clips[:3])


def test_nobody_babbles_who_has_the_clips_own_class() -> None:
    clips = [imagined(f"{n}", "abc"[n % 3]) for n in range(9)]
    assert {voice.label for voice in voices_for(clips[0], clips)} == {"b", "c"}


def test_with_one_class_the_other_clips_babble() -> None:
    clips = [imagined(f"{n}") for n in range(3)]
    assert voices_for(clips[1], clips) == [clips[0], clips[2]]


def test_babble_changes_with_the_voices_and_other_conditions_do_not(
    tmp_path: Path, clips: list[Clip]
) -> None:
    made_by = recipe(clips, ("babble_5db", "white_noise_5db"))
    others = [a_clip(tmp_path, "voice.wav", "c", seed=9)]
    before = compute(tmp_path / "before", clips[:1], made_by)
    after = compute(tmp_path / "after", clips[:1], replace(made_by, voices=others))
    same = {name: np.array_equal(before[name]["0.wav"], after[name]["0.wav"]) for name in before}
    assert same == {"babble_5db": False, "white_noise_5db": True}


def test_clips_are_chosen_by_a_hash_and_stay_in_order() -> None:
    clips = [imagined(f"{n:03}") for n in range(50)]
    assert choose_clips(clips, 0, 0) == choose_clips(clips, 50, 0) == clips
    ten, eleven = choose_clips(clips, 10, 0), choose_clips(clips, 11, 0)
    assert len(ten) == 10
    assert ten == sorted(ten)
    assert set(ten) < set(eleven)
    assert choose_clips(clips[::-1], 10, 0) == ten[::-1]
    assert choose_clips(clips, 10, 1) != ten


def test_the_names_of_conditions_are_names_of_files(tmp_path: Path) -> None:
    for name in EXAMPLES:
        (tmp_path / name).touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(EXAMPLES)
    assert all(parse(path.name) for path in tmp_path.iterdir())

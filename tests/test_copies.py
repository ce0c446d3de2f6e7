"""Fingerprints, the search among them, and the stage that writes the pairs."""

import json
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_files import write_shard

import timbre.copies
from stages.find_copies import main
from timbre.clips import write_clips
from timbre.columns import CLIP_COLUMNS
from timbre.copies import LIMIT, Copy, Index
from timbre.copy_table import merged_groups
from timbre.problems import InputError
from timbre.shards import ShardIndex, shard_name
from timbre.subfingerprints import Listening, listening

Half = npt.NDArray[np.float16]

FEATURES: dict[str, str | int | float] = {
    "sample_rate": 22050,
    "hop_length": 432,
    "fmin": 0.0,
    "fmax": 11025.0,
}
N_MELS, N_FRAMES = 128, 256


def sound(seed: int, n_frames: int = N_FRAMES) -> npt.NDArray[np.float64]:
    """Bands that rise and fall, each for itself: `(n_mels, n_frames)` in dB below 0."""
    noise = np.random.default_rng(seed).normal(size=(N_MELS, n_frames + 40))
    kernel = np.hanning(21)[1:-1] / np.hanning(21).sum()
    smooth = np.array([np.convolve(band, kernel, "same") for band in noise])[:, 20:-20]
    for _ in range(2):
        smooth = (smooth + np.roll(smooth, 1, axis=0)) / 2
    return np.asarray(60 * smooth - 40)


def windows(*log_mels: npt.NDArray[np.float64]) -> Half:
    return np.stack([log_mel[:, :N_FRAMES] for log_mel in log_mels]).astype(np.float16)


def how() -> Listening:
    found = listening(FEATURES, N_MELS, N_FRAMES)
    assert found
    return found


def search(*log_mels: npt.NDArray[np.float64]) -> list[Copy]:
    part = how().fingerprints(windows(*log_mels))
    best: dict[tuple[int, int], Copy] = {}
    for copy in Index([part]).copies(part, 0):
        pair = copy.one, copy.other
        if pair not in best or copy.error_rate < best[pair].error_rate:
            best[pair] = copy
    return [best[pair] for pair in sorted(best)]


@settings(max_examples=20, deadline=None)
@given(st.integers(-120, 120), st.integers(0, 10))
def test_a_recording_is_found_wherever_it_begins(shift: int, seed: int) -> None:
    long = sound(seed, N_FRAMES + 240)
    one, other = long[:, 120:][:, :N_FRAMES], long[:, 120 - shift :][:, :N_FRAMES]
    (copy,) = search(one, sound(99), other)
    assert (copy.one, copy.other, copy.offset) == (0, 2, shift)
    assert copy.error_rate < 0.05


def test_another_level_and_added_noise_are_the_same_recording() -> None:
    noisy = sound(0) + np.random.default_rng(5).normal(0, 3, (N_MELS, N_FRAMES))
    found = search(sound(0), sound(0) - 20, noisy)
    assert [(copy.one, copy.other, copy.offset) for copy in found] == [
        (0, 1, 0),
        (0, 2, 0),
        (1, 2, 0),
    ]


def test_half_of_a_recording_is_found_in_the_whole() -> None:
    half = sound(0).copy()
    half[:, N_FRAMES // 2 :] = -80
    (copy,) = search(sound(0), half)
    assert copy.n_frames <= N_FRAMES // 2


def test_different_recordings_are_not_copies() -> None:
    assert search(*(sound(seed) for seed in range(60))) == []


def test_silence_and_steady_tones_are_like_nothing() -> None:
    silence = np.full((N_MELS, N_FRAMES), -80.0)
    tone = silence.copy()
    tone[30] = 0
    part = how().fingerprints(windows(silence, silence, tone, tone, sound(1)))
    index = Index([part])
    assert index.is_heard().tolist() == [False, False, False, False, True]
    assert list(index.copies(part, 0)) == []


def test_a_piece_that_is_too_short_is_not_compared() -> None:
    short = sound(0).copy()
    short[:, 60:] = -80
    part = how().fingerprints(windows(short, short))
    assert Index([part]).is_heard().tolist() == [False, False]
    assert list(Index([part]).copies(part, 0)) == []


def test_a_short_piece_in_common_makes_no_copy() -> None:
    other = sound(1)
    other[:, 100:140] = sound(0)[:, 100:140]
    part = how().fingerprints(windows(sound(0), other))
    zero, one = np.array([0]), np.array([1])
    assert Index([part])._compare(zero, one, zero) == []
    assert list(Index([part]).copies(part, 0)) == []


def test_the_order_of_the_windows_changes_no_pair() -> None:
    three = [sound(0), sound(1), sound(0) - 6]
    assert [(c.one, c.other) for c in search(*three)] == [(0, 2)]
    assert [(c.one, c.other) for c in search(*three[::-1])] == [(0, 2)]


def test_few_windows_are_compared_and_not_all_pairs() -> None:
    part = how().fingerprints(windows(*(sound(seed) for seed in range(40))))
    index = Index([part])
    tried, _, _ = index._candidates(part, 0)
    assert list(index.copies(part, 0)) == []
    assert len(tried) < 40 * 39 / 20


def test_a_part_at_a_time_gives_the_same_index() -> None:
    log_mel = windows(*(sound(seed) for seed in range(5)))
    whole = Index([how().fingerprints(log_mel)])
    parts = Index(how().fingerprints(log_mel[n : n + 2]) for n in (0, 2, 4))
    assert (whole.keys == parts.keys).all()
    assert (whole.words == parts.words).all()


def test_windows_asked_together_and_one_by_one_find_the_same() -> None:
    long = sound(0, N_FRAMES + 100)
    log_mel = windows(long, sound(1), long[:, 40:], sound(2), long[:, 100:] - 10, sound(1) - 3)
    index = Index([how().fingerprints(log_mel)])
    together = {*index.copies(how().fingerprints(log_mel), 0)}
    one_by_one = {
        copy
        for number in range(len(log_mel))
        for copy in index.copies(how().fingerprints(log_mel[number : number + 1]), number)
    }
    assert {(c.one, c.other, c.offset) for c in together} == {
        (0, 2, -40),
        (0, 4, -100),
        (2, 4, -60),
        (1, 5, 0),
    }
    assert one_by_one == together


def test_more_windows_than_places_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timbre.copies, "PLACE_BITS", 9)
    with pytest.raises(
        InputError, match=r"3 windows are too many .* at most 2: set extract\.windows"
    ):
        Index([how().fingerprints(windows(sound(0), sound(1), sound(2)))])


@pytest.mark.parametrize("n_mels", [10, 16])
def test_too_few_bands_or_frames_have_no_fingerprint(n_mels: int) -> None:
    assert listening(FEATURES, n_mels, N_FRAMES) is None
    assert listening(FEATURES, N_MELS, 8) is None


def test_groups_are_joined_across_chains_and_named_by_the_first() -> None:
    clips = pd.DataFrame({"clip_id": list("abcd"), "group": ["g3", "g1", "g2", "g0"]})
    pairs = pd.DataFrame({"one": ["a", "b", "a"], "other": ["b", "c", "gone"]})
    assert merged_groups(clips, pairs).tolist() == ["g1", "g1", "g1", "g0"]


def run(
    log_mels: list[npt.NDArray[np.float64]], labels: str, names: str = "0123"
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Run the stage on one shard; a clip has as many windows as its name stands in `names`."""
    windows_of = Counter(f"{name}.wav" for name in names[: len(log_mels)])
    clips, sha256 = list(windows_of), [f"{n:064d}" for n in range(len(windows_of))]
    log_mel = windows(*log_mels)
    shape = log_mel.shape[1], log_mel.shape[2]
    index = ShardIndex(FEATURES, clips, sha256, [*windows_of.values()], shape)
    write_shard(Path("spectrograms") / shard_name(0), index, log_mel)
    rows = {name: "x" if kind == "str" else 1 for name, kind in CLIP_COLUMNS.items()}
    table = pd.DataFrame([rows] * len(clips)).assign(clip_id=clips, label=list(labels))
    write_clips(table, Path("clips.csv"))
    main(*map(Path, ("spectrograms", "clips.csv", "copies.csv", "copies.json")))
    return pd.read_csv("copies.csv"), json.loads(Path("copies.json").read_text())


def test_the_stage_writes_each_pair_once_with_its_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    long = sound(0, 2 * N_FRAMES)
    silence = np.full((N_MELS, N_FRAMES), -80.0)
    pairs, counts = run([long, sound(1), long[:, 50:], silence], "aaba")
    assert pairs[["one", "other"]].to_numpy().tolist() == [["0.wav", "2.wav"]]
    assert pairs["offset"].item() == pytest.approx(-50 * 432 / 22050, abs=1e-3)
    assert pairs["error_rate"].item() < LIMIT
    assert counts == {
        "clips": 4,
        "compared": 3,
        "copies": 2,
        "pairs": 1,
        "pairs_with_two_labels": 1,
    }
    printed = capsys.readouterr()
    assert "0.wav (a) and 2.wav (b)" in printed.err
    assert "4 clips, 3 long and loud enough to compare: 2 hold what another one" in printed.out


def test_a_corpus_without_copies_gives_an_empty_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs, counts = run([sound(0), sound(1)], "ab")
    assert len(pairs) == counts["pairs"] == 0


def test_a_pair_and_its_offset_are_the_same_whatever_the_order_in_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    long = sound(0, 2 * N_FRAMES)
    pairs, _ = run([long, long[:, 50:]], "aa", names="ab")
    turned, _ = run([long[:, 50:], long], "aa", names="ba")
    assert pairs["offset"].item() < 0
    pd.testing.assert_frame_equal(turned, pairs)


def test_a_clip_is_no_copy_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, counts = run([sound(0), sound(0), sound(1)], "ab", names="001")
    assert (counts["clips"], counts["compared"], counts["pairs"]) == (2, 2, 0)


def test_windows_too_short_to_tell_are_compared_with_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs, counts = run([sound(0)[:, :8], sound(0)[:, :8]], "ab")
    assert (counts["clips"], counts["compared"], len(pairs)) == (2, 0, 0)


def test_shards_whose_features_are_none_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run([sound(0)], "a")
    with h5py.File("spectrograms/shard-0000.h5", "r+") as file:
        file.attrs["made_by"] = np.bytes_("{}")
    with pytest.raises(InputError, match=r"unusable features \('hop_length'\): run `dvc repro`"):
        main(*map(Path, ("spectrograms", "clips.csv", "copies.csv", "copies.json")))

"""Files heard in workers: each has its answer, whatever becomes of others."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import sounds
from planted import sound

from timbre import survey as surveying
from timbre.copy_checks import find_copies
from timbre.fingerprint_spool import Spool
from timbre.survey import Batch, Heard, Unheard, fingerprints, hear_batch, survey, without_file


def hear(path: Path) -> Heard | Unheard:
    first, (found,) = hear_batch(Batch(7, [str(path)]))
    assert first == 7
    return found


def test_each_file_has_one_answer_at_its_place(tmp_path: Path) -> None:
    """By real workers."""
    paths = [tmp_path / f"{number}.wav" for number in range(40)]
    for number, path in enumerate(paths):
        soundfile.write(path, sounds.noise(400 + number), 8000)
    paths[5].write_bytes(b"")
    found = dict(survey([str(path) for path in paths], 2))
    assert sorted(found) == list(range(40))
    for number, answer in found.items():
        if number == 5:
            assert answer == Unheard("is empty (0 bytes)", is_there=True)
        else:
            assert isinstance(answer, Heard)
            assert answer.facts.seconds == (400 + number) / 8000
            assert answer.sha256 == hashlib.sha256(paths[number].read_bytes()).hexdigest()


def test_no_files_need_no_workers() -> None:
    assert list(survey([], 2)) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"<html>", "is a web page, not audio (a failed download?)"),
        (sounds.mpeg4(), "is M4A/MP4 (AAC), which libsndfile cannot read: convert it to WAV"),
        (sounds.flac()[:4000], "cannot be decoded to its end"),
        (sounds.wav(body=b""), "holds no samples"),
    ],
)
def test_a_bad_file_has_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    found = hear(tmp_path / "a.wav")
    assert isinstance(found, Unheard)
    assert found.reason.startswith(reason)
    assert found.is_there


def test_a_file_that_is_gone_is_not_called_bad_audio(tmp_path: Path) -> None:
    assert hear(tmp_path / "a.wav") == Unheard("no such file", is_there=False)


def test_a_file_that_ends_its_process_has_its_reason(tmp_path: Path) -> None:
    path = str(tmp_path / "a.wav")
    batch = without_file(Batch(0, [path]), path, "crashes its decoder (SIGSEGV)")
    assert hear_batch(batch)[1] == [Unheard("crashes its decoder (SIGSEGV)", is_there=True)]


def test_memory_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    soundfile.write(tmp_path / "a.wav", sounds.noise(), 8000)
    monkeypatch.setattr(surveying, "measure", refuse)
    assert hear(tmp_path / "a.wav") == Unheard("takes more memory than there is", is_there=False)


def test_what_is_too_short_has_no_fingerprint() -> None:
    waveform = sound(0, 1.0).astype(np.float32)
    assert fingerprints(waveform, 8000) is None
    assert fingerprints(np.tile(waveform, 2), 8000) is not None


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("change", ["cut", "soft", "noisy", "vorbis"])
def test_a_recording_is_found_again_at_any_rate(tmp_path: Path, rate: int, change: str) -> None:
    pieces = [sound(seed, 4, rate).astype(np.float32) for seed in range(3)]
    other = {
        "cut": pieces[0][rate:],
        "soft": 0.1 * pieces[0],
        "noisy": pieces[0] + 0.003 * np.random.default_rng(0).normal(size=4 * rate),
        "vorbis": pieces[0],
    }[change].astype(np.float32)
    if change == "vorbis":
        soundfile.write(tmp_path / "a.ogg", other, rate)
        other = soundfile.read(tmp_path / "a.ogg", dtype="float32")[0]
    with Spool() as spool:
        for number, waveform in enumerate([*pieces, other]):
            found = fingerprints(waveform, rate)
            assert found is not None
            spool.add(number, found)
        copies = find_copies(spool, pd.Series([*"abcd"]), surveying.ear().frame_seconds)
    assert copies[["one", "other"]].to_numpy().tolist() == [["a", "d"]]

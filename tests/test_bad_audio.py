"""Audio files of every bad kind, each through the real stages: what is said, and what is left.

One clip is bad, six are good. A file that is only odd must be heard like the others.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sounds
import yaml
from clone import REPOSITORY, Clone, read_table
from commands import Done, digests, run
from conftest import write_wav
from shard_files import read_log_mel
from sounds import encoded, flac, flac_of, flipped, mp3, mp3_with_hole, mpeg4, noise, wav

from stages import encode_labels, extract_spectrograms
from timbre.audio_header import UnreadableError
from timbre.clips import read_clips, read_splits
from timbre.quarantine import read_unusable
from timbre.shards import read_index

EXTRACT: dict[str, Any] = {
    "sample_rate": 8000,
    "window_seconds": 0.25,
    "windows": "first",
    "window_hop_seconds": 0.125,
    "n_fft": 256,
    "hop_length": 100,
    "n_mels": 16,
    "fmin": 0.0,
    "fmax": None,
    "top_db": 80.0,
    "n_shards": 2,
    "scheduler": "",
    "audio_url": "",
}
DATA: dict[str, Any] = {
    "root": "corpus",
    "table": "",
    "audio": "",
    "allow_outside": False,
    "bad_audio": "fail",
    "max_quarantined": 0.2,
}
CORPUS, CLIPS, LABELS = Path("corpus"), Path("data/clips.csv"), Path("data/labels.json")
BAD_HEADERS, QUARANTINE = Path("data/bad_headers.csv"), Path("data/quarantine.csv")
SHARDS = Path("data/spectrograms")
GOOD = [f"{label}{n}.wav" for label in "ab" for n in range(3)]
BAD_ROW = len(GOOD) + 2

Make = Callable[[], bytes]
CANNOT = "cannot be used: mend them, drop their rows, or set data.bad_audio to quarantine"
CONVERT = "which libsndfile cannot read: convert it to WAV or FLAC, e.g. with ffmpeg"
VIDEO = "not audio: take its sound out, e.g. with ffmpeg"
DAMAGED = "is damaged, or not audio that libsndfile can read ("


class Bad(NamedTuple):
    """A file that cannot be used, and how the message about it begins."""

    case: str
    told: str
    make: Make
    name: str = "bad.wav"


class Odd(NamedTuple):
    """A file that can be used, and how many samples its header says."""

    case: str
    n_samples: int
    make: Make
    name: str = "odd.wav"


BAD_FILES = [
    Bad("zero bytes", "is empty (0 bytes)", bytes),
    Bad("one byte", "is text, not audio", lambda: b"R"),
    Bad("WAV header alone", "holds no samples", lambda: encoded()[:44]),
    Bad("WAV without samples", "holds no samples", lambda: wav(body=b"")),
    Bad("WAV says 0 bytes", "holds no samples", lambda: wav(size=0)),
    Bad("WAV cut in its RIFF", f"{DAMAGED}Error in WAV file. No 'data'", lambda: wav()[:12]),
    Bad("WAV cut in its format", f"{DAMAGED}Error in WAV/W64/RF64 file", lambda: wav()[:20]),
    Bad("WAV cut before its data", f"{DAMAGED}Error in WAV file. No 'data'", lambda: wav()[:36]),
    Bad("WAV of no channel", f"{DAMAGED}Channel count", lambda: wav(n_channels=0, frame_bytes=2)),
    Bad("WAV of 1025 channels", f"{DAMAGED}Too many channels", lambda: wav(n_channels=1025)),
    Bad("WAV of 0 Hz", DAMAGED, lambda: wav(sample_rate=0)),
    Bad("WAV of 1 Hz", "says that it has 1 samples a second", lambda: wav(sample_rate=1)),
    Bad("WAV of 2 GHz", "says that it has 2000000000 samp", lambda: wav(sample_rate=2 * 10**9)),
    Bad("WAV of 2^31 Hz", DAMAGED, lambda: wav(sample_rate=2**31)),
    Bad("WAV of 0 bits", f"{DAMAGED}File contains data in an un", lambda: wav(bits=0)),
    Bad("WAV of 64 bits", f"{DAMAGED}File contains data in an un", lambda: wav(bits=64)),
    Bad("WAV of an unknown codec", DAMAGED, lambda: wav(codec=0x161)),
    Bad("AIFF without samples", "holds no samples", lambda: encoded("AIFF", samples=noise(0))),
    Bad("FLAC of unknown length", "does not say how long it is: re-enc", lambda: flac_of(0)),
    Bad("Ogg cut in its headers", DAMAGED, lambda: encoded("OGG", "VORBIS")[:200], "bad.ogg"),
    Bad("MP3 of album art alone", DAMAGED, lambda: sounds.with_id3_picture(b""), "bad.mp3"),
    Bad("text", "is text, not audio", lambda: "nur Wörter\n".encode() * 40),
    Bad("text with a mark", "is text, not audio", lambda: b"\xef\xbb\xbfhello"),
    Bad("UTF-16 text", "is text, not audio", lambda: "hello world".encode("utf-16")),
    Bad("text named .au", "is text, not audio", lambda: b"hello world\n" * 40, "bad.au"),
    Bad("text named .raw", "is text, not audio", lambda: b"hello world\n" * 40, "bad.raw"),
    Bad("bytes named .vox", f"{DAMAGED}no audio header", lambda: bytes(range(256)), "bad.vox"),
    Bad("JSON", "is text, not audio", lambda: b'{"error": "not found"}'),
    Bad("HTML", "is a web page, not audio (a failed download?)", lambda: b" <!DOCTYPE html>"),
    Bad("HTML with a mark", "is a web page, not audio", lambda: b"\xef\xbb\xbf<html><body>"),
    Bad(
        "Git LFS pointer",
        "is a Git LFS pointer, not the audio: run `git lfs pull`",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    ),
    Bad("PNG", "is an image (PNG), not audio", lambda: b"\x89PNG\r\n\x1a\n" + bytes(90)),
    Bad("JPEG", "is an image (JPEG), not audio", lambda: b"\xff\xd8\xff\xe0" + bytes(90)),
    Bad("GIF", "is an image (GIF), not audio", lambda: b"GIF89a" + bytes(90)),
    Bad("WebP", "is an image (WebP), not audio", lambda: b"RIFF\0\0\0\0WEBPVP8 " + bytes(90)),
    Bad("PDF", "is a PDF document, not audio", lambda: b"%PDF-1.4\n" + bytes(range(256))),
    Bad("MIDI", "is MIDI, which holds notes and no sound", lambda: b"MThd\0\0\0\6" + bytes(90)),
    Bad("zip", "is a zip archive: unpack it", lambda: b"PK\x03\x04" + bytes(90)),
    Bad("gzip", "is a gzip archive: unpack it", lambda: b"\x1f\x8b\x08" + bytes(90)),
    Bad("7z", "is a 7z archive: unpack it", lambda: b"7z\xbc\xaf'\x1c" + bytes(90)),
    Bad("RAR", "is a RAR archive: unpack it", lambda: b"Rar!\x1a\7" + bytes(90)),
    Bad("M4A", f"is M4A/MP4 (AAC), {CONVERT}", mpeg4, "bad.m4a"),
    Bad("MP4 named .wav", f"is M4A/MP4 (AAC), {CONVERT}", lambda: mpeg4(b"isom")),
    Bad("raw AAC", f"is AAC, {CONVERT}", lambda: b"\xff\xf1\x50\x80" + bytes(90), "bad.aac"),
    Bad("WebM", f"is WebM/Matroska, {CONVERT}", lambda: b"\x1aE\xdf\xa3" + bytes(90)),
    Bad("WMA", f"is WMA, {CONVERT}", lambda: bytes.fromhex("3026b2758e66cf11") + bytes(90)),
    Bad("AMR", f"is AMR, {CONVERT}", lambda: b"#!AMR\n" + bytes(range(256))),
    Bad("AVI", f"is AVI, {VIDEO}", lambda: b"RIFF\0\0\1\0AVI LIST" + bytes(90)),
    Bad("Flash video", f"is Flash video, {VIDEO}", lambda: b"FLV\1\5" + bytes(90)),
    Bad("MPEG video", f"is MPEG video, {VIDEO}", lambda: b"\0\0\1\xba" + bytes(90)),
    Bad("zeros", DAMAGED, lambda: bytes(1000)),
    Bad("random bytes", DAMAGED, lambda: np.random.default_rng(0).bytes(4000)),
]

ENDS = "cannot be decoded to its end ("
NO_NUMBERS = "holds NaN or infinite samples"
TOO_LOUD = "holds samples as large as 1e+30, where full scale is 1"


def floats(*values: float, subtype: str = "FLOAT") -> bytes:
    return encoded("WAV", subtype, np.array(values).reshape(-1, 1))


BAD_SAMPLES = [
    Bad("NaN", NO_NUMBERS, lambda: floats(0.1, np.nan)),
    Bad("infinity", NO_NUMBERS, lambda: floats(0.1, np.inf)),
    Bad("minus infinity", NO_NUMBERS, lambda: floats(-np.inf, 0.1)),
    Bad("beyond float32", NO_NUMBERS, lambda: floats(*[1e300] * 9, subtype="DOUBLE")),
    Bad("beyond float32 as a sum", NO_NUMBERS, lambda: encoded("WAV", "FLOAT", noise(9, 3) * 3e39)),
    Bad("beyond its power in float32", TOO_LOUD, lambda: floats(*[1e30] * 9)),
    Bad("FLAC cut in its body", f"{ENDS}Error : flac decoder lost", lambda: flac()[:9000]),
    Bad("FLAC without its last byte", f"{ENDS}Error : flac decoder lost", lambda: flac()[:-1]),
    Bad("FLAC of its header alone", "cannot be decoded ", lambda: flac()[:42]),
    Bad("FLAC with flipped bits", f"{ENDS}Error : unknown error in flac", lambda: flipped(flac())),
    Bad("FLAC that claims months", ENDS, lambda: flac_of(2**35)),
    Bad("MP3 with a hole", f"{ENDS}Unspecified internal error", mp3_with_hole, "bad.mp3"),
    Bad("one sample at 384 kHz", "is shorter than one", lambda: wav(sample_rate=384_000)[:46]),
]

ODD = [
    *(
        Odd(f"WAV {kind}", 400, lambda kind=kind: encoded("WAV", kind))  # type: ignore[misc]
        for kind in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")
    ),
    *(
        Odd(f"{kind} file", 400, lambda kind=kind: encoded(kind, "PCM_16"))  # type: ignore[misc]
        for kind in ("WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")
    ),
    *(
        Odd(f"{n} channels", 400, lambda n=n: encoded(samples=noise(400, n)))  # type: ignore[misc]
        for n in (2, 6, 1024)
    ),
    *(
        Odd(f"{rate} Hz", 400, lambda rate=rate: encoded(sample_rate=rate))  # type: ignore[misc]
        for rate in (100, 4000, 44_100, 48_000, 192_000, 384_000, 655_350)
    ),
    Odd("WAV named .mp3", 400, encoded, "odd.mp3"),
    Odd("FLAC named .wav", 16_000, flac),
    Odd("Opus", 48_000, lambda: encoded("OGG", "OPUS", noise(48_000), 48_000), "odd.opus"),
    Odd("Vorbis", 44_100, lambda: encoded("OGG", "VORBIS", noise(44_100), 44_100), "odd.ogg"),
    Odd("MP3", 44_100, lambda: mp3(1.0), "odd.mp3"),
    Odd("MP3 with album art", 44_100, lambda: sounds.with_id3_picture(mp3(1.0)), "odd.mp3"),
    Odd("MP3 with text behind it", 44_100, lambda: mp3(1.0) + b"some text " * 99, "odd.mp3"),
    Odd("MP3 cut in half", 132_300, lambda: mp3()[:24_000], "odd.mp3"),
    Odd("MP3 with a bad frame", 132_300, lambda: flipped(mp3(), 200), "odd.mp3"),
    Odd("WAV cut in its body", 300, lambda: encoded()[:-200]),
    Odd("WAV cut in a sample", 300, lambda: encoded()[:-199]),
    Odd("WAV that claims 1 GB", 400, lambda: wav(size=10**9)),
    Odd("WAV that claims -1 bytes", 400, lambda: wav(size=2**32 - 1, riff_size=2**32 - 1)),
    Odd("WAV that claims less", 50, lambda: wav(size=100)),
    Odd("WAV of frames of 0 bytes", 400, lambda: wav(frame_bytes=0)),
    Odd("FLAC that claims less", 100, lambda: flac_of(100)),
    Odd("one sample", 1, lambda: wav(body=b"\0\x40")),
    Odd("shorter than n_fft", 100, lambda: wav(body=bytes(range(200)))),
    Odd("samples beyond 1", 3, lambda: floats(5.0, -5.0, 5.0)),
    Odd("denormal samples", 3, lambda: floats(1e-40, 1e-42, 0.0)),
    Odd("clipped", 400, lambda: encoded(samples=np.sign(noise()))),
]

SILENT = [
    Odd("digital silence", 400, lambda: wav(body=bytes(800))),
    Odd("silence in stereo", 400, lambda: encoded(samples=np.zeros((400, 2)))),
    Odd("silence as floats", 400, lambda: floats(*[0.0] * 400)),
]


def ids(case: Bad | Odd) -> str:
    return case.case


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which both stages have run on six good clips."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for seed, name in enumerate(GOOD):
            write_wav(CORPUS / name, 0.3, 8000, seed)
        list_clips(GOOD)
        set_params()
        assert encode().code == extract().code == 0
    return folder


@pytest.fixture(autouse=True)
def place(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a copy of that folder."""
    shutil.copytree(good, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def set_params(data: dict[str, Any] | None = None, **extract: object) -> None:
    sections = {"data": DATA | (data or {}), "extract": EXTRACT | extract}
    Path("params.yaml").write_text(yaml.safe_dump(sections))


def list_clips(names: list[str]) -> None:
    rows = [f"{name},{'a' if name.startswith('a') else 'b'}" for name in names]
    (CORPUS / "filespaths.csv").write_text("\n".join(["FilePath,Class", *rows, ""]))


def add(case: Bad | Odd) -> None:
    """Put the case's file among the good ones, last in the table."""
    (CORPUS / case.name).write_bytes(case.make())
    list_clips([*GOOD, case.name])


def encode() -> Done:
    return run(encode_labels.main, CORPUS, CLIPS, LABELS, BAD_HEADERS)


def extract() -> Done:
    return run(extract_spectrograms.main, CORPUS, CLIPS, BAD_HEADERS, SHARDS, QUARANTINE)


def log_mels() -> dict[str, np.ndarray[Any, np.dtype[np.float16]]]:
    """Return the windows of each clip."""
    found: dict[str, np.ndarray[Any, np.dtype[np.float16]]] = {}
    for path in sorted(SHARDS.iterdir()):
        index, windows = read_index(path), read_log_mel(path)
        found |= {
            clip_id: windows[rows.start : rows.stop]
            for clip_id, rows in zip(index.clip_ids, index.rows(), strict=True)
        }
    return found


@pytest.mark.parametrize("case", BAD_FILES, ids=ids)
def test_a_bad_header_is_named_with_its_row_and_nothing_is_damaged(case: Bad) -> None:
    before = digests(Path("data"))
    add(case)
    done = encode()
    assert done.code == 1
    told, total = done.errors()
    assert total == f"1 of 7 clips {CANNOT}"
    assert told.startswith(f"row {BAD_ROW}: '{case.name}' {case.told}")
    assert digests(Path("data")) == before


@pytest.mark.parametrize("case", BAD_SAMPLES, ids=ids)
def test_bad_samples_are_named_with_their_file_and_nothing_is_damaged(case: Bad) -> None:
    before = digests(SHARDS)
    set_params(windows="all")
    add(case)
    assert encode().code == 0
    done = extract()
    assert done.code == 1
    told, summary = done.errors()
    assert told.startswith(f"corpus/{case.name}: {case.told}")
    assert summary == f"1 of 7 clips {CANNOT}"
    assert digests(SHARDS) == before


@pytest.mark.parametrize("case", BAD_FILES, ids=ids)
def test_in_quarantine_a_bad_header_is_left_out_and_listed(case: Bad) -> None:
    shards = digests(SHARDS)
    set_params({"bad_audio": "quarantine"})
    add(case)
    done = encode()
    assert (done.code, done.errors()) == (0, [])
    (told,) = done.warnings()
    assert told.startswith(f"row {BAD_ROW}: '{case.name}' {case.told}")
    assert told.endswith(": it is left out")
    assert read_unusable(BAD_HEADERS)[0][:2] == (case.name, case.name)
    assert extract().code == 0
    (clip,) = read_unusable(QUARANTINE)
    assert clip[:2] == (case.name, case.name)
    assert clip.reason.startswith(case.told)
    assert digests(SHARDS) == shards


@pytest.mark.parametrize("case", BAD_SAMPLES, ids=ids)
def test_in_quarantine_bad_samples_are_left_out_and_listed(case: Bad) -> None:
    set_params({"bad_audio": "quarantine"}, windows="all")
    assert encode().code == extract().code == 0
    shards = digests(SHARDS)
    add(case)
    assert encode().code == 0
    done = extract()
    assert (done.code, done.errors()) == (0, [])
    (told,) = done.warnings()
    start = "1 clips cannot be used and are left out, such as "
    assert told.startswith(f"{start}{case.name} ({case.told}")
    assert done.out == "extract_spectrograms: 7 clips: 0 computed, 6 reused, 1 left out\n"
    (clip,) = read_unusable(QUARANTINE)
    assert clip[:2] == (case.name, case.name)
    assert clip.reason.startswith(case.told)
    assert digests(SHARDS) == shards


def test_both_kinds_are_listed_together_and_counted_against_the_cap() -> None:
    (CORPUS / "c.wav").write_bytes(b"")
    (CORPUS / "d.wav").write_bytes(floats(np.nan))
    list_clips([*GOOD, "c.wav", "d.wav"])
    set_params({"bad_audio": "quarantine", "max_quarantined": 0.24})
    assert encode().code == 0
    before = digests(SHARDS, QUARANTINE)
    assert extract().errors() == [
        f"corpus/d.wav: {NO_NUMBERS}",
        "2 of 8 clips cannot be used, 25.0%, and data.max_quarantined allows 24.0%: mend them, "
        "drop their rows, or raise it",
    ]
    assert digests(SHARDS, QUARANTINE) == before
    set_params({"bad_audio": "quarantine", "max_quarantined": 0.25})
    assert extract().code == 0
    assert QUARANTINE.read_text() == (
        "clip_id,path,reason\n"
        "c.wav,c.wav,is empty (0 bytes)\n"
        "d.wav,d.wav,holds NaN or infinite samples\n"
    )


def test_too_many_bad_headers_are_told_at_once_and_so_is_a_class_without_a_clip() -> None:
    for name in GOOD[3:]:
        (CORPUS / name).write_bytes(b"")
    set_params({"bad_audio": "quarantine"})
    before = digests(Path("data"))
    done = encode()
    assert done.code == 1
    assert len(done.warnings()) == 3
    assert done.errors() == [
        "3 of 6 clips cannot be used, 50.0%, and data.max_quarantined allows 20.0%: mend them, "
        "drop their rows, or raise it",
        "class 'b': none of its clips can be used: mend one, or drop the class",
    ]
    assert digests(Path("data")) == before


def test_a_file_that_cannot_be_read_is_never_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    set_params({"bad_audio": "quarantine", "max_quarantined": 0.9})
    assert encode().code == 0
    shutil.rmtree(SHARDS)  # what lies there would be used again
    (CORPUS / "a0.wav").write_bytes((CORPUS / "a1.wav").read_bytes()[:-2])
    (CORPUS / "b0.wav").unlink()
    assert extract().errors() == [
        "corpus/a0.wav: has changed since encode_labels ran: run `dvc repro` again",
        "corpus/b0.wav: cannot be read (No such file or directory)",
        "2 of 6 clips cannot be used",
    ]

    # Permission bits bind no test that runs as root: the refusal itself is played.
    def refuse(paths: list[str]) -> list[UnreadableError]:
        return [UnreadableError("no permission to read it") for _ in paths]

    list_clips([name for name in GOOD if name != "b0.wav"])
    monkeypatch.setattr(encode_labels, "read_headers", refuse)
    done = encode()
    assert done.code == 1
    assert done.errors()[0] == "row 2: 'a0.wav' no permission to read it"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be used (No such file or directory): run `dvc repro`, which makes it anew"),
        (b"", "cannot be used ("),
        (b"clip_id,reason\n", "cannot be used (its columns are ['clip_id', 'reason'])"),
        (b"clip_id,path,reason\na,b\n", "cannot be used ("),
        (b"clip_id,path,reason\n\xff,b,c\n", "cannot be used ("),
    ],
)
def test_a_list_that_is_none_is_told(content: bytes | None, told: str) -> None:
    BAD_HEADERS.unlink()
    if content is not None:
        BAD_HEADERS.write_bytes(content)
    done = extract()
    assert (done.code, len(done.errors())) == (1, 1)
    assert done.errors()[0].startswith(f"{BAD_HEADERS}: {told}")


@pytest.mark.parametrize("case", ODD, ids=ids)
def test_an_odd_file_is_heard(case: Odd) -> None:
    add(case)
    assert encode() == (0, "encode_labels: 7 clips, 2 classes, 7 groups, 0 duplicates\n", "")
    assert f",{case.n_samples}\n" in CLIPS.read_text()[CLIPS.read_text().index(case.name) :]
    assert extract() == (0, "extract_spectrograms: 7 clips: 1 computed, 6 reused\n", "")
    (window,) = log_mels()[case.name]
    assert np.isfinite(window).all()
    assert window.max() == 0 or case.case == "denormal samples"


@pytest.mark.parametrize("case", SILENT, ids=ids)
def test_silence_is_silent_and_no_peak(case: Odd) -> None:
    add(case)
    assert encode().code == extract().code == 0
    assert (log_mels()[case.name] == -EXTRACT["top_db"]).all()


def test_a_constant_offset_is_heard_in_the_lowest_band_alone() -> None:
    add(Odd("constant", 4000, lambda: encoded(samples=np.full((4000, 1), 0.5))))
    assert encode().code == extract().code == 0
    (window,) = log_mels()["odd.wav"]
    middle = window[:, 5:15]  # the clip's edges are clicks
    assert middle[0].min() > middle[1:].max()


def test_stereo_that_cancels_itself_is_not_silence() -> None:
    left = noise(2400)
    add(Odd("anti-phase", 2400, lambda: encoded(samples=np.hstack([left, -left]))))
    assert encode().code == extract().code == 0
    assert log_mels()["odd.wav"].max() == 0


def test_a_directory_a_fifo_and_a_broken_link_are_named_in_one_go() -> None:
    (CORPUS / "folder.wav").mkdir()
    os.mkfifo(CORPUS / "fifo.wav")
    (CORPUS / "link.wav").symlink_to("nowhere")
    list_clips([*GOOD, "folder.wav", "fifo.wav", "link.wav", "missing.wav"])
    assert encode().errors() == [
        "row 8: 'folder.wav' is a folder, not an audio file",
        "row 9: 'fifo.wav' is a FIFO or device, not an audio file",
        "row 10: 'link.wav' is a symbolic link to a file that is not there",
        "row 11: 'missing.wav' is not there: no such file in corpus",
    ]


def test_all_bad_clips_are_named_at_once() -> None:
    for name in GOOD[:4]:
        (CORPUS / name).write_bytes(floats(0.1, np.nan, float(name[1]), ord(name[0])))
    (CORPUS / "a1.wav").write_bytes(b"")
    (CORPUS / "a2.wav").write_bytes(b"text")
    assert encode().errors() == [
        "row 3: 'a1.wav' is empty (0 bytes)",
        "row 4: 'a2.wav' is text, not audio",
        f"2 of 6 clips {CANNOT}",
    ]
    write_wav(CORPUS / "a1.wav", 0.3, 8000, seed=1)
    write_wav(CORPUS / "a2.wav", 0.3, 8000, seed=2)
    assert encode().code == 0
    assert extract().errors() == [
        f"corpus/a0.wav: {NO_NUMBERS}",
        f"corpus/b0.wav: {NO_NUMBERS}",
        f"2 of 6 clips {CANNOT}",
    ]


def test_what_happens_to_a_file_between_the_stages_is_told() -> None:
    assert encode().code == 0
    shutil.rmtree(SHARDS)  # what lies there would be used again
    (CORPUS / "a0.wav").unlink()
    write_wav(CORPUS / "a1.wav", 0.3, 8000, seed=50)
    (CORPUS / "a2.wav").unlink()
    (CORPUS / "a2.wav").mkdir()
    assert extract().errors() == [
        "corpus/a0.wav: cannot be read (No such file or directory)",
        "corpus/a1.wav: has changed since encode_labels ran: run `dvc repro` again",
        "corpus/a2.wav: cannot be read (Is a directory)",
        "3 of 6 clips cannot be used",
    ]


BOMBS = [
    # 14 hours at 100 Hz would be 40 GB at the rate of the others.
    Bad(
        "slow",
        "lasts more than 0.4 hours at the 100 Hz of its header",
        lambda: wav(sample_rate=100, body=bytes(10**7)),
        "1.wav",
    ),
    Bad("FLAC that claims months", ENDS, lambda: flac_of(2**35), "2.wav"),
]
PATHS = [CORPUS, CLIPS, BAD_HEADERS, SHARDS, QUARANTINE]
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def test_lying_lengths_take_neither_memory_nor_time() -> None:
    set_params(windows="all", sample_rate=384_000, n_mels=4, fmax=192_000.0)
    for case in BOMBS:
        (CORPUS / case.name).write_bytes(case.make())
    list_clips([*GOOD, *(case.name for case in BOMBS)])
    assert encode().code == 0
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "stages.extract_spectrograms", *PATHS],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    *told, summary = Done(done.returncode, done.stdout, done.stderr).errors()
    assert done.returncode == 1
    for line, case in zip(told, BOMBS, strict=True):
        assert line.startswith(f"corpus/{case.name}: {case.told}")
    assert summary == f"2 of 8 clips {CANNOT}"


@pytest.mark.pipeline
def test_in_quarantine_the_whole_pipeline_runs_without_the_bad_clips(
    on_own_corpus: Clone, tmp_path: Path
) -> None:
    clone = on_own_corpus.copy(tmp_path / "clone")
    table = read_table(clone.folder / "corpus")
    bad = [row[table[0].index("FilePath")] for row in table[1:3]]
    (clone.folder / "corpus" / bad[0]).write_bytes(b"")
    (clone.folder / "corpus" / bad[1]).write_bytes(floats(np.nan))
    clone.set_params({"data": {"bad_audio": "quarantine", "max_quarantined": 0.1}})
    clone.dvc("add", "corpus")
    clone.dvc("repro")
    quarantine = clone.folder / "data" / "quarantine.csv"
    assert [clip.path for clip in read_unusable(quarantine)] == sorted(bad)
    splits = read_splits(clone.folder / "data" / "splits.csv")
    assert len(splits) == len(table) - 3
    assert not set(bad) & set(splits["clip_id"])
    counts = json.loads((clone.folder / "metrics" / "split.json").read_text())
    assert counts["quarantined"] == 2
    page = (clone.folder / "metrics" / "report.md").read_text()
    assert "2 clips cannot be used and are in no split" in page


# Decoders of which some files are the end. Python imports it before anything else.
TRAPS = """
import os, signal, time
import soundfile
import timbre.workers
timbre.workers.ITEM_SECONDS = 2.0
real = soundfile.SoundFile
class Trapped(real):
    def __init__(self, file, *others, **options):
        self.trap = os.path.basename(os.fspath(file))
        self.spring("header")
        super().__init__(file, *others, **options)
    def read(self, *others, **options):
        self.spring("samples")
        return super().read(*others, **options)
    def spring(self, where):
        if where in self.trap and "segv" in self.trap:
            os.kill(os.getpid(), signal.SIGSEGV)
        if where in self.trap and "kill" in self.trap:
            os.kill(os.getpid(), signal.SIGKILL)
        if where in self.trap and "hang" in self.trap:
            time.sleep(60)
soundfile.SoundFile = Trapped
"""
CRASHES = {
    "hang": "keeps its decoder busy for more than 2 s",
    "kill": "has the process that decodes it killed (SIGKILL: out of memory?)",
    "segv": "crashes its decoder (SIGSEGV)",
}


def command(*words: Path | str) -> Done:
    """Run a stage as a process, in which some decoders are traps."""
    Path("traps").mkdir(exist_ok=True)
    Path("traps/sitecustomize.py").write_text(TRAPS)
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["traps", str(REPOSITORY)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_headers_that_kill_their_decoder_are_named_and_the_others_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIMBRE_JOBS", "2")
    traps = [f"{kind}_header.wav" for kind in CRASHES]
    for seed, name in enumerate([*traps, "empty.wav"]):
        write_wav(CORPUS / name, 0.3, 8000, 80 + seed)
    (CORPUS / "empty.wav").write_bytes(b"")
    list_clips([*GOOD, *traps, "empty.wav"])
    told = [
        *(
            f"row {8 + n}: '{kind}_header.wav' {why}"
            for n, (kind, why) in enumerate(CRASHES.items())
        ),
        "row 11: 'empty.wav' is empty (0 bytes)",
    ]
    done = command("stages.encode_labels", CORPUS, CLIPS, LABELS, BAD_HEADERS)
    assert (done.code, done.errors()) == (1, [*told, f"4 of 10 clips {CANNOT}"])
    set_params({"bad_audio": "quarantine", "max_quarantined": 0.5})
    done = command("stages.encode_labels", CORPUS, CLIPS, LABELS, BAD_HEADERS)
    assert (done.code, done.warnings()) == (0, [f"{line}: it is left out" for line in told])
    assert len(read_clips(CLIPS)) == len(GOOD)


def test_samples_that_kill_their_decoder_are_named_and_the_others_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIMBRE_JOBS", "1")
    shards = digests(SHARDS)
    traps = [f"{kind}_samples.wav" for kind in CRASHES]
    for seed, name in enumerate(traps):
        write_wav(CORPUS / name, 0.3, 8000, 80 + seed)
    list_clips([*GOOD, *traps])
    assert encode().code == 0
    shutil.rmtree(SHARDS)
    told = [f"corpus/{kind}_samples.wav: {why}" for kind, why in CRASHES.items()]
    done = command("stages.extract_spectrograms", *PATHS)
    assert (done.code, done.errors()) == (1, [*told, f"3 of 9 clips {CANNOT}"])
    set_params({"bad_audio": "quarantine", "max_quarantined": 0.5})
    done = command("stages.extract_spectrograms", *PATHS)
    assert (done.code, done.errors()) == (0, [])
    assert [clip.reason for clip in read_unusable(QUARANTINE)] == list(CRASHES.values())
    assert digests(SHARDS) == shards


def test_what_decoders_write_of_bad_frames_is_not_heard() -> None:
    set_params(windows="all")
    add(Odd("MP3 with a bad frame", 132_300, lambda: flipped(mp3(), 200), "odd.mp3"))
    for stage, paths in (
        ("encode_labels", [CORPUS, CLIPS, LABELS, BAD_HEADERS]),
        ("extract_spectrograms", PATHS),
    ):
        done = command(f"stages.{stage}", *paths)
        assert (done.code, done.err) == (0, "")

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import sounds
from conftest import write_wav

from timbre.audio_header import AudioHeader, HeaderError, read_header


def fault(path: Path) -> str:
    with pytest.raises(HeaderError) as caught:
        read_header(path)
    return str(caught.value)


def fault_of(tmp_path: Path, content: bytes, name: str = "a.wav") -> str:
    (tmp_path / name).write_bytes(content)
    return fault(tmp_path / name)


def box(brand: bytes) -> bytes:
    return struct.pack(">I", 32) + b"ftyp" + brand + bytes(200)


@pytest.mark.parametrize("sample_rate", [100, 8000, 44100, 384_000])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_the_header_says_what_was_written(
    tmp_path: Path, sample_rate: int, n_channels: int
) -> None:
    path = write_wav(tmp_path / "a.wav", 40 / sample_rate, sample_rate, n_channels=n_channels)
    assert read_header(path) == AudioHeader(sample_rate, n_channels, 40)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        *(("a.flac", "PCM_24"), ("a.ogg", "VORBIS"), ("a.ogg", "OPUS"), ("a.aiff", "PCM_16")),
        *(("a.mp3", "MPEG_LAYER_III"), ("a.wav", "ALAW"), ("a.wav", "DOUBLE"), ("a.au", "PCM_16")),
    ],
)
def test_every_format_of_libsndfile_is_read(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, np.zeros(4800), 48_000, subtype=subtype)
    assert read_header(tmp_path / name) == AudioHeader(48_000, 1, 4800)


def test_the_content_counts_and_not_the_extension(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.ogg")
    assert read_header(tmp_path / "a.ogg") == AudioHeader(8000, 1, 400)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "run `git lfs pull`"),
        (b"  <!DOCTYPE html><html>not found</html>", "is a web page"),
        (b"<html><body>", "is a web page"),
        ("no audio, only wörds\n".encode() * 40, "is text, not audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "is an image (PNG)"),
        (b"\xff\xd8\xff\xe0" + bytes(90), "is an image (JPEG)"),
        (b"GIF89a" + bytes(90), "is an image (GIF)"),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(90), "is an image (WebP)"),
        (box(b"M4A "), "convert it to WAV or FLAC, e.g. with ffmpeg"),
        (b"\xff\xf1\x50\x80" + bytes(90), "is AAC"),
        (b"\x1aE\xdf\xa3" + bytes(90), "is WebM"),
        (b"PK\x03\x04" + bytes(90), "is a zip archive"),
        (bytes(90), "is damaged, or not audio"),
    ],
)
def test_what_is_not_audio_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    assert reason in fault_of(tmp_path, content)


@pytest.mark.parametrize("name", ["a.au", "a.gsm", "a.vox", "a.raw", "a.snd"])
def test_text_is_never_taken_for_headerless_audio(tmp_path: Path, name: str) -> None:
    assert fault_of(tmp_path, b"hello world\n" * 40, name) == "is text, not audio"


def test_bytes_without_a_header_are_not_audio(tmp_path: Path) -> None:
    assert "no audio header" in fault_of(tmp_path, bytes(range(256)) * 4, "a.vox")


def test_a_header_without_samples_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    assert fault(tmp_path / "a.wav") == "holds no samples"


def test_a_cut_header_is_told(tmp_path: Path) -> None:
    content = write_wav(tmp_path / "a.wav").read_bytes()
    assert "is damaged" in fault_of(tmp_path, content[:20])


def test_a_wav_header_that_promises_too_much_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(write_wav(tmp_path / "a.wav").read_bytes())
    size = content.index(b"data") + 4
    for claim in (2**31, 2**32 - 1):
        content[size : size + 4] = struct.pack("<I", claim)
        (tmp_path / "a.wav").write_bytes(content)
        assert read_header(tmp_path / "a.wav").n_samples == 400


def test_a_stream_of_unknown_length_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(4800), 48_000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # STREAMINFO's 36-bit count of samples: 0 is "unknown"
    content[22:26] = bytes(4)
    assert fault_of(tmp_path, bytes(content), "a.flac").startswith("does not say how long it is")


def test_what_is_no_regular_file_is_told_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    assert fault(tmp_path / "fifo.wav") == "is a FIFO or device, not an audio file"
    assert fault(tmp_path) == "is a folder, not an audio file"
    assert fault(tmp_path / "b.wav") == "no such file"


def test_a_file_without_permission_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wav(tmp_path / "a.wav")

    # Permission bits bind no test that runs as root: the refusal itself is played.
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert fault(path) == "no permission to read it"


@pytest.mark.parametrize("sample_rate", [1, 99, 2 * 10**9])
def test_a_rate_that_no_sound_has_is_told(tmp_path: Path, sample_rate: int) -> None:
    told = fault_of(tmp_path, sounds.wav(sample_rate=sample_rate))
    assert told == f"says that it has {sample_rate} samples a second: re-encode it"


def test_what_the_system_says_of_a_file_is_passed_on(tmp_path: Path) -> None:
    assert fault(tmp_path / ("x" * 300)) == "cannot be read: File name too long"

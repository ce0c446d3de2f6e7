"""Files whose end is missing."""

import io
from pathlib import Path

import pytest
import soundfile
import sounds

from timbre.torn import missing_end

FORMATS = [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")]


def end_of(tmp_path: Path, content: bytes, promised: float = 2.0, seconds: float = 2.0) -> str:
    path = tmp_path / "a"
    path.write_bytes(content)
    return missing_end(path, promised, seconds, "")


def whole(container: str, subtype: str) -> bytes:
    return sounds.encoded(container, subtype, sounds.noise(160_000))


@pytest.mark.parametrize(("container", "subtype"), [*FORMATS, ("FLAC", "PCM_16")])
def test_a_whole_file_lacks_nothing(tmp_path: Path, container: str, subtype: str) -> None:
    assert end_of(tmp_path, whole(container, subtype)) == ""


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_file_that_was_cut_shows_it(
    tmp_path: Path, container: str, subtype: str, share: float
) -> None:
    content = whole(container, subtype)
    cut = content[: int(share * len(content))]
    assert end_of(tmp_path, cut)
    soundfile.read(io.BytesIO(cut))  # and yet it can be read


def test_the_messages_say_how_much_is_there(tmp_path: Path) -> None:
    content = sounds.wav()
    cut = content[:-100]
    told = f"has {len(cut)} of the {len(content)} bytes that its header says"
    assert end_of(tmp_path, cut) == told
    assert end_of(tmp_path, whole("OGG", "VORBIS")[:2000]) == "has no whole last page (Ogg)"
    assert end_of(tmp_path, sounds.flac(), 3.0, 1.0) == "has 1.0 of the 3.0 s that its header says"
    damage = missing_end(tmp_path / "a", 3.0, 1.0, "cannot be decoded to its end")
    assert damage == "cannot be decoded to its end (after 1.0 s)"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_stream_that_does_not_know_its_size_is_no_torn_file(tmp_path: Path, size: int) -> None:
    assert end_of(tmp_path, sounds.wav(riff_size=size)) == ""


def test_what_encoders_add_is_no_missing_end(tmp_path: Path) -> None:
    assert end_of(tmp_path, sounds.mp3(), 3.0, 2.95) == ""


@pytest.mark.parametrize("n_bytes", range(13))
def test_a_few_bytes_do_no_harm(tmp_path: Path, n_bytes: int) -> None:
    for head in (b"RIFF\xff\0\0\0WAVE", b"OggS\0\0\0\0\0\0\0\0", b"FORM\0\0\0\xffAIFF"):
        end_of(tmp_path, head[:n_bytes])

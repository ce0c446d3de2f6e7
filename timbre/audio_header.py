"""What an audio file says of itself before a sample is decoded."""

# Text and os: a hundred thousand headers are read, and Path objects cost time and memory.
# ruff: noqa: PTH116, PTH123

import codecs
import os
import stat
from pathlib import Path
from typing import NamedTuple

import soundfile

UNKNOWN_LENGTH = 2**62  # libsndfile says 2**63 - 1 for a FLAC stream of unknown length
RATES = range(100, 10_000_001)  # Hz; no sound fits into less, no recorder takes more
HEAD_BYTES = 512

CONVERT = "which libsndfile cannot read: convert it to WAV or FLAC, e.g. with ffmpeg"
VIDEO = "not audio: take its sound out, e.g. with ffmpeg"
LFS_POINTER = b"version https://git-lfs"
# (offset, bytes, reason): what files named .wav turn out to be.
SIGNATURES = (
    (4, b"ftyp", f"is M4A/MP4 (AAC), {CONVERT}"),
    (0, b"\xff\xf1", f"is AAC, {CONVERT}"),
    (0, b"\xff\xf9", f"is AAC, {CONVERT}"),
    (0, b"\x1aE\xdf\xa3", f"is WebM/Matroska, {CONVERT}"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", f"is WMA, {CONVERT}"),
    (0, b"#!AMR", f"is AMR, {CONVERT}"),
    (0, b"\x89PNG", "is an image (PNG), not audio"),
    (0, b"\xff\xd8\xff", "is an image (JPEG), not audio"),
    (0, b"GIF8", "is an image (GIF), not audio"),
    (8, b"WEBP", "is an image (WebP), not audio"),
    (8, b"AVI ", f"is AVI, {VIDEO}"),
    (0, b"FLV\x01", f"is Flash video, {VIDEO}"),
    (0, b"\0\0\x01\xba", f"is MPEG video, {VIDEO}"),
    (0, b"MThd", "is MIDI, which holds notes and no sound"),
    (0, b"%PDF", "is a PDF document, not audio"),
    (0, b"PK\x03\x04", "is a zip archive: unpack it"),
    (0, b"\x1f\x8b", "is a gzip archive: unpack it"),
    (0, b"Rar!", "is a RAR archive: unpack it"),
    (0, b"7z\xbc\xaf", "is a 7z archive: unpack it"),
)
TEXTS = (  # with a byte order mark
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class HeaderError(Exception):
    """Why a file cannot be used as audio; the message does not name the file, its catcher does."""


class UnreadableError(HeaderError):
    """The file could not be read: that says nothing about its audio."""


class AudioHeader(NamedTuple):
    """What the header says; decoding may prove it wrong."""

    sample_rate: int  # Hz
    n_channels: int
    n_samples: int  # per channel


def read_header(path: str | Path) -> AudioHeader:
    """Read the header of the audio file at `path`.

    Raises HeaderError without usable audio, and UnreadableError where there is no file to read.
    """
    head = _head(path)
    if head.startswith(LFS_POINTER):
        raise HeaderError("is a Git LFS pointer, not the audio: run `git lfs pull`")
    try:
        # Not soundfile.info: what else it asks the file is a third of its time.
        with soundfile.SoundFile(os.fspath(path)) as info:
            header = AudioHeader(int(info.samplerate), int(info.channels), int(info.frames))
            container = info.format
    except (soundfile.SoundFileError, TypeError) as error:
        # TypeError: soundfile wants to be told the sample rate of a file that is named .raw
        raise HeaderError(_reason(head, error)) from None
    if container == "RAW":
        # libsndfile takes any bytes named .au, .gsm or .vox for headerless audio.
        raise HeaderError(_reason(head, ValueError("no audio header")))
    if header.sample_rate not in RATES:
        raise HeaderError(f"says that it has {header.sample_rate} samples a second: re-encode it")
    if header.n_samples == 0:
        raise HeaderError("holds no samples")
    if header.n_samples >= UNKNOWN_LENGTH:
        raise HeaderError("does not say how long it is: re-encode it, e.g. with ffmpeg")
    return header


def _head(path: str | Path) -> bytes:
    try:
        mode = os.stat(path).st_mode  # before opening: to open a FIFO is to wait for ever
        if stat.S_ISDIR(mode):
            raise UnreadableError("is a folder, not an audio file")
        if not stat.S_ISREG(mode):
            raise UnreadableError("is a FIFO or device, not an audio file")
        with open(path, "rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except PermissionError:
        raise UnreadableError("no permission to read it") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    if not head:
        raise HeaderError("is empty (0 bytes)")
    return head


def _reason(head: bytes, error: Exception) -> str:
    for offset, signature, reason in SIGNATURES:
        if head.startswith(signature, offset):
            return reason
    text = _as_text(head)
    if text is None:
        told = str(getattr(error, "error_string", error)).rstrip(".")
        return f"is damaged, or not audio that libsndfile can read ({told})"
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return "is a web page, not audio (a failed download?)"
    return "is text, not audio"


def _as_text(head: bytes) -> str | None:
    """Return what `head` says as text, None if it is none. It may end within a character."""
    encoding = next((name for mark, name in TEXTS if head.startswith(mark)), "utf-8")
    text = head.decode(encoding, errors="ignore")
    whole = len(text.encode(encoding)) >= len(head) - 3
    readable = all(letter.isprintable() or letter.isspace() for letter in text)
    return text if whole and readable else None

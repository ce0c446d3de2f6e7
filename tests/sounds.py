"""Audio files made by code: good, odd, damaged and lying ones."""

import io
import struct

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float64]

RATE = 8000
SIZE_AT = 40  # where a plain WAV says how many bytes of samples follow


def noise(n_samples: int = 400, n_channels: int = 1, seed: int = 99) -> Samples:
    """Return quiet noise `(n_samples, n_channels)`."""
    return np.random.default_rng(seed).uniform(-0.1, 0.1, (n_samples, n_channels))


def encoded(
    container: str = "WAV",
    subtype: str | None = None,
    samples: Samples | None = None,
    sample_rate: int = RATE,
) -> bytes:
    """Return a whole file of `samples`, by default noise, as libsndfile writes it."""
    file = io.BytesIO()
    content = noise() if samples is None else samples
    soundfile.write(file, content, sample_rate, format=container, subtype=subtype)
    return file.getvalue()


def wav(
    *,
    sample_rate: int = RATE,
    n_channels: int = 1,
    bits: int = 16,
    codec: int = 1,
    frame_bytes: int | None = None,
    size: int | None = None,
    riff_size: int | None = None,
    body: bytes | None = None,
) -> bytes:
    """Return a WAV whose header says what the arguments say, true or not."""
    body = (noise() * 2**15).astype("<i2").tobytes() if body is None else body
    frame_bytes = n_channels * bits // 8 if frame_bytes is None else frame_bytes
    rates = sample_rate, sample_rate * frame_bytes & 0xFFFFFFFF
    chunk = struct.pack("<HHIIHH", codec, n_channels, *rates, frame_bytes, bits)
    size = len(body) if size is None else size
    riff_size = 36 + len(body) if riff_size is None else riff_size
    head = b"RIFF" + struct.pack("<I", riff_size) + b"WAVEfmt " + struct.pack("<I", 16) + chunk
    return head + b"data" + struct.pack("<I", size) + body


def mp3(seconds: float = 3.0) -> bytes:
    """Return a good MP3 at 44.1 kHz."""
    return encoded("MP3", "MPEG_LAYER_III", noise(round(44_100 * seconds)), 44_100)


def mp3_with_hole() -> bytes:
    """Return an MP3 with a good header and zeros in its middle, at which libsndfile gives up."""
    whole = mp3()
    middle = len(whole) // 2
    return whole[:middle] + bytes(5000) + whole[middle + 5000 :]


def with_id3_picture(audio: bytes) -> bytes:
    """Return an MP3 with 16 kB of album art in front."""
    return b"ID3\x03\0\0\0\0\x7f\x7f" + bytes(0x3FFF) + audio


def flac(seconds: float = 2.0) -> bytes:
    """Return a good FLAC of several blocks."""
    return encoded("FLAC", "PCM_16", noise(round(RATE * seconds)))


def flac_of(n_samples: int) -> bytes:
    """Return a FLAC that claims to hold `n_samples`; 0 is "unknown"."""
    file = bytearray(flac())
    file[21] = file[21] & 0xF0 | n_samples >> 32
    file[22:26] = struct.pack(">I", n_samples & 0xFFFFFFFF)
    return bytes(file)


def flipped(file: bytes, n_bytes: int = 4) -> bytes:
    """Return the file with all bits of some bytes in its middle inverted."""
    middle = len(file) // 2
    damage = bytes(byte ^ 0xFF for byte in file[middle : middle + n_bytes])
    return file[:middle] + damage + file[middle + n_bytes :]


def mpeg4(brand: bytes = b"M4A ") -> bytes:
    """Return the beginning of an MP4 file."""
    return struct.pack(">I", 32) + b"ftyp" + brand + bytes(200)

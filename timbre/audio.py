"""From an audio file to a mono waveform at the wanted rate."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Waveform = npt.NDArray[np.float32]

BLOCK_SAMPLES = 1 << 20  # read in pieces: a lying header must not decide how much memory is taken
MAX_SAMPLES = 1 << 29  # of a waveform, 2 GiB: 6.7 hours at 22 050 Hz
LOUDEST = 1e9  # a louder sample is no sound, and its power would overflow float32
SYSTEM_ERROR = 2  # libsndfile's code for a file that it could not open or read
CANCELLED = 0.01  # a mix 40 dB below its channels has lost the signal


class AudioError(Exception):
    """A file that holds no usable audio; the message is the reason, without the file's name."""


class FileError(AudioError):
    """The file could not be read, or is another one by now: that says nothing about its audio."""


def load(path: Path, sample_rate: int, max_seconds: float | None = None) -> Waveform:
    """Decode the file's first `max_seconds` (None: all of it) and resample to `sample_rate` in Hz.

    Returns a float32 waveform `(n_samples,)`, full scale at 1. Its length is checked before memory
    is taken for it. Raises AudioError, and FileError where the file cannot be read.
    """
    with opened(path) as file:
        limit = None if max_seconds is None else round(max_seconds * file.samplerate)
        blocks = _bounded(_mono_blocks(file, limit), file.samplerate, sample_rate)
        pieces = list(_resampled(blocks, file.samplerate, sample_rate))
    waveform = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    check_samples(waveform, sample_rate)
    return waveform


def stream(path: Path, sample_rate: int) -> Iterator[Waveform]:
    """Decode a file of any length piece by piece, at `sample_rate` in Hz.

    The pieces `(n_samples,)`, of some millions at most, are together what `load` returns. Raises
    what it raises, at the piece in question.
    """
    with opened(path) as file:
        n_pieces = 0
        for piece in _resampled(_mono_blocks(file, None), file.samplerate, sample_rate):
            if piece.size:
                check_samples(piece, sample_rate)
                n_pieces += 1
                yield piece
    if not n_pieces:
        check_samples(np.zeros(0, np.float32), sample_rate)


def resample(waveform: Waveform, source_rate: int, sample_rate: int) -> Waveform:
    """Resample `(n_samples,)` from `source_rate` to `sample_rate` Hz with soxr's HQ recipe."""
    if source_rate == sample_rate:
        return waveform
    resampled: Waveform = soxr.resample(waveform, source_rate, sample_rate, quality="HQ")
    return resampled


def mix_to_mono(channels: Waveform) -> Waveform:
    """Average `(n_samples, n_channels)`; where the channels cancel each other, take the first one.

    Stereo recorded with one channel inverted would otherwise average to silence.
    """
    if channels.shape[1] == 1:
        return channels[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found later
        mono: Waveform = channels.mean(axis=1, dtype=np.float32)
        if _rms(mono) < CANCELLED * _rms(channels):
            return np.ascontiguousarray(channels[:, 0])
    return mono


def _mono_blocks(file: soundfile.SoundFile, limit: int | None) -> Iterator[Waveform]:
    size = max(1, BLOCK_SAMPLES // file.channels)
    missing = limit
    while missing is None or missing > 0:
        wanted = size if missing is None else min(size, missing)
        block = read_block(file, wanted)
        if len(block):
            yield mix_to_mono(block)
        if len(block) < wanted:
            return
        missing = None if missing is None else missing - len(block)


def _bounded(blocks: Iterator[Waveform], source_rate: int, sample_rate: int) -> Iterator[Waveform]:
    """Pass the blocks on, until the waveform that they make at `sample_rate` is too long."""
    most = MAX_SAMPLES * source_rate / sample_rate
    n_samples = 0
    for block in blocks:
        n_samples += len(block)
        if n_samples > most:
            raise AudioError(
                f"lasts more than {most / source_rate / 3600:.1f} hours at the {source_rate} Hz of "
                "its header, too long to be heard at once: cut it into pieces"
            )
        yield block


def _resampled(
    blocks: Iterator[Waveform], source_rate: int, sample_rate: int
) -> Iterator[Waveform]:
    first = next(blocks, np.zeros(0, np.float32))
    second = next(blocks, None)
    if second is None:
        if not len(first):
            raise AudioError("holds no samples")
        yield resample(first, source_rate, sample_rate)
        return
    # The same samples, but of the source only one block at a time lies in memory.
    resampler = soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in (first, second):
        yield resampler.resample_chunk(block)
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a file for decoding. Raises AudioError, and FileError where it cannot be read."""
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.LibsndfileError as error:
        kind = FileError if error.code == SYSTEM_ERROR else AudioError
        raise kind(f"cannot be decoded ({error.error_string.rstrip('.')})") from None


def check_samples(waveform: Waveform, sample_rate: int) -> None:
    """Raise AudioError for `(n_samples,)` that is no sound: nothing, NaN, infinite, huge."""
    if not waveform.size:
        raise AudioError(f"is shorter than one sample at {sample_rate} Hz")
    low, high = float(waveform.min()), float(waveform.max())  # NaN where there is one
    if not np.isfinite([low, high]).all():
        raise AudioError("holds NaN or infinite samples")
    if max(-low, high) > LOUDEST:
        raise AudioError(f"holds samples as large as {max(-low, high):.0e}, where full scale is 1")


def read_block(file: soundfile.SoundFile, n_samples: int) -> Waveform:
    """Decode the next samples, `(n_samples, n_channels)` or fewer. Raises AudioError."""
    try:
        if file.subtype != "PCM_16":
            block: Waveform = file.read(n_samples, dtype="float32", always_2d=True)
            return block
        # The same values as libsndfile's own conversion, which takes as long as all other decoding.
        integers = file.read(n_samples, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"cannot be decoded to its end ({error.error_string.rstrip('.')}): re-encode it, e.g. "
            "with ffmpeg, to keep what can be"
        ) from None
    scaled: Waveform = np.multiply(integers, np.float32(2.0**-15), dtype=np.float32)
    return scaled


def _rms(samples: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))

"""From an audio file to a mono waveform at the wanted rate."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Waveform = npt.NDArray[np.float32]

BLOCK_SAMPLES = 1 << 20  # read in pieces: a lying header must not decide how much memory is taken
CANCELLED = 0.01  # a mix 40 dB below its channels has lost the signal


class AudioError(Exception):
    """A file that holds no usable audio; the message is the reason, without the file's name."""


def load(path: Path, sample_rate: int, max_seconds: float | None = None) -> Waveform:
    """Decode the file's first `max_seconds` (None: all of it) and resample to `sample_rate` in Hz.

    Returns a float32 waveform `(n_samples,)`, full scale at 1. Raises AudioError.
    """
    try:
        with soundfile.SoundFile(path) as file:
            source_rate = file.samplerate
            limit = None if max_seconds is None else round(max_seconds * source_rate)
            waveform = _read_mono(file, limit)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"cannot be decoded ({error.error_string.rstrip('.')})") from None
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})") from None
    if not waveform.size:
        raise AudioError("holds no samples")
    if not np.isfinite(waveform).all():
        raise AudioError("holds NaN or infinite samples")
    return resample(waveform, source_rate, sample_rate)


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
    mono: Waveform = channels.mean(axis=1, dtype=np.float32)
    if _rms(mono) < CANCELLED * _rms(channels):
        return np.ascontiguousarray(channels[:, 0])
    return mono


def _read_mono(file: soundfile.SoundFile, limit: int | None) -> Waveform:
    blocks: list[Waveform] = []
    missing = limit
    while missing is None or missing > 0:
        wanted = BLOCK_SAMPLES if missing is None else min(BLOCK_SAMPLES, missing)
        block = _read_block(file, wanted)
        blocks.append(mix_to_mono(block) if len(block) else np.zeros(0, np.float32))
        if len(block) < wanted:
            break
        missing = None if missing is None else missing - len(block)
    return blocks[0] if len(blocks) == 1 else np.concatenate([np.zeros(0, np.float32), *blocks])


def _read_block(file: soundfile.SoundFile, n_samples: int) -> Waveform:
    if file.subtype != "PCM_16":
        block: Waveform = file.read(n_samples, dtype="float32", always_2d=True)
        return block
    # The same values as libsndfile's own conversion, which takes as long as all other decoding.
    integers = file.read(n_samples, dtype="int16", always_2d=True)
    scaled: Waveform = np.multiply(integers, np.float32(2.0**-15), dtype=np.float32)
    return scaled


def _rms(samples: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))

"""What a recording is like, whatever it holds: format, level, noise, bandwidth, clipping."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from timbre.audio import (
    BLOCK_SAMPLES,
    AudioError,
    Waveform,
    check_samples,
    mix_to_mono,
    opened,
    read_block,
)
from timbre.bandwidth import bandwidth, power_spectrum

Floats = npt.NDArray[np.floating[Any]]

FRAME_SECONDS = 0.02
QUIETEST = 1e-6  # -120 dBFS: what has no sound at all is told as this
ONSET = 1e-4  # of the loudest frame's power: sound begins with the first frame above, -40 dB
NOISE_PERCENTILE = 10  # of the frames' levels: pauses, if there are any
FEW_BITS = {"PCM_U8": 8, "PCM_S8": 8}  # all others have at least 16
MOST_KEPT = 1 << 24  # samples of a waveform: a header's rate must not decide how much memory


class SoundFacts(NamedTuple):
    """Of one file, all of it; levels in dBFS, where 0 is a full-scale square wave."""

    sample_rate: int  # Hz
    n_channels: int
    codec: str  # container and coding, as libsndfile names them: "WAV PCM_16"
    seconds: float  # that could be decoded
    level: float  # root mean square of the mono mix, without its DC offset
    peak: float  # of any channel
    loudest: float  # of the loudest frame
    noise: float  # of the quiet frames
    offset: float  # mean of the mono mix; full scale is 1
    clipped: float  # share of the samples that stand at full scale beside another such one
    onset: float  # s before the sound begins
    bandwidth: float  # Hz up to which there is sound, 0 for none
    ended: str  # why decoding ended early, "" if it did not


class Tally:
    """Adds up pieces of a recording; memory does not grow but by the levels of its frames."""

    def __init__(self, sample_rate: int, bits: int) -> None:
        """Take what the header says."""
        self.sample_rate = sample_rate
        self.bits = bits
        self.frame = max(1, round(FRAME_SECONDS * sample_rate))
        self.n_samples = self.n_values = self.n_clipped = 0
        self._sum = self._square = self._peak = 0.0
        self._powers: list[Floats] = []
        self._spectrum: Floats = np.zeros(1)

    def add(self, channels: Waveform, mono: Waveform) -> None:
        """Take a piece, `(n_samples, n_channels)`, and its mix; only the last one may be odd."""
        self.n_samples += len(mono)
        self.n_values += channels.size
        peak = max(float(channels.max()), -float(channels.min()))
        self._peak = max(self._peak, peak)
        full = 1 - 2.0 ** (1 - self.bits)
        if peak >= full:
            high = np.abs(channels) >= full
            beside = high[1:] & high[:-1]
            self.n_clipped += int(np.count_nonzero(beside))
        self._sum += float(mono.sum(dtype=np.float64))
        self._square += float(np.square(mono, dtype=np.float64).sum())
        self._powers.append(_frame_powers(mono, self.frame))
        self._spectrum = np.maximum(self._spectrum, power_spectrum(mono))

    def facts(self, n_channels: int, codec: str, ended: str) -> SoundFacts:
        """Return what was found. There must be a sample."""
        mean = self._sum / self.n_samples
        powers = np.concatenate(self._powers)
        loudest = float(powers.max())
        first = int(np.argmax(powers >= ONSET * loudest)) if loudest else 0
        return SoundFacts(
            sample_rate=self.sample_rate,
            n_channels=n_channels,
            codec=codec,
            seconds=self.n_samples / self.sample_rate,
            level=_dbfs(self._square / self.n_samples - mean**2),
            peak=_dbfs(self._peak**2),
            loudest=_dbfs(loudest),
            noise=_dbfs(float(np.percentile(powers, NOISE_PERCENTILE))),
            offset=mean,
            clipped=self.n_clipped / self.n_values,
            onset=first * self.frame / self.sample_rate,
            bandwidth=bandwidth(self._spectrum, self.sample_rate, self.bits),
            ended=ended,
        )


def measure(path: Path, needed: float, kept: float) -> tuple[SoundFacts, Waveform]:
    """Decode the file; return what it is like, and the mono mix of its first `kept` seconds.

    Raises AudioError where the first `needed` seconds cannot be decoded (later damage is told in
    the facts), and FileError where the file cannot be read.
    """
    with opened(path) as file:
        tally = Tally(file.samplerate, FEW_BITS.get(file.subtype, 16))
        keep = min(round(kept * file.samplerate), MOST_KEPT)
        beginning, ended = _listen(file, tally, round(needed * file.samplerate), keep)
        facts = tally.facts(file.channels, f"{file.format} {file.subtype}", ended)
    return facts, beginning


def _listen(
    file: soundfile.SoundFile, tally: Tally, needed: int, keep: int
) -> tuple[Waveform, str]:
    kept: list[Waveform] = []
    n_kept, ended = 0, ""
    try:
        for channels in _blocks(file, tally.frame, needed):
            check_samples(channels, file.samplerate)
            mono = mix_to_mono(channels)
            tally.add(channels, mono)
            if n_kept < keep:
                kept.append(mono[: keep - n_kept].copy())
                n_kept += len(kept[-1])
    except AudioError as error:
        if not tally.n_samples:
            raise
        ended = str(error)
    if not tally.n_samples:
        raise AudioError("holds no samples")
    return np.concatenate(kept), ended


def _blocks(file: soundfile.SoundFile, frame: int, needed: int) -> Iterator[Waveform]:
    """Yield pieces of whole frames, `(n_samples, n_channels)`; the last one may be shorter.

    What is needed comes before what follows is decoded, or before pieces would be too large.
    """
    whole = max(1, BLOCK_SAMPLES // file.channels // frame) * frame
    done = 0
    while True:
        missing = -(-(needed - done) // frame) * frame
        size = min(missing, whole) if missing > 0 else whole
        done += size
        block = read_block(file, size)
        if len(block):
            yield block
        if len(block) < size:
            return


def _frame_powers(mono: Waveform, frame: int) -> Floats:
    """Return each frame's power without its mean; of what is shorter than a frame, the whole's."""
    whole = mono[: len(mono) // frame * frame] if len(mono) >= frame else mono
    frames = whole.reshape(-1, min(frame, len(mono)))
    means = frames.mean(axis=1)
    powers = np.einsum("ij,ij->i", frames, frames) / frames.shape[1] - np.square(means)
    return np.asarray(powers.clip(min=0))


def _dbfs(power: float) -> float:
    return float(10 * np.log10(max(power, QUIETEST**2)))

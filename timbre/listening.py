"""What the network heard of a clip, as sound that every browser plays.

MP3: WAV is some times as large, and older Safari plays neither Opus nor Vorbis.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbre.audio import AudioError, Waveform, load, resample
from timbre.cards import LEFT_OUT, Budget, Sound
from timbre.codecs import encode
from timbre.extraction import check_bytes
from timbre.features import Features

# Hz that MP3 knows. There are lower ones, in MPEG 2.5, which no standard has and some players lack.
RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
LEVEL = 0.5  # libsndfile's, of a variable bit rate: 0 is the best, 1 the smallest
KIND = "audio/mpeg"


@dataclass(frozen=True)
class Recording:
    """A clip's file, and the SHA-256 that it had when it was listed."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Sounds:
    """The sounds of a page."""

    recordings: Mapping[str, Recording]  # by clip_id
    features: Features
    seconds: float  # the most of each
    budget: Budget

    def of(self, clip_id: str, window: int) -> Sound:
        """Return a player of a clip's window, which counts from 0, or why there is none."""
        try:
            made = self._encoded(clip_id, window)
        except AudioError as error:
            return Sound(None, str(error))
        url = self.budget.url(made, KIND)
        return Sound(url) if url else Sound(None, LEFT_OUT)

    def _encoded(self, clip_id: str, window: int) -> bytes:
        if clip_id not in self.recordings:
            raise AudioError("is not among the clips")
        recording = self.recordings[clip_id]
        check_bytes(recording.path, recording.sha256)
        rate = self.features.front_end.sample_rate
        waveform = load(recording.path, rate, self.features.heard_seconds())
        start = self.features.starts(len(waveform), rate)[window]
        length = min(self.features.samples(rate), round(self.seconds * rate))
        return mp3(waveform[start : start + length], rate)


def mp3(waveform: Waveform, sample_rate: int) -> bytes:
    """Encode `(n_samples,)` as MP3; what is louder than full scale is turned down, not clipped.

    Raises AudioError where less than a sample is left of it.
    """
    rate = min((rate for rate in RATES if rate >= sample_rate), default=RATES[-1])
    heard = resample(waveform, sample_rate, rate)
    if not len(heard):
        raise AudioError("is too short to be heard")
    peak = max(1.0, float(np.abs(heard).max()))
    return encode(heard / np.float32(peak), rate, "MP3", "MPEG_LAYER_III", LEVEL, "VARIABLE")

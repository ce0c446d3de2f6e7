"""How a waveform becomes what a network was trained on, as model files and shards record it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timbre.audio import Waveform
from timbre.log_mel import LogMel
from timbre.problems import InputError
from timbre.windows import Windowing, cut

WINDOWS_AT_A_TIME = 32  # a long file's spectrograms never lie in memory all at once

WINDOWS = ("first", "all")
# What a file may ask for, as in `extract` of params.yaml: a number in a file from elsewhere must
# not decide how much memory is taken.
WHOLE = {
    "sample_rate": (1000, 384_000),
    "n_fft": (32, 65_536),
    "hop_length": (1, 65_536),
    "n_mels": (4, 1024),
}
REAL = {
    "window_seconds": (0.0, 600.0),
    "window_hop_seconds": (0.0, 600.0),
    "fmin": (0.0, 192_000.0),
    "fmax": (0.0, 192_000.0),
    "top_db": (0.0, 200.0),
}
LARGEST_WINDOW = 1 << 27  # samples, and cells of its spectrogram: half a GB in float32


@dataclass(frozen=True)
class Features(Windowing):
    """What is kept of a clip, and the transform of each window."""

    front_end: LogMel

    def shape(self) -> tuple[int, int]:
        """Return the shape of a window's spectrogram, (n_mels, n_frames)."""
        return self.front_end.n_mels, n_frames(
            self.samples(self.front_end.sample_rate), self.front_end.hop_length
        )

    def log_mels(self, waveform: Waveform) -> Iterator[npt.NDArray[np.float16]]:
        """Yield the windows of `(n_samples,)` in batches `(n, 1, n_mels, n_frames)`.

        In dB, rounded to float16 as in the shards: the network is asked what it was trained on.
        """
        rate = self.front_end.sample_rate
        starts = self.starts(len(waveform), rate)
        for begin in range(0, len(starts), WINDOWS_AT_A_TIME):
            some = starts[begin : begin + WINDOWS_AT_A_TIME]
            yield self.spectrograms(list(cut(waveform, some, self.samples(rate))))

    def spectrograms(self, windows: Sequence[Waveform]) -> npt.NDArray[np.float16]:
        """Return the log-mels of windows, `(n, 1, n_mels, n_frames)`."""
        return np.stack([self.front_end(piece).astype(np.float16) for piece in windows])[:, None]


def n_frames(n_samples: int, hop_length: int) -> int:
    """Return the number of frames of a window of `n_samples`."""
    return 1 + n_samples // hop_length


def read_features(said: Mapping[str, str | int | float]) -> Features:
    """Take the features out of a model card or a shard's attributes; keys and units of `extract`.

    Raises InputError with all that is missing or impossible.
    """
    keys = ("windows", *WHOLE, *REAL)
    problems = [
        f"its features lack {key}" if key not in said else f"its {key} is {said[key]!r}"
        for key in keys
        if key not in said or not _possible(key, said[key])
    ] or _contradictions(said)
    if problems:
        raise InputError(problems)
    front_end = LogMel(
        sample_rate=int(said["sample_rate"]),
        n_fft=int(said["n_fft"]),
        hop_length=int(said["hop_length"]),
        n_mels=int(said["n_mels"]),
        fmin=float(said["fmin"]),
        fmax=float(said["fmax"]),
        top_db=float(said["top_db"]),
    )
    return Features(
        window_seconds=float(said["window_seconds"]),
        hop_seconds=float(said["window_hop_seconds"]),
        keep_all=said["windows"] == "all",
        front_end=front_end,
    )


def _possible(key: str, value: object) -> bool:
    if key == "windows":
        return value in WINDOWS
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if key in WHOLE:
        least, most = WHOLE[key]
        return isinstance(value, int) and least <= value <= most
    least_real, most_real = REAL[key]
    return math.isfinite(value) and (
        least_real < value <= most_real or (key == "fmin" and value == 0)
    )


def _contradictions(said: Mapping[str, str | int | float]) -> list[str]:
    """Return what is wrong with numbers each of which is possible."""
    rate, hop_length = int(said["sample_rate"]), int(said["hop_length"])
    fmin, fmax = float(said["fmin"]), float(said["fmax"])
    n_samples = round(float(said["window_seconds"]) * rate)
    n_cells = int(said["n_mels"]) * n_frames(n_samples, hop_length)
    problems = []
    if not fmin < fmax <= rate / 2:
        problems.append(f"its bands from {fmin:g} to {fmax:g} Hz do not fit a rate of {rate} Hz")
    if round(float(said["window_hop_seconds"]) * rate) < 1 or n_samples < hop_length:
        problems.append("its windows are shorter than its hops")
    if max(n_samples, n_cells) > LARGEST_WINDOW:
        problems.append(f"its windows have {n_samples} samples, {n_cells} cells: too many")
    return problems

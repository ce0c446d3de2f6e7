"""A small corpus with nothing to mend, and ways to spoil it."""

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float64]

RATE = 8000
SECONDS = 3.0
N_GROUPS = 6
SPLITS = ("train", "train", "train", "train", "val", "test")


def sound(seed: int, seconds: float = SECONDS, rate: int = RATE) -> Samples:
    """Return noise whose bands come and go, each for itself: as rich as speech, never the same."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * rate)
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    bands = np.linspace(0, len(spectrum), 25).astype(int)
    mixed = 0.1 * np.fft.irfft(spectrum, n_samples)
    for low, high in pairwise(bands):
        own = np.zeros_like(spectrum)
        own[low:high] = spectrum[low:high]
        times = np.linspace(0, 1, round(seconds * 8) + 2)
        loudness = np.interp(np.linspace(0, 1, n_samples), times, rng.exponential(size=len(times)))
        mixed += np.fft.irfft(own, n_samples) * loudness
    return np.asarray(0.5 * mixed / np.abs(mixed).max())


class Corpus:
    """A folder with a table; `write` makes it what the rows say."""

    def __init__(self, root: Path, split: bool = False) -> None:
        """Make two classes, both in each of six groups, and a Split of these if wanted."""
        self.root = root
        self.header = ["FilePath", "Class", "Group", *(["Split"] if split else [])]
        self.rows: list[list[str]] = []
        for number, label in enumerate(("cat", "dog")):
            for group in range(N_GROUPS):
                seed = 10 * number + group
                self.put(f"{label}/{group}.wav", label, f"g{group}", SPLITS[group], sound(seed))
        self.write()

    def put(
        self,
        name: str,
        label: str,
        group: str,
        split: str = "train",
        samples: Samples | None = None,
        rate: int = RATE,
    ) -> None:
        """Add a row, and its file unless `samples` is None."""
        self.rows.append([name, label, group, split][: len(self.header)])
        if samples is not None:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, rate)

    def write(self) -> None:
        """Write the table."""
        with (self.root / "filespaths.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.header, *self.rows])


Plant = Callable[[Corpus], None]

"""What a loaded pickle would do, and what hostile files of all kinds share."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], object]  # writes a file
Cases = dict[str, tuple[Make, str]]  # and what the message about it must say, by the case's name

SHAPE = (16, 21)  # of a window under FEATURES
FEATURES: dict[str, str | int | float] = {
    "sample_rate": 8000,
    "window_seconds": 0.25,
    "windows": "first",
    "window_hop_seconds": 0.125,
    "n_fft": 256,
    "hop_length": 100,
    "n_mels": 16,
    "fmin": 0.0,
    "fmax": 4000.0,
    "top_db": 80.0,
}


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.marker,)


def write_pickle(path: Path, marker: Path) -> None:
    """Write a pickle that makes the folder `marker` when it is loaded."""
    path.write_bytes(pickle.dumps(Harm(marker)))

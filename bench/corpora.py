"""Corpora to measure on, made from the shared recordings: as many clips as wanted, all different.

The same arguments give the same bytes. Other clips are the same recordings at another loudness, so
that no cache by content can help, and at another speed where they must not be found to be copies.
"""

import csv
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from bench.machine import n_cores

REPOSITORY = Path(__file__).parents[1]
SPEED = 1.06  # from one copy to the next: fingerprints take them for other sounds
QUIETEST = 0.25  # factor of the quietest copy: its sound is still well above 16 bits' noise
# The digits are short, and recorded at 8 kHz.
DIGITS = {
    "sample_rate": 8000,
    "window_seconds": 1.0,
    "n_fft": 512,
    "hop_length": 64,
    "n_mels": 64,
}
CLIPS_A_GROUP, LEAST_GROUPS = 40, 8
SUBTYPES = {".wav": "PCM_16", ".ogg": "VORBIS"}

Samples = npt.NDArray[np.float32]


class NoRecordingsError(Exception):
    """The shared recordings are not there."""


def recordings() -> Path:
    """Return the folder of the shared recordings. Raises NoRecordingsError."""
    folder = Path(os.environ.get("TIMBRE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "reciters").is_dir() or not (folder / "fsdd").is_dir():
        raise NoRecordingsError(
            f"no recordings to measure on in {folder}: set TIMBRE_DATA to the folder that holds "
            "reciters/ and fsdd/"
        )
    return folder


def reciter_recordings() -> list[Path]:
    """Return the paths of the reciters' recordings. Raises NoRecordingsError."""
    return sorted((recordings() / "reciters" / "Dataset").glob("*/*.ogg"))


def reciter_wavs(
    folder: Path, n_clips: int, sample_rate: int, *, no_copies: bool = False
) -> list[Path]:
    """Make WAV clips of 6 s, or about that without copies, 16 bits mono; return their paths."""
    return make_corpus(folder, reciter_recordings(), n_clips, sample_rate, no_copies=no_copies)


def reciter_oggs(folder: Path, n_clips: int) -> list[Path]:
    """Make Ogg Vorbis clips of 6 s at 16 kHz, as the recordings are; return their paths."""
    return make_corpus(folder, reciter_recordings(), n_clips, 16_000, suffix=".ogg")


def digit_wavs(folder: Path, n_clips: int) -> list[Path]:
    """Make WAV clips of 0.14-2.3 s, 8 kHz, 16 bits mono, 7 kB each; return their paths."""
    sources = sorted((recordings() / "fsdd" / "recordings").glob("*.wav"))
    return make_corpus(folder, sources, n_clips, 8000)


def make_corpus(
    folder: Path,
    sources: Sequence[Path],
    n_clips: int,
    sample_rate: int,
    *,
    no_copies: bool = False,
    suffix: str = ".wav",
) -> list[Path]:
    """Write `n_clips` clips below `folder/clips`, and filespaths.csv; return the clips' paths.

    Clip `i` is source `i % n_sources`; later rounds are quieter, without copies also quicker and
    slower in turn.
    """
    # Of more sources than clips every so many: all classes are there.
    sources = sources[:: max(1, len(sources) // n_clips)][:n_clips]
    n_sources = len(sources)
    n_groups = max(LEAST_GROUPS, n_clips // CLIPS_A_GROUP)
    names = [f"clips/{i % n_sources % 256:02x}/{i:06d}{suffix}" for i in range(n_clips)]
    labels = [label_of(sources[i % n_sources]) for i in range(n_clips)]
    for parent in {(folder / name).parent for name in names}:
        parent.mkdir(parents=True, exist_ok=True)
    work = partial(_write_copies, folder, names, n_sources, sample_rate, no_copies)
    with ProcessPoolExecutor(n_cores()) as pool:
        list(pool.map(work, range(n_sources), sources, chunksize=16))
    with (folder / "filespaths.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["FilePath", "Class", "Group"])
        for number, (name, label) in enumerate(zip(names, labels, strict=True)):
            table.writerow([name, label, f"group-{number % n_groups}"])
    if hasattr(os, "sync"):
        os.sync()  # or the disk is still writing clips while others are timed
    return [folder / name for name in names]


def change_clip(path: Path, loudness: float) -> None:
    """Write a clip anew at another loudness."""
    samples, sample_rate = soundfile.read(path, dtype="float32")
    _write(path, samples * np.float32(loudness), sample_rate)


def _write_copies(
    folder: Path,
    names: list[str],
    n_sources: int,
    sample_rate: int,
    no_copies: bool,
    number: int,
    source: Path,
) -> None:
    samples = _read(source, sample_rate)
    own = names[number::n_sources]
    for place, (name, loudness) in enumerate(
        zip(own, np.linspace(1, QUIETEST, len(own)), strict=True)
    ):
        turned = _at_speed(samples, place) if no_copies else samples
        _write(folder / name, turned * np.float32(loudness), sample_rate)


def _write(path: Path, samples: Samples, sample_rate: int) -> None:
    soundfile.write(path, samples, sample_rate, subtype=SUBTYPES[path.suffix])


def _at_speed(samples: Samples, place: int) -> Samples:
    """Return the copy of this number: as it is, quicker, slower, quicker still and so on."""
    steps = (place + 1) // 2 * (1 if place % 2 else -1)
    turned: Samples = soxr.resample(samples, SPEED**steps, 1.0)
    return turned


def _read(source: Path, sample_rate: int) -> Samples:
    samples, source_rate = soundfile.read(source, dtype="float32")
    resampled: Samples = soxr.resample(samples, source_rate, sample_rate)
    return resampled


def label_of(source: Path) -> str:
    """Return the reciter, or of a digit's recording (such as 3_theo_11.wav) the digit."""
    return source.parent.name if source.suffix == ".ogg" else source.name.split("_")[0]

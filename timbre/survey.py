"""Every file of a corpus, hashed, decoded, measured and fingerprinted in worker processes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from timbre.audio import AudioError, FileError, Waveform, resample
from timbre.audio_header import HeaderError, UnreadableError, read_header
from timbre.log_mel import LogMel
from timbre.sound_facts import SoundFacts, measure
from timbre.subfingerprints import Fingerprints, Listening, listening
from timbre.torn import missing_end
from timbre.window_sizes import LONGEST_SECONDS
from timbre.windows import cut
from timbre.worker_process import note
from timbre.workers import map_unordered

BATCH = 16  # files a task
WORKER_MODULES = ("timbre.survey",)  # imported once, before the workers fork
COMPARED_SECONDS = 30.0  # of a clip, in windows one after the other
WINDOW_SECONDS = 5.0  # that a fingerprint covers
SHORTEST = 1.1  # s; what is shorter is never compared (LEAST_FRAMES in copies.py)
# The spectrograms that the pipeline compares have these steps and this resolution; fingerprints
# end at 2 kHz, so a rate of 8 kHz is enough.
EAR = LogMel(
    sample_rate=8000, n_fft=750, hop_length=157, n_mels=90, fmin=0.0, fmax=4000.0, top_db=80.0
)
WINDOW = round(WINDOW_SECONDS * EAR.sample_rate)
N_FRAMES = 1 + WINDOW // EAR.hop_length


class Heard(NamedTuple):
    """A file with usable audio."""

    sha256: str
    facts: SoundFacts
    missing: str  # how the file shows that its end is missing, "" if it does not
    fingerprints: Fingerprints | None  # of its windows; None for what is too short


class Unheard(NamedTuple):
    """A file without usable audio."""

    reason: str  # as the stages tell it
    is_there: bool  # False: the file could not be read, which says nothing about its audio


@dataclass(frozen=True)
class Batch:
    """What one worker does at a time."""

    first: int  # place of the first file among all
    paths: Sequence[str]
    fatal: Mapping[str, str] = field(default_factory=dict)  # reasons, by the paths of bad files


def survey(paths: Sequence[str], n_processes: int) -> Iterator[tuple[int, Heard | Unheard]]:
    """Yield what was found of each file with its place in `paths`, in any order."""
    starts = range(0, len(paths), BATCH)
    tasks = [Batch(start, paths[start : start + BATCH]) for start in starts]
    with tqdm(total=len(paths), unit=" files", desc="listening", disable=None) as bar:
        for first, found in map_unordered(
            hear_batch, tasks, n_processes, WORKER_MODULES, without_file
        ):
            bar.update(len(found))
            yield from enumerate(found, first)


def hear_batch(batch: Batch) -> tuple[int, list[Heard | Unheard]]:
    """Return the place of the first file, and what was found of each."""
    return batch.first, [_hear(path, batch.fatal) for path in batch.paths]


def without_file(batch: Batch, path: str, reason: str) -> Batch:
    """Return the batch without a file whose decoding ends the process, in any way."""
    return replace(batch, fatal={**batch.fatal, path: reason})


@cache
def ear() -> Listening:
    """Return how fingerprints are made of the spectrograms here."""
    found = listening(vars(EAR), EAR.n_mels, N_FRAMES)
    assert found is not None  # EAR's bands and frames are enough for one
    return found


def fingerprints(waveform: Waveform, sample_rate: int) -> Fingerprints | None:
    """Return the fingerprints of a clip's windows, one after the other, None if it is too short."""
    if len(waveform) < SHORTEST * sample_rate:
        return None
    heard = resample(waveform, sample_rate, EAR.sample_rate)
    least = round(SHORTEST * EAR.sample_rate)
    windows = cut(heard, list(range(0, max(1, len(heard) - least), WINDOW)), WINDOW)
    return ear().fingerprints(np.stack([EAR(window) for window in windows]))


def _hear(path: str, fatal: Mapping[str, str]) -> Heard | Unheard:
    if path in fatal:
        return Unheard(fatal[path], is_there=True)
    note(path)
    try:
        header = read_header(path)
        with Path(path).open("rb", buffering=0) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts, beginning = measure(Path(path), LONGEST_SECONDS, COMPARED_SECONDS)
        missing = missing_end(
            Path(path), header.n_samples / header.sample_rate, facts.seconds, facts.ended
        )
    except (HeaderError, AudioError) as error:
        return Unheard(str(error), not isinstance(error, UnreadableError | FileError))
    except OSError as error:
        return Unheard(f"cannot be read: {error.strerror}", is_there=False)
    except MemoryError:
        return Unheard("takes more memory than there is", is_there=False)
    return Heard(sha256, facts, missing, fingerprints(beginning, facts.sample_rate))

"""The headers of many files, read in worker processes: one that kills its decoder is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from timbre.audio_header import AudioHeader, HeaderError, read_header
from timbre.worker_process import note
from timbre.workers import map_unordered, n_cores

BATCH = 256  # files a task
WORKER_MODULES = ("timbre.headers",)  # imported once, before the workers fork

Answer = AudioHeader | HeaderError


@dataclass(frozen=True)
class Batch:
    """What one worker does at a time."""

    first: int  # place of the first file among all
    paths: Sequence[str]
    fatal: Mapping[str, str] = field(default_factory=dict)  # reasons, by the paths of bad files


def read_headers(paths: Sequence[str]) -> list[Answer]:
    """Return each file's header, or why it has none."""
    starts = range(0, len(paths), BATCH)
    tasks = [Batch(start, paths[start : start + BATCH]) for start in starts]
    answers: list[Answer] = [HeaderError("was not read")] * len(paths)
    with tqdm(total=len(paths), unit=" files", desc="reading headers", disable=None) as bar:
        for first, found in map_unordered(
            read_batch, tasks, n_cores(), WORKER_MODULES, without_file
        ):
            answers[first : first + len(found)] = found
            bar.update(len(found))
    return answers


def read_batch(batch: Batch) -> tuple[int, list[Answer]]:
    """Return the place of the first file, and each one's header or why it has none."""
    return batch.first, [_read(path, batch.fatal) for path in batch.paths]


def without_file(batch: Batch, path: str, reason: str) -> Batch:
    """Return the batch without a file whose header ends the process, in any way."""
    return replace(batch, fatal={**batch.fatal, path: reason})


def _read(path: str, fatal: Mapping[str, str]) -> Answer:
    if path in fatal:
        return HeaderError(fatal[path])
    note(path)
    try:
        return read_header(path)
    except HeaderError as error:
        return error

"""One shard's spectrograms: copied where nothing changed, computed where something did."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from timbre.audio import AudioError, FileError, Waveform, load
from timbre.problems import InputError
from timbre.quarantine import Unusable
from timbre.remote_audio import Place, UnreachableError, at_hand, place_of
from timbre.shards import (
    Attributes,
    Half,
    OpenShards,
    ShardIndex,
    StoredClip,
    read_index,
    write_shard,
)
from timbre.sources import Source
from timbre.windows import Windowing, cut
from timbre.worker_process import note

FrontEnd = Callable[[Waveform], np.ndarray[tuple[int, int], np.dtype[np.float32]]]


@dataclass(frozen=True)
class Stored:
    """Where the windows of some audio lie in an older shard with the same settings."""

    shard: Path
    rows: range


@dataclass(frozen=True)
class ShardTask:
    """What one worker does at a time: the whole content of one shard."""

    target: Path
    shape: tuple[int, int]  # (n_mels, n_frames)
    sources: list[Source]  # in the order of clip_id
    stored: dict[str, Stored]  # by SHA-256 of the audio
    fatal: Mapping[str, str] = field(default_factory=dict)  # reasons, by the ids of bad clips


@dataclass(frozen=True)
class Piece:
    """Some clips of any shards, to be computed elsewhere."""

    sources: list[Source]
    fatal: Mapping[str, str] = field(default_factory=dict)  # as in a ShardTask


class Unread(NamedTuple):
    """A file that could not be read as it was listed: that says nothing about its audio."""

    place: Place
    reason: str
    is_reached: bool  # False: another machine, or user, might read it

    def __str__(self) -> str:
        """Return place and reason."""
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class ShardResult:
    """What became of a task; with files unread, no shard was written."""

    n_computed: int
    n_copied: int
    unusable: list[Unusable]  # clips that are not in the shard
    unread: list[Unread]


class _UnwrittenError(Exception):
    """A shard lacks clips that could not be read: it must not appear."""


Outcome = Half | Unusable | Unread  # of a clip; windows `(n_windows, n_mels, n_frames)`
AnyTask = TypeVar("AnyTask", ShardTask, Piece)


def without_clip(task: AnyTask, clip_id: str, reason: str) -> AnyTask:
    """Return the task without a clip whose decoding ends the process, in any way."""
    return replace(task, fatal={**task.fatal, clip_id: reason})


def read_indexes(shards: list[Path], attributes: Attributes) -> dict[Path, ShardIndex]:
    """Return what those shards hold that were made with `attributes`.

    A damaged shard is passed over: its clips are computed again.
    """
    found = {}
    for path in shards:
        try:
            index = read_index(path)
        except InputError:
            continue
        if index.attributes == attributes:
            found[path] = index
    return found


def stored_rows(indexes: dict[Path, ShardIndex]) -> dict[str, Stored]:
    """Map each audio's SHA-256 to its windows in the shards."""
    return {
        sha256: Stored(path, rows)
        for path, index in indexes.items()
        for sha256, rows in zip(index.audio_sha256, index.rows(), strict=True)
    }


def fill_shard(
    task: ShardTask,
    root: Place,
    attributes: Attributes,
    front_end: FrontEnd,
    sample_rate: int,
    kept: Windowing,
) -> ShardResult:
    """Write the shard of one task, of files below `root`: a folder, or the URL of one.

    Clips whose audio cannot be used are left out, and all named in the result.
    """
    compute = partial(
        find_windows,
        fatal=task.fatal,
        root=root,
        front_end=front_end,
        sample_rate=sample_rate,
        kept=kept,
    )
    return write_task(task, attributes, compute)


def fill_piece(
    piece: Piece, root: Place, front_end: FrontEnd, sample_rate: int, kept: Windowing
) -> list[Outcome]:
    """Compute the windows of each clip of a piece, in its order."""
    fatal = piece.fatal
    return [
        find_windows(source, fatal, root, front_end, sample_rate, kept) for source in piece.sources
    ]


def write_task(
    task: ShardTask, attributes: Attributes, compute: Callable[[Source], Outcome]
) -> ShardResult:
    """Write the shard of one task; `compute` is asked, in order, for what cannot be copied."""
    unread: list[Unread] = []
    unusable: list[Unusable] = []
    n_copied = 0

    def clips(old_shards: OpenShards) -> Iterator[StoredClip]:
        nonlocal n_copied
        for source in task.sources:
            log_mel = _copied(task.stored.get(source.sha256), old_shards)
            n_copied += log_mel is not None
            found = compute(source) if log_mel is None else log_mel
            if isinstance(found, Unusable):
                unusable.append(found)
            elif isinstance(found, Unread):
                unread.append(found)
            else:
                yield StoredClip(source.clip_id, source.sha256, found)
        if unread:
            raise _UnwrittenError

    with OpenShards() as old_shards, suppress(_UnwrittenError):
        write_shard(task.target, attributes, task.shape, clips(old_shards))
    n_computed = len(task.sources) - n_copied - len(unusable) - len(unread)
    return ShardResult(n_computed, n_copied, unusable, unread)


def find_windows(
    source: Source,
    fatal: Mapping[str, str],
    root: Place,
    front_end: FrontEnd,
    sample_rate: int,
    kept: Windowing,
) -> Outcome:
    """Compute a clip's windows, or say why it has none; those in `fatal` are not touched."""
    if source.clip_id in fatal:
        return Unusable(source.clip_id, source.file, fatal[source.clip_id])
    place = place_of(root, source.file)
    try:
        with at_hand(place) as path:
            note(source.clip_id)
            return compute_windows(path, source.sha256, front_end, sample_rate, kept)
    except FileError as error:
        return Unread(place, str(error), not isinstance(error, UnreachableError))
    except MemoryError:
        return Unread(place, "takes more memory than there is", is_reached=True)
    except AudioError as error:
        return Unusable(source.clip_id, source.file, str(error))


def _copied(old: Stored | None, shards: OpenShards) -> Half | None:
    if old is None:
        return None
    try:
        return shards.read(old.shard, slice(old.rows.start, old.rows.stop))
    except InputError:
        return None  # a flipped byte in the old shard costs time, not truth


def compute_windows(
    path: Path, sha256: str, front_end: FrontEnd, sample_rate: int, kept: Windowing
) -> Half:
    """Compute a clip's log-mels `(n_windows, n_mels, n_frames)`, float16.

    Raises AudioError, and FileError if the file's bytes are not those of `sha256`.
    """
    check_bytes(path, sha256)
    return log_mels(load(path, sample_rate, kept.heard_seconds()), front_end, sample_rate, kept)


def check_bytes(path: Path, sha256: str) -> None:
    """Raise FileError if the file cannot be read or its bytes are not those of `sha256`."""
    try:
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise UnreachableError(f"cannot be read ({error.strerror})") from None
    if found != sha256:
        raise FileError("has changed since encode_labels ran: run `dvc repro` again")


def log_mels(waveform: Waveform, front_end: FrontEnd, sample_rate: int, kept: Windowing) -> Half:
    """Return the log-mels `(n_windows, n_mels, n_frames)` of `(n_samples,)`, float16."""
    starts = kept.starts(len(waveform), sample_rate)
    pieces = cut(waveform, starts, kept.samples(sample_rate))
    return np.stack([rounded(front_end(piece)) for piece in pieces])


def rounded(log_mel: npt.NDArray[np.float32]) -> Half:
    """Return the nearest float16: numpy's values to the bit, in a tenth of its time."""
    same = cv2.add(log_mel, 0.0, dtype=cv2.CV_16F)  # type: ignore[call-overload]  # knows arrays only
    return np.asarray(same, np.float16)

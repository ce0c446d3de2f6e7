"""One shard's spectrograms: copied where nothing changed, computed where something did."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbre.audio import AudioError, Waveform, load
from timbre.problems import InputError
from timbre.shards import Attributes, Half, ShardIndex, read_index, read_log_mel, write_shard
from timbre.windows import cut, window_starts

FrontEnd = Callable[[Waveform], np.ndarray[tuple[int, int], np.dtype[np.float32]]]


@dataclass(frozen=True)
class Windowing:
    """Which pieces of a clip are kept; seconds."""

    window_seconds: float
    hop_seconds: float
    keep_all: bool  # False: the first window alone

    def heard_seconds(self) -> float | None:
        """Return how much of a clip must be decoded, None for all of it."""
        return None if self.keep_all else self.window_seconds


@dataclass(frozen=True)
class Source:
    """A clip to extract: its id, its file, and the SHA-256 that the file had when it was listed."""

    clip_id: str
    path: Path
    sha256: str


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


@dataclass(frozen=True)
class ShardResult:
    """What became of a task; with problems, no shard was written."""

    n_computed: int
    n_copied: int
    problems: list[str]


def stored_rows(shards: list[Path], attributes: Attributes) -> dict[str, Stored]:
    """Map each audio's SHA-256 to its windows in those shards that were made with `attributes`.

    A damaged shard is passed over: its clips are computed again.
    """
    stored = {}
    for path in shards:
        try:
            index = read_index(path)
        except InputError:
            continue
        if index.attributes == attributes:
            for sha256, rows in zip(index.audio_sha256, index.rows(), strict=True):
                stored[sha256] = Stored(path, rows)
    return stored


def is_finished(task: ShardTask, attributes: Attributes) -> bool:
    """Tell whether the task's shard is already there, from a run that was cut short."""
    try:
        index = read_index(task.target)
    except InputError:  # not there, or damaged
        return False
    return (
        index.attributes == attributes
        and index.clip_ids == [source.clip_id for source in task.sources]
        and index.audio_sha256 == [source.sha256 for source in task.sources]
    )


def fill_shard(
    task: ShardTask, attributes: Attributes, front_end: FrontEnd, sample_rate: int, kept: Windowing
) -> ShardResult:
    """Write the shard of one task. Unusable clips are all named in the result; none is skipped."""
    pieces: list[Half] = []
    problems: list[str] = []
    n_copied = 0
    for source in task.sources:
        piece = _copied(task.stored.get(source.sha256))
        n_copied += piece is not None
        try:
            if piece is None:
                piece = compute_windows(source, front_end, sample_rate, kept)
            pieces.append(piece)
        except AudioError as error:
            problems.append(f"{source.path}: {error}")
    if not problems:
        index = ShardIndex(
            attributes=attributes,
            clip_ids=[source.clip_id for source in task.sources],
            audio_sha256=[source.sha256 for source in task.sources],
            n_windows=[len(piece) for piece in pieces],
            shape=task.shape,
        )
        write_shard(task.target, index, np.concatenate([*pieces, np.zeros((0, *task.shape), "f2")]))
    return ShardResult(len(task.sources) - n_copied - len(problems), n_copied, problems)


def _copied(old: Stored | None) -> Half | None:
    if old is None:
        return None
    try:
        return read_log_mel(old.shard, slice(old.rows.start, old.rows.stop))
    except InputError:
        return None  # a flipped byte in the old shard costs time, not truth


def compute_windows(source: Source, front_end: FrontEnd, sample_rate: int, kept: Windowing) -> Half:
    """Compute a clip's log-mels `(n_windows, n_mels, n_frames)`, float16. Raises AudioError."""
    try:
        with source.path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})") from None
    if found != source.sha256:
        raise AudioError("has changed since encode_labels ran: run `dvc repro` again")
    waveform = load(source.path, sample_rate, kept.heard_seconds())
    window = round(kept.window_seconds * sample_rate)
    hop = round(kept.hop_seconds * sample_rate)
    starts = window_starts(len(waveform), window, hop) if kept.keep_all else [0]
    return np.stack([front_end(piece) for piece in cut(waveform, starts, window)]).astype(
        np.float16
    )

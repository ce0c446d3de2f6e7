"""Spectrogram shards: HDF5 files of log-mels that describe themselves.

A shard holds the clips whose id hashes to its number, in the order of clip_id:

    log_mel       float16 (n_windows, n_mels, n_frames), one chunk a window
    clips         a table (n_clips,), in the order of the windows:
      clip_id       UTF-8
      audio_sha256  of the audio file's bytes
      n_windows     int32, the windows of a clip stand together
    attributes    `format`, and as JSON `made_by`: settings, versions, the code's hash

Every dataset carries HDF5's Fletcher-32 checksum. The same content gives the same bytes.
"""

import hashlib
import json
import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import h5py
import numpy as np
import numpy.typing as npt

from timbre.atomic import replacing
from timbre.problems import InputError
from timbre.shard_layout import COLUMNS, attribute_of, clips_of, log_mel_of
from timbre.steady_file import SteadyFile

FORMAT = 3
MAX_OPEN = 64  # shards at a time: the system allows a process so many files
WRITE_WINDOWS = 64  # written at a time: a shard's size never decides how much memory is taken
Attributes = dict[str, str | int | float]
Half = npt.NDArray[np.float16]


@dataclass(frozen=True)
class ShardIndex:
    """What a shard holds, without the spectrograms; lists are parallel, one entry a clip."""

    attributes: Attributes
    clip_ids: list[str]
    audio_sha256: list[str]
    n_windows: list[int]
    shape: tuple[int, int]  # (n_mels, n_frames)

    def content(self) -> tuple[tuple[str, str], ...]:
        """Return id and audio of each clip: with equal attributes it decides the shard's bytes."""
        return tuple(zip(self.clip_ids, self.audio_sha256, strict=True))

    def rows(self) -> list[range]:
        """Return each clip's range of windows in `log_mel`."""
        ends = np.cumsum(self.n_windows, dtype=int).tolist()
        return [range(end - n, end) for end, n in zip(ends, self.n_windows, strict=True)]


def shard_number(clip_id: str, n_shards: int) -> int:
    """Return the shard of a clip: it depends on nothing but its id."""
    return int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big") % n_shards


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:04d}.h5"


class StoredClip(NamedTuple):
    """A clip on its way into a shard."""

    clip_id: str
    audio_sha256: str
    log_mel: Half  # (n_windows, n_mels, n_frames)


def write_shard(
    path: Path, attributes: Attributes, shape: tuple[int, int], clips: Iterable[StoredClip]
) -> None:
    """Write a shard of windows of `shape`, (n_mels, n_frames), under `path`: whole, or not at all.

    `clips` are written as they come, a few windows at a time.
    """
    index: list[tuple[bytes, bytes, int]] = []
    with replacing(path) as temporary, _new_file(temporary) as (file, written):
        file.attrs["format"] = FORMAT
        file.attrs["made_by"] = np.bytes_(json.dumps(attributes, sort_keys=True))
        log_mel = file.create_dataset(
            "log_mel",
            shape=(0, *shape),
            maxshape=(None, *shape),
            dtype=np.float16,
            chunks=(1, *shape),
            fletcher32=True,
            track_times=False,
        )
        waiting: list[Half] = []
        for clip in clips:
            sha256 = clip.audio_sha256.encode()
            index.append((clip.clip_id.encode(), sha256, len(clip.log_mel)))
            waiting.append(clip.log_mel)
            if sum(map(len, waiting)) >= WRITE_WINDOWS:
                _extend(log_mel, waiting)
                written.check()
        _extend(log_mel, waiting)
        _write_clips(file, index)


def read_index(path: Path) -> ShardIndex:
    """Read what a shard holds. Raises InputError for a damaged or foreign file."""
    with told_as_damage(path), h5py.File(path, "r") as file:
        if "format" not in file.attrs or attribute_of(file, "format") != FORMAT:
            raise InputError(f"{path}: not a shard of format {FORMAT}: delete it and run dvc repro")
        clips, log_mel = clips_of(file)[...], log_mel_of(file)
        index = ShardIndex(
            attributes=json.loads(attribute_of(file, "made_by")),
            clip_ids=[raw.decode() for raw in clips["clip_id"].tolist()],
            audio_sha256=[raw.decode() for raw in clips["audio_sha256"].tolist()],
            n_windows=clips["n_windows"].tolist(),
            shape=tuple(log_mel.shape[1:]),
        )
        _check_index(index, len(log_mel))
        return index


class OpenShards:
    """Windows of several shards, with their checksums; each shard is opened once.

    For one process alone: an HDF5 handle must not cross a fork.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._files: dict[Path, tuple[h5py.File, h5py.Dataset]] = {}  # log_mel, checked once

    def __enter__(self) -> Self:
        """Return the shards."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all files."""
        while self._files:
            self._files.popitem()[1][0].close()

    def read(self, path: Path, rows: slice) -> Half:
        """Read windows `(n_rows, n_mels, n_frames)`.

        Raises InputError if a checksum does not fit: better no training than training on noise.
        """
        with told_as_damage(path):
            if path not in self._files:
                if len(self._files) >= MAX_OPEN:
                    self._files.pop(next(iter(self._files)))[0].close()
                self._files[path] = _opened(path)
            log_mel: Half = self._files[path][1][rows]
            return log_mel


def map_windows(path: Path) -> list[Half]:
    """Return each window `(n_mels, n_frames)` as a view of the file, without its checksum.

    Many times quicker than HDF5 where windows are read again and again in random order; read the
    shard by `OpenShards` before. The file stays mapped as long as a view lives. Raises
    InputError.
    """
    with told_as_damage(path), h5py.File(path, "r") as file, path.open("rb") as handle:
        log_mel = log_mel_of(file)
        shape = log_mel.shape[1:]
        places: dict[int, int] = {}
        if len(log_mel):
            log_mel.id.chunk_iter(lambda c: places.update({c.chunk_offset[0]: c.byte_offset}))
        raw = np.frombuffer(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        n_bytes = int(np.prod(shape)) * 2
        starts = [places[row] for row in range(len(log_mel))]
        return [raw[start : start + n_bytes].view("<f2").reshape(shape) for start in starts]


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a folder in order. Raises InputError if there are none."""
    paths = sorted(folder.glob("shard-*.h5"))
    if not paths:
        raise InputError(f"{folder}: no spectrogram shards: run `dvc repro extract_spectrograms`")
    return paths


def _opened(path: Path) -> tuple[h5py.File, h5py.Dataset]:
    # Each chunk is read once: HDF5's cache of 8 MB a file would hold a whole corpus for nothing.
    file = h5py.File(path, "r", rdcc_nbytes=0)
    try:
        return file, log_mel_of(file)
    except BaseException:
        file.close()
        raise


@contextmanager
def _new_file(path: Path) -> Iterator[tuple[h5py.File, SteadyFile]]:
    """Open a file to be written. Raises OSError, at the latest at the end."""
    with SteadyFile(path) as written:
        # Older layouts have no checksums on attributes, nor on where in the file a window lies.
        with h5py.File(written, "w", libver="v110") as file:
            yield file, written
        written.check()


@contextmanager
def told_as_damage(path: Path) -> Iterator[None]:
    """Raise InputError, with the way out, for whatever a damaged or foreign shard makes fail."""
    try:
        yield
    except (
        *(OSError, LookupError, ValueError, TypeError),
        *(AttributeError, RuntimeError, ArithmeticError),
    ) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged ({reason}): delete it and its copy in the DVC cache, "
            "then run `dvc repro extract_spectrograms`"
        ) from None


def _check_index(index: ShardIndex, n_windows: int) -> None:
    if min(index.n_windows, default=0) < 0 or sum(index.n_windows) != n_windows:
        raise ValueError(f"its clips have not the {n_windows} windows that it holds")
    if len({*index.clip_ids}) != len(index.clip_ids):
        raise ValueError("a clip stands in it twice")
    made_by = index.attributes
    if not isinstance(made_by, dict) or not all(
        isinstance(value, str | int | float) for value in made_by.values()
    ):
        raise ValueError("it does not say what made it")


def _extend(log_mel: h5py.Dataset, waiting: list[Half]) -> None:
    if waiting:
        start, block = len(log_mel), np.concatenate(waiting)
        log_mel.resize(start + len(block), axis=0)
        log_mel[start:] = block
        waiting.clear()


def _write_clips(file: h5py.File, clips: list[tuple[bytes, bytes, int]]) -> None:
    longest = max((len(clip_id) for clip_id, _, _ in clips), default=1)
    kind = [("clip_id", f"S{longest}"), *COLUMNS]
    # HDF5 has no chunks, and so no checksums, in a dataset without rows.
    layout = {"chunks": (len(clips),), "fletcher32": True} if clips else {}
    file.create_dataset("clips", data=np.array(clips, kind), track_times=False, **layout)

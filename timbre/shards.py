"""Spectrogram shards: HDF5 files of log-mels that describe themselves.

A shard holds the clips whose id hashes to its number, in the order of clip_id:

    log_mel       float16 (n_windows, n_mels, n_frames), one chunk a window
    clip_id       UTF-8 (n_clips,)
    audio_sha256  ASCII (n_clips,), of the audio file's bytes
    n_windows     int32 (n_clips,), the windows of each clip stand together
    attributes    all that made the values: settings, versions, the code's hash

Every dataset carries HDF5's Fletcher-32 checksum. The same content gives the same bytes.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from timbre.atomic import replacing
from timbre.problems import InputError

FORMAT = 1
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


def write_shard(path: Path, index: ShardIndex, log_mel: Half) -> None:
    """Write one shard; it appears under `path` whole, or not at all.

    `log_mel` is `(sum(index.n_windows), n_mels, n_frames)`.
    """
    assert log_mel.shape == (sum(index.n_windows), *index.shape)
    with replacing(path) as temporary, h5py.File(temporary, "w", track_order=False) as file:
        file.attrs["format"] = FORMAT
        for name, value in sorted(index.attributes.items()):
            file.attrs[name] = value
        _write(file, "log_mel", log_mel, chunk=(1, *index.shape))
        columns = {
            "clip_id": np.array([clip_id.encode() for clip_id in index.clip_ids], "S"),
            "audio_sha256": np.array(index.audio_sha256, "S64"),
            "n_windows": np.array(index.n_windows, np.int32),
        }
        for name, column in columns.items():
            _write(file, name, column, chunk=column.shape)


def read_index(path: Path) -> ShardIndex:
    """Read what a shard holds. Raises InputError for a damaged or foreign file."""
    with _reading(path) as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        if attributes.pop("format", None) != FORMAT:
            raise InputError(f"{path}: not a shard of format {FORMAT}: delete it and run dvc repro")
        return ShardIndex(
            attributes=attributes,
            clip_ids=[raw.decode() for raw in file["clip_id"][...].tolist()],
            audio_sha256=[raw.decode() for raw in file["audio_sha256"][...].tolist()],
            n_windows=file["n_windows"][...].tolist(),
            shape=tuple(file["log_mel"].shape[1:]),
        )


def read_log_mel(path: Path, rows: npt.NDArray[np.int64] | slice = slice(None)) -> Half:
    """Read windows `(n_rows, n_mels, n_frames)` of a shard; `rows` ascending, or all.

    Raises InputError if a checksum does not fit: better no training than training on noise.
    """
    with _reading(path) as file:
        log_mel: Half = file["log_mel"][rows]
        return log_mel


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a folder in order. Raises InputError if there are none."""
    paths = sorted(folder.glob("shard-*.h5"))
    if not paths:
        raise InputError(f"{folder}: no spectrogram shards: run `dvc repro extract_spectrograms`")
    return paths


@contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: damaged ({reason}): delete it and its copy in the DVC cache, "
            "then run `dvc repro extract_spectrograms`"
        ) from None


def _write(
    file: h5py.File, name: str, values: npt.NDArray[np.generic], chunk: tuple[int, ...]
) -> None:
    # HDF5 has no chunks, and so no checksums, in a dataset without rows.
    layout = {"chunks": chunk, "fletcher32": True} if len(values) else {}
    file.create_dataset(name, data=values, track_times=False, **layout)


def _plain(value: object) -> str | int | float:
    plain = value.item() if isinstance(value, np.generic) else value
    assert isinstance(plain, str | int | float)
    return plain

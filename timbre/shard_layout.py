"""What a shard must look like before it is read: a file from elsewhere may look like anything."""

import math
from typing import Any

import h5py
import numpy as np

CHECKSUM_BYTES = 4  # Fletcher-32, behind each chunk
MOST_ATTRIBUTE = 1 << 20  # bytes; ours take some hundred
COLUMNS = [("audio_sha256", "|S64"), ("n_windows", "<i4")]  # of `clips`, after clip_id


def log_mel_of(file: h5py.File) -> h5py.Dataset:
    """Return the spectrograms, `(n_windows, n_mels, n_frames)`. Raises ValueError, KeyError."""
    found = _dataset(file, "log_mel")
    if found.dtype != np.float16 or found.ndim != 3 or (len(found) and not found.size):
        raise ValueError(f"log_mel is {found.dtype}, {found.shape}")
    _check_storage(found, (1, *found.shape[1:]))
    return found


def clips_of(file: h5py.File) -> h5py.Dataset:
    """Return the table of clips, `(n_clips,)`. Raises ValueError, KeyError."""
    found = _dataset(file, "clips")
    kinds = [(name, found.dtype[name].str) for name in found.dtype.names or ()]
    if [*map(tuple, kinds[1:])] != COLUMNS or kinds[0][0] != "clip_id" or found.ndim != 1:
        raise ValueError(f"clips is {found.dtype}, {found.shape}")
    if found.dtype["clip_id"].kind != "S":
        raise ValueError("clip_id is no text")
    _check_storage(found, found.shape)
    return found


def attribute_of(file: h5py.File, name: str) -> Any:  # noqa: ANN401 (int or bytes)
    """Return a short attribute. Raises ValueError for any other, KeyError for none."""
    found = file.attrs.get_id(name)
    if found.shape != () or found.dtype.kind not in "iS" or found.dtype.itemsize > MOST_ATTRIBUTE:
        raise ValueError(f"its {name} is {found.dtype}, {found.shape}")
    return file.attrs[name]


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of this very file: a link could lead to any other."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link to elsewhere")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name} is no dataset")
    return found


def _check_storage(dataset: h5py.Dataset, chunk: tuple[int, ...]) -> None:
    """Raise ValueError unless a dataset with rows lies in the file as this module writes it.

    Each chunk once, whole, with nothing but a checksum: what is read is never more than the file
    holds. Other filters unpack to any size, or load code; a virtual dataset and one without chunks
    may lie in other files.
    """
    if not len(dataset):
        return
    layout = dataset.id.get_create_plist()
    filters = [layout.get_filter(number)[0] for number in range(layout.get_nfilters())]
    if dataset.chunks != chunk or filters != [h5py.h5z.FILTER_FLETCHER32]:
        raise ValueError(f"{dataset.name} is stored in another way")
    n_chunks = len(dataset) // chunk[0]
    n_bytes = n_chunks * (math.prod(chunk) * dataset.dtype.itemsize + CHECKSUM_BYTES)
    if dataset.id.get_storage_size() != n_bytes or n_bytes > dataset.file.id.get_filesize():
        raise ValueError(f"{dataset.name} declares more than the file holds")

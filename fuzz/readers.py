"""What is fuzzed: each reader of files from elsewhere, given any bytes, answers or says why not."""

import csv
import io
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile
import torch
import yaml

from stages.extract_spectrograms import Extract
from timbre.audio_header import HeaderError, read_header
from timbre.clip_table import read_clip_table
from timbre.clips import read_clips, read_divided, read_split_clips
from timbre.columns import CLIP_COLUMNS, SPLIT_COLUMNS
from timbre.copy_table import read_copies
from timbre.model_file import KEY, ModelCard, load_model, save_model
from timbre.networks import build_network
from timbre.params import read_section
from timbre.problems import InputError
from timbre.recorded import UNREADABLE, recorded_outputs
from timbre.rejection import Rejection, find_landmarks
from timbre.shards import (
    OpenShards,
    StoredClip,
    map_windows,
    read_index,
    write_shard,
)
from timbre.sources import read_sources
from timbre.stored_windows import StoredWindows
from timbre.table import read_table
from timbre.tensor_file import read_tensors, write_tensors

SIZES: dict[str, Any] = {
    "n_classes": 2,
    "n_mels": 8,
    "channels": [2],
    "stride": 2,
    "pool": 2,
    "last_pool": 1,
    "hidden": [4],
    "dropout": 0.1,
    "view_dropout": 0.4,
}
Read = Callable[[Path, bytes], None]


@dataclass(frozen=True)
class Target:
    """One reader; `seeds` are files that it reads, to begin from."""

    read: Read  # is given an unused path and the bytes; may leave files in the path's folder
    seeds: Callable[[Path], list[bytes]]  # is given a folder to work in


def table(path: Path, data: bytes) -> None:
    """Read filespaths.csv."""
    path.write_bytes(data)
    with suppress(InputError):
        read_table(path)


def tables_of_stages(path: Path, data: bytes) -> None:
    """Read each table and list that passes between stages."""
    path.write_bytes(data)
    labels = path.with_name("labels.json")
    labels.write_text('{"classes": ["a", "b"]}')
    for read in (read_clips, read_clip_table, read_copies, read_sources):
        with suppress(InputError):
            read(path)
    for splits, classes in ((path, labels), (path.with_name("splits.csv"), path)):
        for read_both in (read_divided, read_split_clips):
            with suppress(InputError):
                read_both(splits, classes, ("train",))


def params(path: Path, data: bytes) -> None:
    """Read a section of params.yaml, and what DVC recorded."""
    path.write_bytes(data)
    with suppress(InputError):
        read_section("extract", Extract, path)
    with suppress(*UNREADABLE):
        recorded_outputs(path)


def shard(path: Path, data: bytes) -> None:
    """Read a shard in each of the ways that stages do."""
    path.write_bytes(data)
    with suppress(InputError):
        rows = sum(read_index(path).n_windows)
        with OpenShards() as opened:
            assert len(opened.read(path, slice(None))) == rows
    with suppress(InputError):
        map_windows(path)
    with suppress(InputError):
        StoredWindows().read(path, np.arange(2))


def model(path: Path, data: bytes) -> None:
    """Read a model file: as it is, with a header of the right length, with a sealed document."""
    path.write_bytes(data)
    with suppress(InputError):
        load_model(path)
    path.write_bytes(struct.pack("<Q", len(data)) + data + bytes(4096))
    with suppress(InputError):
        load_model(path)
    with suppress(ValueError, RecursionError):
        document = json.loads(data)
        if isinstance(document, dict):
            document.pop("sha256", None)
            write_tensors(path, KEY, document, _weights(path.with_name("good")))
            with suppress(InputError):
                load_model(path)


def audio_header(path: Path, data: bytes) -> None:
    """Read what an audio file says of itself."""
    path.write_bytes(data)
    with suppress(HeaderError):
        read_header(path)


def _weights(good: Path) -> dict[str, torch.Tensor]:
    if not good.exists():
        _write_model(good)
    return {name: tensor.clone() for name, tensor in read_tensors(good, KEY)[1].items()}


def _write_model(path: Path) -> None:
    landmarks = find_landmarks(np.eye(4)[:3], np.array([0, 1, 0]), 2)
    rejection = Rejection("cosine", 0.3, landmarks)
    card = ModelCard(["a", "b"], "cnn", SIZES, {}, {}, "0" * 64, 1.0, rejection)
    torch.manual_seed(0)
    save_model(path, build_network("cnn", **SIZES), card)


def _models(folder: Path) -> list[bytes]:
    _write_model(folder / "seed")
    raw = (folder / "seed").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    document = read_tensors(folder / "seed", KEY)[0]
    return [raw, raw[8 : 8 + length], json.dumps(document).encode()]


def _shards(folder: Path) -> list[bytes]:
    windows = np.zeros((2, 4, 6), np.float16)
    clips = [StoredClip(name, "0" * 64, windows[:1]) for name in ("a", "b")]
    write_shard(folder / "seed", {"code": "x"}, (4, 6), clips)
    new = (folder / "seed").read_bytes()
    # An older layout: no checksums keep a changed byte of it from being understood.
    with (
        h5py.File(folder / "seed") as one,
        h5py.File(folder / "old", "w", libver="earliest") as two,
    ):
        for name in ("log_mel", "clips"):
            two.create_dataset(name, data=one[name][...], chunks=one[name].chunks, fletcher32=True)
        two.attrs.update(one.attrs)
    return [new, (folder / "old").read_bytes()]


def _rows(columns: dict[str, str], **values: str) -> bytes:
    text = io.StringIO()
    row = [values.get(name, "1") for name in columns]
    csv.writer(text, lineterminator="\n").writerows([list(columns), row])
    return text.getvalue().encode()


def _tables_of_stages(_: Path) -> list[bytes]:
    return [
        _rows(CLIP_COLUMNS),
        _rows(SPLIT_COLUMNS, label="a", target="0", split="train"),
        b"one,other,offset,overlap,error_rate\na,b,0.5,2,0.1\n",
        b'{"classes": ["a", "b"]}',
    ]


def _tables(_: Path) -> list[bytes]:
    text = 'FilePath,Class,Group,Split\na.wav,"c, ""d""",g,train\nb.wav,e,h,test\n'
    return [text.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252")]


def _params(_: Path) -> list[bytes]:
    settings = Path(__file__).parents[1].joinpath("params.yaml").read_text(encoding="utf-8")
    extract = {"extract": yaml.safe_load(settings)["extract"]}
    lock = {"stages": {"a": {"outs": [{"path": "x", "md5": "0" * 32}]}}}
    return [yaml.safe_dump(document).encode() for document in (extract, lock)]


def _audio_files(folder: Path) -> list[bytes]:
    found = []
    for kind, name in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)):
        path = folder / kind
        soundfile.write(path, np.zeros(400), 8000, format=kind, subtype=name)
        found.append(path.read_bytes())
    return found


TARGETS = {
    "table": Target(table, _tables),
    "tables_of_stages": Target(tables_of_stages, _tables_of_stages),
    "params": Target(params, _params),
    "shard": Target(shard, _shards),
    "model": Target(model, _models),
    "audio_header": Target(audio_header, _audio_files),
}

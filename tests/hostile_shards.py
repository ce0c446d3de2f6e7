"""Shards that somebody made to do harm, by name; each is the first of its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from harm import FEATURES, SHAPE, Cases, Make, write_pickle
from shard_files import write_shard

from timbre.shards import ShardIndex, shard_name

CLIPS = ["a.wav", "b.wav"]


def index(attributes: dict[str, Any] = FEATURES, clip_ids: list[str] = CLIPS) -> ShardIndex:
    return ShardIndex(attributes, clip_ids, ["0" * 64] * len(clip_ids), [1] * len(clip_ids), SHAPE)


def good_shard(path: Path) -> None:
    write_shard(path, index(), np.zeros((2, *SHAPE), np.float16))


def with_dataset(name: str, put: Callable[[h5py.File], object]) -> Make:
    """Write a shard in which `put` has to make one of its datasets anew."""

    def make(path: Path) -> None:
        good_shard(path)
        with h5py.File(path, "r+", libver="v110") as file:
            del file[name]
            put(file)

    return make


def with_attribute(name: str, put: Callable[[h5py.File], object]) -> Make:
    def make(path: Path) -> None:
        good_shard(path)
        with h5py.File(path, "r+", libver="v110") as file:
            del file.attrs[name]
            put(file)

    return make


def log_mel(**changes: Any) -> Make:  # noqa: ANN401 (what create_dataset takes)
    own = {"shape": (2, *SHAPE), "dtype": np.float16, "chunks": (1, *SHAPE), "fletcher32": True}
    return with_dataset("log_mel", lambda file: file.create_dataset("log_mel", **(own | changes)))


def written(name: str, **changes: Any) -> Make:  # noqa: ANN401 (what create_dataset takes)
    """Write a dataset with zeros in it; without, it would have no chunks in the file."""
    return with_dataset(
        name, lambda file: file.create_dataset(name, **changes).write_direct(zeros(changes))
    )


def zeros(layout: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.zeros(layout["shape"], layout["dtype"])


CLIP = [("clip_id", "S5"), ("audio_sha256", "S64"), ("n_windows", "<i4")]


def clips(rows: list[tuple[Any, ...]], kind: Any = CLIP, **layout: Any) -> Make:  # noqa: ANN401
    own = {"chunks": (len(rows),), "fletcher32": True} | layout
    table = np.array(rows, kind)
    return with_dataset("clips", lambda file: file.create_dataset("clips", data=table, **own))


def elsewhere(path: Path) -> Path:
    """Write a file next to a shard that it must not lead to."""
    other = path.with_name("other.h5")
    good_shard(other)
    return other


def external_link(name: str) -> Make:
    def make(path: Path) -> None:
        link = h5py.ExternalLink(str(elsewhere(path)), f"/{name}")
        with_dataset(name, lambda file: file.__setitem__(name, link))(path)

    return make


def soft_link(path: Path) -> None:
    def put(file: h5py.File) -> None:
        file.create_group("below")["log_mel"] = np.zeros((2, *SHAPE), np.float16)
        file["log_mel"] = h5py.SoftLink("/below/log_mel")

    with_dataset("log_mel", put)(path)


def virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((2, *SHAPE), np.float16)
    layout[:] = h5py.VirtualSource(str(elsewhere(path)), "log_mel", (2, *SHAPE), np.float16)
    with_dataset("log_mel", lambda file: file.create_virtual_dataset("log_mel", layout))(path)


def external_storage(path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_bytes(b"x" * (2 * SHAPE[0] * SHAPE[1] * 2))
    log_mel(chunks=None, fletcher32=False, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])(path)


def bomb(path: Path) -> None:
    kind = [("clip_id", f"S{1 << 20}"), *CLIP[1:]]
    rows = [(b"a", b"0" * 64, 1), (b"b", b"0" * 64, 1)] + [(b"", b"", 0)] * 30
    clips(rows, kind, compression="gzip", fletcher32=True)(path)


def other_filter(number: int) -> Make:
    """Ask for a filter that HDF5 would have to load as a plugin."""

    def put(file: h5py.File) -> None:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((1, *SHAPE))
        layout.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((2, *SHAPE))
        kind = h5py.h5t.py_create(np.dtype(np.float16))
        found = h5py.Dataset(h5py.h5d.create(file.id, b"log_mel", kind, space, layout))
        found[...] = 0

    return with_dataset("log_mel", put)


def shared_chunk(path: Path) -> None:
    """Declare far more windows than are there: those never written take no room in the file."""
    log_mel(shape=(1 << 40, *SHAPE), maxshape=(None, *SHAPE))(path)


def never_written_beside_much(path: Path) -> None:
    """Declare windows that are not there in a file that is large enough to hold them."""
    log_mel()(path)
    with h5py.File(path, "r+", libver="v110") as file:
        file["more"] = np.ones(1 << 16)


def made_by(text: str) -> Make:
    return with_attribute(
        "made_by", lambda file: file.attrs.__setitem__("made_by", np.bytes_(text))
    )


def put_attribute(name: str, value: object, kind: object = None) -> Make:
    return with_attribute(name, lambda file: file.attrs.create(name, value, dtype=kind))


def reference(path: Path) -> None:
    with_attribute("made_by", lambda file: file.attrs.create("made_by", file.ref))(path)


def references(path: Path) -> None:
    kind = [("clip_id", h5py.ref_dtype), *CLIP[1:]]

    def put(file: h5py.File) -> None:
        rows = np.array([(file.ref, b"0" * 64, 1)] * 2, kind)
        file.create_dataset("clips", data=rows, chunks=(2,))

    with_dataset("clips", put)(path)


def cut_shard(n_bytes: int) -> Make:
    def make(path: Path) -> None:
        good_shard(path)
        path.write_bytes(path.read_bytes()[:n_bytes])

    return make


def beside(other: ShardIndex) -> Make:
    """Write a good shard beside one of another extraction."""

    def make(path: Path) -> None:
        good_shard(path)
        write_shard(path.with_name(shard_name(1)), other, np.zeros((2, *other.shape), np.float16))

    return make


ROW_A, ROW_B = (b"a.wav", b"0" * 64, 1), (b"b.wav", b"0" * 64, 1)
ENDLESS = 1 << 40
NOT_SAID = r"\(it does not say what made it\)"
NO_TEXT = r"\(clip_id is no text\)"
LINK, OTHERWISE, MORE = "link to elsewhere", "stored in another way", "more than the file holds"
SHARDS: Cases = {
    "a pickle": (
        lambda path: write_pickle(path, path.parents[2] / "harm"),
        "",
    ),
    "an empty file": (lambda path: path.touch(), ""),
    "a folder": (lambda path: path.mkdir(), ""),
    "text": (lambda path: path.write_text("no shard"), ""),
    "cut off in the superblock": (cut_shard(40), ""),
    "cut off in the middle": (cut_shard(2000), ""),
    "cut off at the end": (cut_shard(-1), ""),
    "spectrograms by a soft link": (soft_link, LINK),
    "spectrograms by an external link": (external_link("log_mel"), LINK),
    "clips by an external link": (external_link("clips"), LINK),
    "a virtual dataset of another file": (virtual, OTHERWISE),
    "spectrograms in an external file": (external_storage, OTHERWISE),
    "spectrograms that are a group": (
        with_dataset("log_mel", lambda f: f.create_group("log_mel")),
        "no dataset",
    ),
    "spectrograms that are a kind of number": (
        with_dataset("log_mel", lambda f: f.__setitem__("log_mel", np.dtype(np.float16))),
        "no dataset",
    ),
    "no spectrograms": (with_dataset("log_mel", lambda _: None), "log_mel"),
    "no clips": (with_dataset("clips", lambda _: None), "clips"),
    "spectrograms of float32": (log_mel(dtype=np.float32), "log_mel is float32"),
    "spectrograms of another byte order": (log_mel(dtype=">f2"), "log_mel is >f2"),
    "spectrograms of complex numbers": (log_mel(dtype=np.complex64), "log_mel is complex64"),
    "spectrograms of text": (
        log_mel(dtype=h5py.string_dtype(), fletcher32=False),
        "log_mel is object",
    ),
    "flat spectrograms": (log_mel(shape=(2, 9), chunks=(1, 9)), r"\(2, 9\)"),
    "spectrograms without frames": (
        log_mel(shape=(2, 16, 0), chunks=(1, 16, 1), maxshape=(2, 16, 9)),
        "",
    ),
    "a single number for spectrograms": (log_mel(shape=(), chunks=None, fletcher32=False), ""),
    "spectrograms that are nothing": (
        with_dataset("log_mel", lambda f: f.create_dataset("log_mel", data=h5py.Empty("f2"))),
        "",
    ),
    "more windows than there are": (shared_chunk, MORE),
    "windows larger than memory": (
        log_mel(shape=(2, 1 << 14, 1 << 15), chunks=(1, 1 << 14, 1 << 15)),
        MORE,
    ),
    "spectrograms never written": (log_mel(), MORE),
    "spectrograms never written beside much else": (never_written_beside_much, MORE),
    "spectrograms without checksum": (
        written("log_mel", shape=(2, *SHAPE), dtype=np.float16, chunks=(1, *SHAPE)),
        OTHERWISE,
    ),
    "spectrograms in one chunk": (
        written(
            "log_mel", shape=(2, *SHAPE), dtype=np.float16, chunks=(2, *SHAPE), fletcher32=True
        ),
        OTHERWISE,
    ),
    "spectrograms without chunks": (log_mel(chunks=None, fletcher32=False), OTHERWISE),
    "compressed spectrograms": (log_mel(compression="gzip"), OTHERWISE),
    "spectrograms of an unknown filter": (other_filter(32_015), OTHERWISE),
    "clips that unpack to a thousand times their size": (bomb, OTHERWISE),
    "more clips than there are": (
        with_dataset(
            "clips",
            lambda f: f.create_dataset("clips", (ENDLESS,), CLIP, chunks=(1024,), fletcher32=True),
        ),
        OTHERWISE,
    ),
    "clips larger than memory": (
        with_dataset(
            "clips",
            lambda f: f.create_dataset(
                "clips", (1 << 24,), CLIP, chunks=(1 << 24,), fletcher32=True
            ),
        ),
        MORE,
    ),
    "clips of endless text": (
        with_dataset(
            "clips",
            lambda f: f.create_dataset(
                "clips", (2,), [("clip_id", f"S{1 << 30}"), *CLIP[1:]], chunks=(2,), fletcher32=True
            ),
        ),
        MORE,
    ),
    "clips with text of any length": (
        clips([ROW_A, ROW_B], [("clip_id", h5py.string_dtype()), *CLIP[1:]], fletcher32=False),
        NO_TEXT,
    ),
    "clips with references": (references, NO_TEXT),
    "clips with another column": (
        clips([(*ROW_A, 1), (*ROW_B, 1)], [*CLIP, ("code", "i4")]),
        "clips is",
    ),
    "clips whose names are called otherwise": (
        clips([ROW_A, ROW_B], [("name", "S5"), *CLIP[1:]]),
        "clips is",
    ),
    "clips in rows and columns": (
        with_dataset(
            "clips",
            lambda f: f.create_dataset(
                "clips", data=np.array([[ROW_A, ROW_B]], CLIP), chunks=(1, 2), fletcher32=True
            ),
        ),
        "clips is",
    ),
    "clips with numbers for names": (
        clips([(1, b"0" * 64, 1)] * 2, [("clip_id", "i4"), *CLIP[1:]]),
        NO_TEXT,
    ),
    "clips with long numbers": (
        clips([ROW_A, ROW_B], [*CLIP[:2], ("n_windows", "<i8")]),
        "clips is",
    ),
    "clips that are one number": (
        with_dataset("clips", lambda f: f.create_dataset("clips", data=1)),
        "clips is",
    ),
    "a negative number of windows": (clips([(b"a", b"", -1), (b"b", b"", 3)]), "not the 2 windows"),
    "fewer windows than there are": (clips([ROW_A]), "not the 2 windows"),
    "windows without end": (clips([ROW_A, (b"b", b"", 2**31 - 1)]), "not the 2 windows"),
    "a clip twice": (clips([ROW_A, ROW_A]), r"\(a clip stands in it twice\)"),
    "a name that is no text": (clips([ROW_A, (b"\xff\xfe", b"", 1)]), "utf-8"),
    "another format": (put_attribute("format", 99), "not a shard of format 3"),
    "an older format": (put_attribute("format", 1), "not a shard of format 3"),
    "no format": (with_attribute("format", lambda _: None), "not a shard of format 3"),
    "a format in letters": (put_attribute("format", np.bytes_("2")), "not a shard of format 3"),
    "a list of formats": (put_attribute("format", [2, 2]), r"its format is int64, \(2,\)"),
    "no settings": (with_attribute("made_by", lambda _: None), "made_by"),
    "settings that are no JSON": (made_by("{"), ""),
    "settings that are a list": (made_by("[]"), NOT_SAID),
    "settings in settings": (made_by('{"code": {}}'), NOT_SAID),
    "settings nested without end": (made_by("[" * 60_000), "recursion"),
    "settings of huge size": (
        put_attribute("made_by", np.bytes_("[" * (2 << 20))),
        "its made_by is",
    ),
    "settings in many pieces": (put_attribute("made_by", [np.bytes_("{}")] * 9), "its made_by is"),
    "settings of any length": (
        put_attribute("made_by", "{}", h5py.string_dtype()),
        "its made_by is",
    ),
    "settings by reference": (reference, "its made_by is"),
    "another extraction beside it": (
        beside(index(FEATURES | {"top_db": 70.0}, ["c", "d"])),
        "is of another extraction",
    ),
    "another shape beside it": (
        beside(ShardIndex(FEATURES, ["c", "d"], ["0" * 64] * 2, [1, 1], (8, 9))),
        "is of another extraction",
    ),
}


def fill_shards(folder: Path) -> None:
    for name, (make, _) in SHARDS.items():
        (folder / name).mkdir(parents=True)
        make(folder / name / shard_name(0))

"""Model files and checkpoints that somebody made to do harm, by name."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from harm import FEATURES, Cases, Harm, Make, write_pickle

from timbre.model_file import KEY, ModelCard, save_model
from timbre.networks import build_network
from timbre.rejection import Rejection, find_landmarks
from timbre.tensor_file import read_tensors, write_tensors
from timbre.tensor_header import MOST_HEADER

SIZES: dict[str, Any] = {
    "n_classes": 3,
    "n_mels": 16,
    "channels": [4, 8],
    "stride": 2,
    "pool": 2,
    "last_pool": 1,
    "hidden": [8],
    "dropout": 0.1,
    "view_dropout": 0.4,
}
MARKS = find_landmarks(np.eye(8)[:4].astype(np.float64), np.array([0, 1, 2, 0]), 3)
CARD = ModelCard(
    classes=["a", "b", "c"],
    network="cnn",
    sizes=SIZES,
    features=FEATURES,
    trained={},
    fingerprint="0" * 64,
    temperature=1.0,
    rejection=Rejection("cosine", 0.3, MARKS),
)


def raw_tensors(path: Path, header: object, data: bytes = b"\0" * 64) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def tensor(begin: int, end: int, shape: list[int] | None = None, kind: str = "F32") -> object:
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def harmful(path: Path) -> None:
    write_pickle(path, path.parent.parent / "harm")


def harmful_zip(path: Path) -> None:
    torch.save({"a": Harm(path.parent.parent / "harm")}, path)


def begins_with(length: int) -> Make:
    return lambda path: path.write_bytes(struct.pack("<Q", length) + b"{}")


TENSOR_FILES: Cases = {
    "a pickle": (harmful, "a header of|[Hh]eader"),
    "a pickle in a zip": (harmful_zip, "a header of|[Hh]eader"),
    "an empty file": (lambda path: path.touch(), "[Hh]eader"),
    "a folder": (lambda path: path.mkdir(), "directory"),
    "a web page": (lambda path: path.write_text("<html></html>"), "[Hh]eader"),
    "a header of 2^60 bytes": (begins_with(2**60), f"a header of {2**60} bytes"),
    "a header of 2^64 - 1 bytes": (begins_with(2**64 - 1), f"a header of {2**64 - 1} bytes"),
    "a header longer than the file": (begins_with(MOST_HEADER), "[Hh]eader"),
    "a header of much JSON": (
        lambda path: raw_tensors(path, {"__metadata__": {KEY: "[]," * MOST_HEADER}}),
        "a header of",
    ),
    "tensors that overlap": (
        lambda path: raw_tensors(path, {"a": tensor(0, 64), "b": tensor(32, 64)}),
        "",
    ),
    "a tensor beyond the file": (lambda path: raw_tensors(path, {"a": tensor(0, 1 << 40)}), ""),
    "a tensor that ends before it begins": (
        lambda path: raw_tensors(path, {"a": tensor(64, 0, [16])}),
        "",
    ),
    "a tensor with a hole before it": (lambda path: raw_tensors(path, {"a": tensor(32, 64)}), ""),
    "a shape that its bytes do not have": (
        lambda path: raw_tensors(path, {"a": tensor(0, 64, [1 << 40])}),
        "",
    ),
    "a shape whose size overflows": (
        lambda path: raw_tensors(path, {"a": tensor(0, 64, [1 << 33, 1 << 33])}),
        "",
    ),
    "a negative shape": (lambda path: raw_tensors(path, {"a": tensor(0, 64, [-16])}), ""),
    "an unknown kind of number": (
        lambda path: raw_tensors(path, {"a": tensor(0, 64, kind="PICKLE")}),
        "",
    ),
    "a header that is a list": (lambda path: raw_tensors(path, []), ""),
    "no metadata": (lambda path: raw_tensors(path, {"a": tensor(0, 64)}), "timbre|checkpoint"),
}


def with_metadata(text: str, key: str) -> Make:
    return lambda path: raw_tensors(path, {"__metadata__": {key: text}, "a": tensor(0, 64)})


def metadata_cases(key: str) -> Cases:
    return {
        "metadata that is no JSON": (with_metadata("{", key), ""),
        "metadata that is a list": (with_metadata("[]", key), f"its {key} is no JSON object"),
        "metadata that is a text": (with_metadata('"format"', key), f"its {key} is no JSON object"),
        "metadata nested without end": (with_metadata("[" * 100_000, key), "recursion"),
        "metadata with an endless number": (
            with_metadata('{"format": 1' + "0" * 9999 + "}", key),
            "",
        ),
    }


def changed(change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> Make:
    """Write a model that is whole and sealed but for what `change` did to document or tensors."""

    def make(path: Path) -> None:
        good(path)
        document, tensors = read_tensors(path, KEY)
        del document["sha256"]
        own = {name: value.clone() for name, value in tensors.items()}
        change(document, own)
        write_tensors(path, KEY, document, own)

    return make


def good(path: Path) -> None:
    torch.manual_seed(0)
    save_model(path, build_network("cnn", **SIZES), CARD)


def with_sizes(**sizes: object) -> Make:
    return changed(lambda document, _: document["sizes"].update(sizes))


def with_own(**changes: object) -> Make:
    return changed(lambda document, _: document.update(changes))


def unsealed(path: Path) -> None:
    good(path)
    document, tensors = read_tensors(path, KEY)
    own = {name: value.clone() for name, value in tensors.items()}
    own["output.bias"][0] += 1
    safe = {KEY: json.dumps(document)}
    safetensors.torch.save_file(own, path, metadata=safe)


def cut(n_bytes: int) -> Make:
    def make(path: Path) -> None:
        good(path)
        path.write_bytes(path.read_bytes()[:n_bytes])

    return make


MODELS: Cases = {
    **TENSOR_FILES,
    **metadata_cases(KEY),
    "another format": (with_own(format=99), "model format 99, this version reads 4"),
    "an older format": (with_own(format=3), "model format 3, this version reads 4"),
    "no format": (changed(lambda d, _: d.pop("format")), "model format None, this version"),
    "a changed weight": (unsealed, "does not have the SHA-256"),
    "cut off in the header": (cut(100), ""),
    "cut off in the weights": (cut(-1), ""),
    "a network of billions of weights": (
        with_sizes(n_classes=10**9, hidden=[10**6, 10**6, 10**6]),
        "not those of its sizes",
    ),
    "bands without number": (with_sizes(n_mels=10**15), "not those of its sizes"),
    "a million layers": (with_sizes(channels=[1] * 10**6), "1000001 layers, but only"),
    "a number of classes beyond all": (with_sizes(n_classes=10**400), ""),
    "a pool of 0": (with_sizes(pool=0), ""),
    "a pool that leaves nothing": (with_sizes(pool=10**6), ""),
    "a negative width": (with_sizes(hidden=[-8]), ""),
    "a width in letters": (with_sizes(hidden=["8"]), ""),
    "sizes that are a list": (with_own(sizes=[3, 16]), "sizes"),
    "a size that no network has": (with_sizes(code="import os"), "code"),
    "a network of another name": (with_own(network="os.system"), "os.system"),
    "a network that is a list": (with_own(network=["cnn"]), ""),
    "weights of float64": (
        changed(lambda _, t: t.update({"output.bias": t["output.bias"].double()})),
        "not those of its sizes: output.bias",
    ),
    "weights of float16": (
        changed(
            lambda _, t: t.update({n: v.half() for n, v in t.items() if v.is_floating_point()})
        ),
        "",
    ),
    "a weight of another shape": (
        changed(lambda _, t: t.update({"output.bias": torch.zeros(4)})),
        "not those of its sizes: output.bias",
    ),
    "a missing weight": (changed(lambda _, t: t.pop("output.bias")), "output.bias"),
    "a missing output": (changed(lambda _, t: t.pop("output.weight")), "output.weight"),
    "a weight too many": (
        changed(lambda _, t: t.update(more=torch.zeros(1))),
        "not those of its sizes: more",
    ),
    "missing landmarks": (changed(lambda _, t: t.pop("landmark.means")), "landmark.means"),
    "landmarks of another shape": (
        changed(lambda _, t: t.update({"landmark.centre": torch.zeros(1)})),
        "landmarks are not of its network",
    ),
    "fewer classes than outputs": (with_own(classes=["a", "b"]), "tells 3 classes apart, not 2"),
    "a class twice": (with_own(classes=["a", "a", "b"]), "no list of different names"),
    "classes in one text": (with_own(classes="abc"), "no list of different names"),
    "classes that are no names": (with_own(classes=[1, None, {}]), "no list of different names"),
    "no classes": (changed(lambda d, _: d.pop("classes")), "classes"),
    "a temperature of 0": (with_own(temperature=0), "its temperature is 0"),
    "a temperature of NaN": (with_own(temperature=float("nan")), "its temperature is nan"),
    "a temperature in letters": (with_own(temperature="hot"), ""),
    "an unknown rejection": (
        with_own(rejection={"score": "entropy", "threshold": 0.0}),
        "no rejection score is named 'entropy'",
    ),
    "a rejection without threshold": (with_own(rejection={"score": "cosine"}), "threshold"),
    "a rejection that is a list": (with_own(rejection=["cosine", 0.3]), ""),
    "features that are a list": (with_own(features=["sample_rate"]), "features"),
    "a key too many": (with_own(code="import os"), "code"),
}

CLASSIFIERS: Cases = {
    "an endless spectrum": (with_own(features=FEATURES | {"n_fft": 2**40}), "its n_fft is"),
    "an endless rate": (with_own(features=FEATURES | {"sample_rate": 2**62}), "its sample_rate is"),
    "an endless window": (
        with_own(features=FEATURES | {"window_seconds": 1e300}),
        "its window",
    ),
    "a window of more cells than memory": (
        with_own(
            features=FEATURES
            | {"window_seconds": 600.0, "sample_rate": 384_000, "hop_length": 1, "n_mels": 1024}
        ),
        "230400000 samples, 235929601024 cells: too many",
    ),
    "other bands than its network": (
        with_own(features=FEATURES | {"n_mels": 17}),
        "its network does not take its features",
    ),
    "no features": (with_own(features={}), "its features lack sample_rate"),
}


# Checkpoints.


def state(
    fingerprint: str = "x", n_in: int = 3, more: dict[str, torch.Tensor] | None = None
) -> Make:
    weights = {"weight": torch.zeros(2, n_in), "bias": torch.zeros(2)}
    own = {
        f"{part}.{name}": v.clone() for part in ("network", "best") for name, v in weights.items()
    }
    document = {"fingerprint": fingerprint, "progress": []}
    return lambda path: write_tensors(path, "checkpoint", document, own | (more or {}))


def broken_state(path: Path) -> None:
    state()(path)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


CHECKPOINTS: Cases = {
    **TENSOR_FILES,
    **metadata_cases("checkpoint"),
    "a flipped bit": (broken_state, ""),
    "the state of other inputs": (state(fingerprint="y"), ""),
    "the state of another network": (state(n_in=4), ""),
    "an optimizer of other weights": (state(more={"optimizer.7.step": torch.zeros(())}), ""),
    "an optimizer of no number": (state(more={"optimizer.x.step": torch.zeros(())}), ""),
    "an optimizer without slots": (state(more={"optimizer.0": torch.zeros(())}), ""),
}

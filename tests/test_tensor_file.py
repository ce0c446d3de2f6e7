"""A tensor file finds its own damage, wherever a bit flips."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from timbre.tensor_file import check_digest, read_tensors, write_tensors
from timbre.tensor_header import Document, TensorFileError

KEY = "key"
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.tensor(7), "e": torch.zeros(0)}
DOCUMENT: Document = {"text": "ش\n\0", "real": 0.1 + 0.2, "list": [1, None, {"x": True}]}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=6,
)


def sound(path: Path) -> tuple[Document, dict[str, Tensor]]:
    document, tensors = read_tensors(path, KEY)
    check_digest(document, tensors)
    return document, tensors


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name].dtype == value.dtype and torch.equal(found[name], value)
        for name, value in wanted.items()
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t", KEY, DOCUMENT, TENSORS)
    document, tensors = sound(tmp_path / "t")
    assert document == DOCUMENT
    assert same(tensors, TENSORS)


@settings(max_examples=50)
@given(document=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), json_values))
def test_any_document_keeps_its_digest(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    document.pop("sha256", None)
    path = tmp_path_factory.mktemp("tensors") / "t"
    write_tensors(path, KEY, document, TENSORS)
    found, _ = sound(path)
    assert json.dumps(found, sort_keys=True) == json.dumps(document, sort_keys=True)


def test_any_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_tensors(path, KEY, DOCUMENT, TENSORS)
    raw = path.read_bytes()
    data = len(raw) - sum(tensor.nbytes for tensor in TENSORS.values())
    found = 0
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x01]) + raw[place + 1 :])
        try:
            document, tensors = sound(path)
        except TensorFileError:
            found += 1
            continue
        assert place < data  # no weight is ever another one unnoticed
        assert document == DOCUMENT
        assert same(tensors, TENSORS)
    assert found > 0.9 * len(raw)


@pytest.mark.parametrize(
    "tensors",
    [
        {**TENSORS, "a": TENSORS["a"].reshape(3, 2)},
        {**TENSORS, "a": TENSORS["a"].view(torch.int32)},
        {"x": TENSORS["a"], "b.c": TENSORS["b.c"], "e": TENSORS["e"]},
        {"a": TENSORS["a"], "b.c": TENSORS["b.c"]},
    ],
    ids=["shape", "kind", "name", "number"],
)
def test_the_digest_is_of_names_kinds_and_shapes_too(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    write_tensors(tmp_path / "t", KEY, DOCUMENT, TENSORS)
    document, _ = read_tensors(tmp_path / "t", KEY)
    with pytest.raises(TensorFileError, match="does not have the SHA-256"):
        check_digest(document, tensors)


def test_a_file_without_digest_is_not_sound(tmp_path: Path) -> None:
    with pytest.raises(TensorFileError, match="does not have the SHA-256"):
        check_digest(dict(DOCUMENT), TENSORS)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none", KEY)


REPOSITORY = Path(__file__).parent.parent

# Writes where no file may grow beyond 1000 bytes.
WRITE = """
import resource, sys
from pathlib import Path
import torch
from timbre.tensor_file import write_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    write_tensors(Path(sys.argv[1]), "key", {}, {"weight": torch.zeros(10_000)})
except OSError as error:
    print(error.errno, error.filename)
"""


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    for name in (".tmpMssSEo", ".tmp", ".tmpMssSEo7"):
        (tmp_path / name).write_bytes(b"half")
    write_tensors(tmp_path / "a", "key", {}, {})
    assert {path.name for path in tmp_path.iterdir()} == {"a", ".tmp", ".tmpMssSEo7"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits a file's size as Linux does")
def test_without_room_there_is_the_systems_error_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    command = [sys.executable, "-c", WRITE, str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == (f"27 {path}\n", "", 0)
    assert list(tmp_path.iterdir()) == []

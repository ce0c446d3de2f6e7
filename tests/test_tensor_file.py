"""Tensors come back as they were, and nothing stays of a writer that was killed."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from timbre.tensor_file import save_tensors

REPOSITORY = Path(__file__).parent.parent
# Writes where no file may grow beyond 1000 bytes.
WRITE = """
import resource, sys
from pathlib import Path
import torch
from timbre.tensor_file import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    save_tensors(Path(sys.argv[1]), {"weight": torch.zeros(10_000)}, {})
except OSError as error:
    print(error.errno, error.filename)
"""


def test_tensors_and_text_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weight = torch.arange(12.0).reshape(3, 4)
    save_tensors(path, {"weight": weight.T, "bias": torch.ones(2)}, {"key": "text"})
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("weight"), weight.T)
        assert torch.equal(file.get_tensor("bias"), torch.ones(2))
        assert file.metadata()["key"] == "text"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    for name in (".tmpMssSEo", ".tmp", ".tmpMssSEo7"):
        (tmp_path / name).write_bytes(b"half")
    save_tensors(tmp_path / "a", {}, {})
    assert {path.name for path in tmp_path.iterdir()} == {"a", ".tmp", ".tmpMssSEo7"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits a file's size as Linux does")
def test_without_room_there_is_the_systems_error_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    command = [sys.executable, "-c", WRITE, str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == (f"27 {path}\n", "", 0)
    assert list(tmp_path.iterdir()) == []

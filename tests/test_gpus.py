import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from timbre import gpus
from timbre.gpus import hold_one, spread

HOLD = """
import sys, time
from pathlib import Path
from timbre.gpus import hold_one
print(hold_one(["a", "b"], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop what a test holds when it is over."""
    monkeypatch.setattr(gpus, "_held", [])


@pytest.mark.parametrize("n_names", [1, 2, 3])
def test_each_takes_one_that_fewest_hold(n_names: int, tmp_path: Path) -> None:
    names = [f"GPU-{number}" for number in range(n_names)]
    taken: Counter[int] = Counter()
    for _ in range(7):
        fewest = min(taken[number] for number in range(n_names))
        number = hold_one(names, tmp_path)
        assert taken[number] == fewest
        taken[number] += 1


def test_other_numbers_for_the_same_gpus_are_no_others(tmp_path: Path) -> None:
    assert hold_one(["a", "b"], tmp_path) == 0
    assert hold_one(["b", "a"], tmp_path) == 0
    assert hold_one(["a"], tmp_path) == 0  # there is no other, so it is shared


def test_what_a_killed_process_held_is_free_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "0\n"
        assert hold_one(["a", "b"], tmp_path) == 1
        run.kill()
        run.wait(timeout=60)
        assert hold_one(["a", "b"], tmp_path) == 0


def test_where_no_lock_can_be_had_it_is_the_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert [hold_one(["a", "b"], tmp_path / "file" / "gpus") for _ in range(2)] == [0, 0]


def test_of_several_gpus_each_process_has_its_own_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Properties:
        def __init__(self, number: int) -> None:
            self.uuid = f"GPU-{number}"

    current: list[int] = []
    monkeypatch.setattr(gpus, "user_cache_path", lambda _: tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", Properties)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert [spread(torch.device("cuda")).index for _ in range(3)] == [0, 1, 0]
    assert current == [0, 1, 0]
    named = [torch.device(name) for name in ("cuda:1", "cpu", "mps")]
    assert [spread(device) for device in named] == named
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert spread(torch.device("cuda")) == torch.device("cuda")

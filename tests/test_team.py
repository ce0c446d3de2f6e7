"""Several processes train as one would: each window once, the same gradient, one voice."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import ends, waited_for
from team_run import EPOCHS, alike
from torch import nn

from timbre import launcher, ranks
from timbre.dataset import batch_slices
from timbre.launcher import count_processes, start_processes
from timbre.problems import InputError
from timbre.shared_norm import SharedBatchNorm
from timbre.team import ALONE, LEAST, Team, is_rank, join_team

REPOSITORY = Path(__file__).parent.parent
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def prepare(patch: pytest.MonkeyPatch) -> None:
    """Have the processes find the modules, and cores enough."""
    patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests"))))
    patch.setenv("TIMBRE_JOBS", "2")


@pytest.fixture
def can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(monkeypatch)


@given(n=st.integers(0, 300), size=st.integers(1, 9), more=st.integers(0, 40))
def test_every_window_is_dealt_once_and_none_waits_in_vain(n: int, size: int, more: int) -> None:
    batch_size = LEAST * size + more
    dealt = [list(Team(rank, size).deal(n, batch_size)) for rank in range(size)]
    seen = [window for shares in dealt for share in shares for window in range(n)[share.own]]
    assert sorted(seen) == list(range(n))
    for of_a_batch in zip(*dealt, strict=True):  # as many steps in each process
        own = [share.own.stop - share.own.start for share in of_a_batch]
        assert {share.n_windows for share in of_a_batch} == {sum(own)}
        assert max(own) - min(own) <= 1
        if n >= batch_size:
            assert min(own) >= LEAST
        if n:  # the mean over the processes of weighted means is the mean over the batch
            windows = [list(range(n)[share.own]) for share in of_a_batch if any(own)]
            means = [mean(of_one) if of_one else 0 for of_one in windows]
            weighted = [share.weight * m for share, m in zip(of_a_batch, means, strict=True)]
            assert math.isclose(sum(weighted) / size, mean(chain(*windows)), abs_tol=1e-9)


@given(n=st.integers(0, 300), batch_size=st.integers(2, 40))
def test_one_process_is_dealt_the_batches_themselves(n: int, batch_size: int) -> None:
    shares = list(ALONE.deal(n, batch_size))
    assert [share.own for share in shares] == list(batch_slices(n, batch_size))
    assert {share.weight for share in shares} <= {1.0}


def test_one_process_needs_nobody() -> None:
    assert not is_rank()
    assert join_team(CPU) == ALONE
    assert ALONE.leads
    assert ALONE.join(nn.Linear(1, 1)) is None
    assert ALONE.sum(1.5, 2) == [1.5, 2]
    ALONE.check_same("x")
    ALONE.leave()
    torch.manual_seed(3)
    ALONE.seed_own()
    assert torch.initial_seed() == 3


def test_dropout_differs_between_processes_and_not_between_runs() -> None:
    seeds = []
    for rank in (0, 1, 2, 1):
        torch.manual_seed(3)
        Team(rank, 3).seed_own()
        seeds.append(torch.initial_seed())
    assert seeds[0] == 3
    assert len(set(seeds)) == 3
    assert seeds[1] == seeds[3]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What two processes read and measured in a training of three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch)
        start_processes(2, "team_run", ["train", folder])
    yield [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert (folder / "0" / "checkpoint").is_file()
    assert not list((folder / "1").iterdir())  # rank 0 alone writes


def test_two_processes_read_each_window_once_an_epoch(
    trained: list[dict[str, Any]],
) -> None:
    one, two = (told["train"] for told in trained)
    n = len(one) // EPOCHS
    for epoch in range(EPOCHS):
        part = slice(epoch * n, (epoch + 1) * n)
        assert sorted(one[part] + two[part]) == list(range(60))
    assert [len(told["val"]) for told in trained] == [15 * EPOCHS] * 2
    assert one[:n] != one[n : 2 * n]  # each epoch in an order of its own


def test_two_processes_come_to_the_same_and_to_what_one_comes_to(
    trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert trained[0]["epochs"] == trained[1]["epochs"]
    assert trained[0]["weights"] == trained[1]["weights"]
    assert trained[0]["dropped"] != trained[1]["dropped"]
    alone = alike(ALONE)
    alone.fit(tmp_path / "checkpoint", "x", lambda: None)
    for epoch, told in zip(alone.epochs, trained[0]["epochs"], strict=True):
        assert vars(epoch) == pytest.approx(told, rel=1e-4, abs=1e-5)
    for value, found in zip(alone.best_weights.values(), trained[0]["weights"], strict=True):
        torch.testing.assert_close(value, torch.tensor(found), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            "differ",
            "error: the processes that train together see different data, settings, code or "
            "checkpoints: give all of them the same files, in a folder that all machines share\n",
        ),
        ("refuse", "error: a.csv: is wrong: mend it\nerror: b.csv: too\n"),
        ("stumble", r"Traceback \(most recent call last\):\n( .*\n)+ZeroDivisionError: ours\n"),
    ],
)
def test_what_goes_wrong_is_told_once(
    task: str, told: str, tmp_path: Path, can_start: None, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    variables = dict(os.environ)
    with pytest.raises(SystemExit) as left:
        start_processes(2, "team_run", [task, tmp_path])
    assert left.value.code == 1
    assert re.fullmatch(told, capfd.readouterr().err)
    assert all(ends(int((tmp_path / f"{rank}.pid").read_text())) for rank in (0, 1))
    assert signal.getsignal(signal.SIGTERM) == handler
    assert dict(os.environ) == variables


STARTS = (
    "import sys; from timbre import command; from timbre.launcher import start_processes; "
    "code = command._exit_code(lambda: start_processes(2, 'team_run', sys.argv[1:]), []); "
    "sys.exit(code)"
)


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "interrupted\n"),
        (signal.SIGTERM, 143, "terminated\n"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_processes_end_with_their_launcher(
    number: signal.Signals, code: int, told: str, tmp_path: Path, can_start: None
) -> None:
    command = [sys.executable, "-c", STARTS, "wait", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    pids = [int(waited_for(tmp_path / f"{rank}.pid", process)) for rank in (0, 1)]
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, told)
    assert all(map(ends, pids))


def test_norms_know_what_they_replace() -> None:
    norm = nn.BatchNorm2d(3, eps=0.01, momentum=0.3).eval()
    shared = SharedBatchNorm.like(norm)
    features = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(shared(features), norm(features), rtol=0, atol=0)
    assert shared.weight is norm.weight
    assert (shared.eps, shared.momentum, shared.training) == (0.01, 0.3, False)
    assert list(shared.state_dict()) == list(norm.state_dict())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four cores, and two GPUs where one asks for them."""
    monkeypatch.setenv("TIMBRE_JOBS", "4")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


@pytest.mark.parametrize(
    ("wanted", "device", "n"), [(1, CPU, 1), (0, CPU, 1), (4, CPU, 4), (0, GPU, 2), (2, GPU, 2)]
)
def test_as_many_processes_as_are_wanted(
    wanted: int, device: torch.device, n: int, machine: None
) -> None:
    assert count_processes(wanted, 16, device) == n


@pytest.mark.parametrize(
    ("wanted", "batch_size", "device", "compiled", "told"),
    [
        (5, 16, CPU, False, "train.processes: 5 is more than the 4 cores here: lower it"),
        (
            *(3, 16, GPU, False),
            "train.processes: 3 is more than the 2 GPUs of this machine: lower it, or start it on "
            "several machines (docs/several-gpus.md)",
        ),
        (
            *(4, 7, CPU, False),
            "train.batch_size: 7 is too small for 4 processes, each of which takes at least 2 "
            "windows of a batch: raise it to 8, or lower train.processes",
        ),
        *(
            (
                *(2, 16, torch.device(name), False),
                f"train.device: {name} is one device, and train.processes is 2: take cuda or cpu, "
                "or 1 process",
            )
            for name in ("cuda:1", "mps")
        ),
        (
            *(2, 16, CPU, True),
            "train.compile: true is for one process, and train.processes is 2: set it to false",
        ),
    ],
)
def test_processes_that_cannot_be_are_explained(
    wanted: int, batch_size: int, device: torch.device, compiled: bool, told: str, machine: None
) -> None:
    with pytest.raises(InputError) as caught:
        count_processes(wanted, batch_size, device, compiled=compiled)
    assert caught.value.problems == [f"params.yaml: {told}"]


def test_one_process_may_be_compiled_and_on_any_device(machine: None) -> None:
    assert count_processes(1, 2, torch.device("cuda:1"), compiled=True) == 1
    assert count_processes(1, 2, torch.device("mps"), compiled=True) == 1


def test_processes_that_torchrun_starts_are_counted(
    monkeypatch: pytest.MonkeyPatch, machine: None
) -> None:
    for name, value in {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert count_processes(6, 16, GPU) == count_processes(0, 16, GPU) == 6
    with pytest.raises(InputError) as caught:
        count_processes(2, 16, GPU)
    assert caught.value.problems == [
        "params.yaml: train.processes: 2, but 6 processes were started: set it to 6"
    ]


def test_what_ended_a_team_is_found_among_exit_codes() -> None:
    killed = launcher._cause({1: -9, 0: -15}, 2)
    assert str(killed) == (
        "process 2 of the 2 that train together was killed by SIGKILL, maybe because memory ran "
        "out: end other programs, or lower train.processes or train.memory_gb, then run `dvc "
        "repro`: what is finished is not done again"
    )
    assert "process 3 of the 4 that train together ended with 9," in str(
        launcher._cause({0: ranks.LOST, 1: -15, 2: 9}, 4)
    )
    told = launcher._cause({0: ranks.LOST, 1: ranks.FAILED}, 2)
    assert isinstance(told, SystemExit)
    assert "(none of them knows why)" in str(launcher._cause({0: ranks.LOST, 1: -15}, 2))


def gone(_: Path) -> None:
    raise RuntimeError("[/gloo/transport/tcp/pair.cc:537] Read error:\n Connection reset by peer.")


def full(_: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "m.safetensors")


@pytest.mark.parametrize(
    ("main", "code", "told"),
    [
        (
            *(gone, ranks.LOST),
            "error: another process of the training has ended or cannot be reached "
            "([/gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer.): see what "
            "it says, and whether the network stands, then run `dvc repro`: what is finished is "
            "not done again\n",
        ),
        (
            *(full, ranks.FAILED),
            "error: m.safetensors: No space left on device: make room, then run `dvc repro`: what "
            "is finished is not done again\n",
        ),
        (lambda _: None, 0, ""),
    ],
)
def test_a_process_whose_store_is_gone_tells_itself(
    main: object,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_store() -> None:
        raise RuntimeError("Broken pipe")

    monkeypatch.setattr(ranks, "store", no_store)
    assert ranks._exit_code(main, [Path()]) == code  # type: ignore[arg-type]
    assert capsys.readouterr().err == told


def test_a_process_that_our_launcher_started_leaves_it_to_say_who_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ranks.LAUNCHER, "1")
    assert ranks._exit_code(gone, [Path()]) == ranks.LOST
    assert capsys.readouterr().err == ""

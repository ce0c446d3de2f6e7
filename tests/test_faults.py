"""Whatever strikes a run, the next one ends as if nothing had been: a few of soak's trials."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from soak.disk import NotPossibleError
from soak.ground import Ground, make_ground
from soak.plan import EVERYTHING, FAULTS, Strike, draw
from soak.trial import Outcome, run

pytestmark = pytest.mark.pipeline


@dataclass(frozen=True)
class Case:
    strike: Strike
    told: tuple[str, ...]  # what the two runs print: patterns
    word: str = "same bytes"


# What DVC tells depends on whether its shell becomes the stage, as bash does, or waits for it.
KILLED, INTERRUPTED = "(-9|137)", "(-2|130)"
AGAIN = "then run `dvc repro`: what is finished is not done again"
CASES = {
    "killed while a checkpoint is saved": Case(
        Strike("event", "train_cnn", "train_cnn", 2, "rename", "checkpoint", do="SIGKILL"),
        (f"exited with {KILLED}", "goes on after epoch 1"),
    ),
    "DVC killed alone between two epochs": Case(
        Strike("event", "train_cnn", "train_cnn", 2, "rename", "curves", do="SIGKILL", to="dvc"),
        ("goes on after epoch",),
    ),
    "DVC killed before it records a training that is done": Case(
        Strike("event", "train_cnn", "dvc", 1, "mkdir", "cache/runs", do="SIGKILL", to="group"),
        ("train_cnn: best epoch", "goes on after epoch 3"),
    ),
    "terminated while shards are put in place": Case(
        Strike("event", "extract_spectrograms", "extract_spectrograms", 2, "link", do="SIGTERM"),
        ("terminated", "exited with 143"),
    ),
    # DVC leaves an empty folder among its records of runs, and fails on it ever after.
    "DVC killed while it records shards that are done": Case(
        Strike("event", "extract_spectrograms", "dvc", 1, "open", "cache/runs", do="SIGKILL"),
        ("a record of a run, cut off", "16 clips: 0 computed, 16 reused"),
        "same bytes after doctor",
    ),
    "a worker killed": Case(
        Strike("event", "extract_spectrograms", "worker", 2, "rename", do="SIGKILL", jobs=2),
        ("extract_spectrograms: 16 clips: ",),  # another worker did its task
    ),
    "interrupted by Ctrl-C": Case(
        Strike("event", "encode_labels", "encode_labels", 1, "fsync", do="SIGINT", to="group"),
        ("interrupted\n", f"exited with {INTERRUPTED}"),
    ),
    "no room at fsync": Case(
        Strike("error", "split", "split", 1, "fsync", do="ENOSPC"),
        (f"No space left on device: make room, {AGAIN}",),
    ),
    "an I/O error at rename": Case(
        Strike("error", "find_copies", "find_copies", 1, "rename", do="EIO"),
        ("data/copies.csv: Input/output error: look after the disk",),
    ),
    "a limit within HDF5": Case(
        Strike(
            *("limit", "extract_conditions", "extract_conditions", 3, "mkdir"),
            do="LIMIT",
            bytes=2000,
        ),
        (r"File too large: raise the limit on the size of files \(ulimit -f\)",),
    ),
    "outputs that may not be written": Case(
        Strike("read-only", "encode_labels", place="metrics"),
        ("Read-only file system" if os.geteuid() == 0 else "Permission denied",),
    ),
    "a full disk": Case(Strike("full", "find_copies", bytes=30_000), ("ERROR: ",)),
    "two runs at once": Case(Strike("twice", "report", seconds=2.5), ()),
    "a dvc.lock cut off": Case(
        Strike("limit", "encode_labels", "dvc", 1, "open", "dvc.lock", do="LIMIT", bytes=10),
        ("dvc.lock: broken: DVC writes it in place",),
        "same bytes after doctor",
    ),
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture(scope="module")
def outcomes(
    ground: Ground, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Outcome | NotPossibleError]]:
    """All trials, two at a time: a run waits for the disk, and for processes to start."""
    folder = tmp_path_factory.mktemp("trials")

    def one(numbered: tuple[int, str]) -> tuple[str, Outcome | NotPossibleError]:
        number, name = numbered
        try:
            return name, run(CASES[name].strike, ground, folder / str(number))
        except NotPossibleError as error:
            return name, error

    with ThreadPoolExecutor(2) as pool:
        yield dict(pool.map(one, enumerate(CASES)))


@pytest.mark.parametrize("name", CASES)
def test_the_next_run_ends_with_the_same_bytes_and_repeats_no_finished_work(
    name: str, outcomes: dict[str, Outcome | NotPossibleError]
) -> None:
    outcome = outcomes[name]
    if isinstance(outcome, NotPossibleError):
        pytest.skip(str(outcome))
    assert outcome.faults == [], outcome.output
    assert outcome.struck, outcome.output
    assert outcome.word() == CASES[name].word, outcome.output
    for words in CASES[name].told:
        assert re.search(words, outcome.output), outcome.output


def test_a_seed_gives_the_same_plan_and_seeds_reach_all_faults_and_stages(ground: Ground) -> None:
    plans = [draw(seed, ground) for seed in range(300)]
    assert plans == [draw(seed, ground) for seed in range(300)]
    assert {plan.fault for plan in plans} == set(FAULTS)
    assert {plan.stage for plan in plans} == {*ground.stages, EVERYTHING}
    assert {"dvc", "worker", *ground.stages} <= {plan.role for plan in plans}


def test_a_trial_sees_other_bytes_and_work_done_twice(ground: Ground, tmp_path: Path) -> None:
    from soak.ground import Done, copy
    from soak.trial import differences, redone

    repository = copy(ground.finished, tmp_path / "copy")
    assert differences(repository, ground) == []
    path = repository.folder / "metrics" / "test.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert differences(repository, ground) == [
        "other bytes, or too many or few files: ['metrics/test.json']"
    ]
    before = {"clips": 8, "epochs": 2, "split": 1}
    said = "Running stage 'split':\nRunning stage 'train_cnn':\n"
    said += "extract_spectrograms: 16 clips: 9 computed, 7 reused\n"
    assert redone(before, Done(0, said)) == [
        "stage split was recorded and ran again",
        "finished shards redone",
        "2 finished epochs redone",
    ]

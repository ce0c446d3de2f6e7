"""The ground that trials stand on: a tiny corpus, a repository that never ran, one that did."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from bench.repository import Repository, apart, make_clone

HOOK = Path(__file__).parent / "hook"
RESULTS = ("data", "models", "metrics", "plots")
RATE = 8000  # Hz
N_GROUPS = 8
HANGS = 200.0  # seconds; a run takes ten
CLASSES = {"low": 500.0, "high": 2000.0}  # Hz
N_CLIPS = N_GROUPS * len(CLASSES)
# A tenth of a second of sound and some hundred weights: a stage takes hardly longer than its
# imports, and what it does to files is what it does with a thousand times as much.
SETTINGS: dict[str, dict[str, Any]] = {
    "extract": {
        "sample_rate": RATE,
        "window_seconds": 0.25,
        "n_fft": 256,
        "hop_length": 64,
        "n_mels": 16,
        "n_shards": 4,
    },
    "train": {
        "channels": [4],
        "hidden": [8],
        "batch_size": 4,
        "epochs": 3,
        "device": "cpu",
    },
    "evaluate": {"top_k": 1},
    "robustness": {"conditions": ["clean", "white_noise_10db", "babble_10db"]},
}


@dataclass(frozen=True)
class Event:
    """One thing that an undisturbed run did to a file."""

    role: str  # dvc or a stage
    number: int  # of its role's, from 1
    seconds: float  # since its process began
    kind: str  # open, fsync, rename, link, mkdir, remove
    path: str


@dataclass(frozen=True)
class Ground:
    """Two repositories, and what happened between them."""

    fresh: Repository  # never ran
    finished: Repository  # an undisturbed `dvc repro` later
    events: list[Event]
    stages: list[str]

    def seconds(self, role: str) -> float:
        """Return how long a role's work on files took, from the start of its process."""
        return max(event.seconds for event in self.events if event.role == role)


def make_ground(folder: Path) -> Ground:
    """Make the corpus, the repositories, and the record of an undisturbed run."""
    write_corpus(folder / "corpus")
    fresh = make_clone(folder, folder / "corpus", SETTINGS)
    script = fresh.folder / "stages" / "extract_spectrograms.py"
    text = script.read_text(encoding="utf-8")
    if text.count("FEW_CLIPS = 64") != 1:
        raise RuntimeError(f"{script}: no FEW_CLIPS = 64 that keeps a tiny corpus from workers")
    script.write_text(text.replace("FEW_CLIPS = 64", "FEW_CLIPS = 0"), encoding="utf-8")
    fresh.commit()
    finished = copy(fresh, folder / "finished")
    log = folder / "events.jsonl"
    done = repro(finished, {"SOAK_ROOT": str(finished.folder), "SOAK_LOG": str(log)})
    if done.returncode:
        raise RuntimeError(f"an undisturbed run failed:\n{done.output}")
    events = [Event(*json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    stages = list(yaml.safe_load((fresh.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    return Ground(fresh, finished, events, stages)


def write_corpus(folder: Path) -> None:
    """Write some short clips of two classes, in groups that hold both, and their table."""
    rng = np.random.default_rng(0)
    time_axis = np.arange(RATE // 4) / RATE
    lines = ["FilePath,Class,Group"]
    for group in range(N_GROUPS):
        for label, frequency in CLASSES.items():
            name = f"{label}/{group}.wav"
            tone = 0.3 * np.sin(2 * np.pi * frequency * (1 + rng.normal(0, 0.1)) * time_axis)
            (folder / label).mkdir(parents=True, exist_ok=True)
            noisy = tone + rng.normal(0, 0.05, len(tone))
            soundfile.write(folder / name, noisy, RATE, format="WAV", subtype="PCM_16")
            lines.append(f"{name},{label},group {group}")
    (folder / "filespaths.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")


def copy(repository: Repository, folder: Path) -> Repository:
    """Return a copy in a new folder, with its cache, and a home without DVC's notes of others."""
    copied = Repository(folder / "repository", folder / "home")
    shutil.copytree(repository.folder, copied.folder, symlinks=True)
    shutil.copytree(repository.home, copied.home, ignore=shutil.ignore_patterns("site"))
    return copied


@dataclass(frozen=True)
class Done:
    """How a command ended, and all it printed."""

    returncode: int
    output: str
    hung: bool = False  # it had to be killed


def start(
    repository: Repository, variables: Mapping[str, str], command: list[str]
) -> "subprocess.Popen[str]":
    """Start a command as the first process of a group of its own."""
    own = apart(repository.home) | {"TIMBRE_JOBS": "1", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=repository.folder,
        env={**own, "PYTHONPATH": str(HOOK), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        # Whoever starts the trials in the background has them ignore it, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def repro(repository: Repository, variables: Mapping[str, str]) -> Done:
    """Run `dvc repro` to its end, whatever that is."""
    return finish(start(repository, variables, ["dvc", "repro"]))


def finish(process: "subprocess.Popen[str]") -> Done:
    """Wait until a command ends; kill its group if it does not."""
    hung = False
    try:
        output, _ = process.communicate(timeout=HANGS)
    except subprocess.TimeoutExpired:
        hung = True
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return Done(process.returncode, output, hung)


def wait_for_group(group: int, seconds: float) -> bool:
    """Wait until no process of a group is left; tell whether it came to that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(group):
            return True
        time.sleep(0.05)
    return False


def alive(group: int) -> list[int]:
    """Return the processes of a group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name may hold anything; what follows its bracket is state, parent, group.
            state, _, own = path.read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        if int(own) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found

"""A small repository with DVC in it, made from the working tree's own files."""

import csv
import hashlib
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.repository import apart, copy_working_tree

REPOSITORY = Path(__file__).resolve().parents[1]

N_SPEAKERS, N_UTTERANCES = 3, 12  # of the demo that a clone speaks

# Half a second of sound and some thousand weights: a stage takes hardly longer than its imports.
SMALL: dict[str, dict[str, Any]] = {
    "extract": {
        "sample_rate": 8000,
        "window_seconds": 0.5,
        "n_fft": 512,
        "hop_length": 128,
        "n_mels": 32,
        "n_shards": 4,
    },
    "train": {
        "channels": [4, 8],
        "hidden": [16],
        "lr": 0.003,
        "batch_size": 8,
        "epochs": 2,
        "device": "cpu",
    },
    "evaluate": {"top_k": 2},
}


@dataclass(frozen=True)
class Clone:
    """A git and DVC repository in `folder`, apart from all that the user's own DVC knows."""

    folder: Path
    home: Path  # of DVC's settings and notes; several clones may share one
    variables: dict[str, str] = field(default_factory=dict)  # of the environment, on top

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, with this Python's scripts first on the path."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=600,  # seconds: nothing here hangs for ever
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that commands run with."""
        return apart(self.home) | {
            "COLUMNS": "200",
            "TIMBRE_JOBS": "1",  # starting worker processes costs more than this corpus does
            **self.variables,
        }

    def dvc(self, *arguments: str) -> str:
        """Run a DVC command that must succeed; return all it printed."""
        return self._must("dvc", *arguments)

    def repro(self) -> list[str]:
        """Run `dvc repro`; return the stages whose command ran, in order."""
        return ran(self.dvc("repro"))

    def stage(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a stage's command without DVC."""
        return self.run(*self.command(name))

    def command(self, name: str) -> list[str]:
        """Return the command of a stage as dvc.yaml has it."""
        stages = yaml.safe_load((self.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        return shlex.split(stages[name]["cmd"])

    def params(self) -> dict[str, Any]:
        """Return params.yaml."""
        text = (self.folder / "params.yaml").read_text(encoding="utf-8")
        params: dict[str, Any] = yaml.safe_load(text)
        return params

    def set_params(self, changes: dict[str, dict[str, Any]]) -> None:
        """Change some values of params.yaml."""
        params = self.params()
        for section, values in changes.items():
            params[section].update(values)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        self._must("git", "add", "--all")
        self._must("git", "commit", "--quiet", "--message", "A state to come back to")

    def copy(self, folder: Path, **variables: str) -> "Clone":
        """Return an independent copy, DVC's cache and all."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Clone(folder, self.home, {**self.variables, **variables})

    def digests(self, *names: str) -> dict[str, str]:
        """Return the SHA-256 of each of these files, and of each file below these folders."""
        paths = [path for name in names for path in files_below(self.folder / name)]
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }

    def _must(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}"
        return done.stdout


def make_clone(folder: Path, home: Path) -> Clone:
    """Commit the working tree's files, lock files too, to a new repository."""
    copy_working_tree(folder)
    home.mkdir(parents=True)
    clone = Clone(folder, home)
    for command in (
        "git init --quiet --initial-branch main",
        "git config user.name 'Timbre tests'",
        "git config user.email tests@example.invalid",
    ):
        assert clone.run(*shlex.split(command)).returncode == 0
    clone.commit()
    return clone


def make_small(clone: Clone) -> None:
    """Leave little to compute: a tenth of the demo's clips, half a second of each, two epochs."""
    clone.set_params(SMALL)
    script = clone.folder / "timbre" / "demo_corpus.py"
    text = script.read_text(encoding="utf-8")
    start = "def speak_demo("
    assert text.count(start) == 1
    fewer = f"SPEAKERS, UTTERANCES = SPEAKERS[:{N_SPEAKERS}], UTTERANCES[:{N_UTTERANCES}]\n\n\n"
    script.write_text(text.replace(start, fewer + start), encoding="utf-8")


def wait_for_queue(clone: Clone, seconds: float = 300) -> str:
    """Return the queue's last status, when nothing in it waits or runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = clone.dvc("queue", "status")
        if "Queued" not in status and "Running" not in status:
            return status
        time.sleep(1)
    raise TimeoutError(f"still at work after {seconds:g} s:\n{status}")


def ran(output: str) -> list[str]:
    """Return the stages whose command DVC ran, in order."""
    return re.findall(r"^Running stage '([^']+)':", output, re.MULTILINE)


def restored(output: str) -> list[str]:
    """Return the stages that DVC took from its run-cache, in order."""
    return re.findall(r"^Stage '([^']+)' is cached - skipping run", output, re.MULTILINE)


def read_table(corpus: Path) -> list[list[str]]:
    """Return the rows of the corpus's table, the header first."""
    with (corpus / "filespaths.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_table(corpus: Path, rows: list[list[str]]) -> None:
    """Write the table of the corpus, the header first."""
    with (corpus / "filespaths.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def files_below(path: Path) -> list[Path]:
    """Return the file itself, or all files in a folder."""
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]

"""Where a run of the bench works: a temporary folder, its sizes, and the stages run in it."""

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]

Changes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Workshop:
    """A run: `folder` is removed at its end; a quick one only shows that all of it works."""

    folder: Path
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """Return how much of something this run takes."""
        return quick if self.quick else full

    def pairs(self, full: int) -> int:
        """Return how many pairs, or rounds, this run takes."""
        return 1 if self.quick else full

    def new_folder(self, name: str) -> Path:
        """Make a folder for one benchmark."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder


def params() -> dict[str, Any]:
    """Return the repository's params.yaml: what a new user gets."""
    read: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    return read


@dataclass(frozen=True)
class Pipeline:
    """The pipeline's stages without DVC, in a folder of their own, on a corpus anywhere."""

    folder: Path
    root: Path  # of the corpus

    @classmethod
    def make(cls, folder: Path, root: Path, changes: Changes) -> "Pipeline":
        """Lay the folder out; `changes` to params.yaml by section."""
        for name in ("data", "metrics", "models", "plots"):
            (folder / name).mkdir(parents=True)
        settings = params()
        for section, values in {"data": {}, **changes}.items():
            settings[section].update(values)
        text = yaml.safe_dump(settings)
        (folder / "params.yaml").write_text(text, encoding="utf-8")
        # What a stage meets in the first `dvc repro`: a record without its own outputs.
        (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
        return cls(folder, root.resolve())

    def command(self, stage: str) -> list[str]:
        """Return a stage's command as dvc.yaml has it."""
        words = shlex.split(pipeline_stages()[stage]["cmd"])[1:]
        own = [str(self.root) if word == "params:data.root" else word for word in words]
        return [sys.executable, *own]

    def run(self, stage: str) -> float:
        """Run a stage as a process; return its seconds."""
        return run_quietly(self.command(stage), self.folder, stage_environment())

    def run_needed_by(self, stage: str) -> None:
        """Run the stages that make what `stage` reads."""
        for name in needed_by(stage)[:-1]:
            self.run(name)


def pipeline_stages() -> dict[str, dict[str, Any]]:
    """Return the stages of dvc.yaml."""
    text = (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8")
    stages: dict[str, dict[str, Any]] = yaml.safe_load(text)["stages"]
    return stages


def needed_by(stage: str) -> list[str]:
    """Return the stages that make what `stage` reads, in the order of dvc.yaml, and itself."""
    stages = pipeline_stages()
    makers = {
        next(iter(out)) if isinstance(out, dict) else out: name
        for name, own in stages.items()
        for out in own["outs"]
    }
    wanted, waiting = set(), [stage]
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += [makers[dep] for dep in stages[name]["deps"] if makers.get(dep, name) != name]
    return [name for name in stages if name in wanted]


def change_params(path: Path, changes: Changes) -> None:
    """Change some values of params.yaml."""
    params: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in changes.items():
        params[section].update(values)
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def stage_environment() -> dict[str, str]:
    """Return an environment in which `python -m stages.X` runs in any folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def run_quietly(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command that must succeed; return its seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stdout}")
    return seconds

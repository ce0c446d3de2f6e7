"""Finished runs of the pipeline: the settings and the metrics of each, as DVC shows them."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbre.problems import InputError
from timbre.repository import find_root

Flat = dict[str, Any]  # keys of nested mappings, joined by dots


@dataclass(frozen=True)
class Run:
    """One run; without params, if it was read from files of metrics."""

    name: str
    params: Flat  # such as {"split.fold": 0}
    metrics: dict[str, float]  # such as {"test.accuracy": 0.9}: the file's name, then its keys


def ask_dvc(options: Sequence[str]) -> list[Run]:
    """Return the experiments that `dvc exp show` lists with these options.

    Raises InputError with DVC's own reason if it fails.
    """
    command = ["dvc", "exp", "show", "--json", *options]
    done = _run(command)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise InputError(f"`{' '.join(command)}` failed: {reason[0]}")
    return experiments(json.loads(done.stdout))


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Return the runs in JSON files: what `dvc exp show --json` wrote, or one run's metrics each.

    Raises InputError naming all files that hold neither.
    """
    runs, problems = [], []
    for path in paths:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            problems.append(f"{path}: cannot be read ({reason})")
            continue
        if isinstance(document, dict) and (metrics := _numbers({path.stem: document})):
            runs.append(Run(str(path), {}, metrics))
        elif isinstance(document, list):
            runs += experiments(document)
        else:
            problems.append(f"{path}: holds no metrics: give metrics/test.json of each run")
    if problems:
        raise InputError(problems)
    return runs


def experiments(shown: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Return the finished experiments in what `dvc exp show --json` writes, each once.

    Commits and the workspace are left out: an experiment that was applied stands there again.
    """
    found = {}
    for baseline in shown:
        for experiment in baseline.get("experiments") or []:
            newest = experiment["revs"][0]
            data = newest.get("data") or {}
            params = _contents(data.get("params"))
            metrics = _contents(data.get("metrics"))
            name = newest.get("name") or newest["rev"][:7]
            if flat := _numbers(metrics):
                merged = {key: value for file in params.values() for key, value in file.items()}
                found[newest["rev"]] = Run(name, flatten(merged), flat)
    return list(found.values())


def flatten(nested: Mapping[str, Any]) -> Flat:
    """Join the keys of nested mappings by dots."""
    flat: Flat = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{below}": leaf for below, leaf in flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _contents(files: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what each file holds, by its name without folder and suffix."""
    return {Path(path).stem: file.get("data") or {} for path, file in (files or {}).items()}


def _numbers(nested: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in flatten(nested).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


@contextmanager
def file_or_revision(named: str, output: str) -> Iterator[Path]:
    """Give the file that is named, or the `output` of a git revision, out of DVC's cache.

    `output` is named from the repository's top folder, whichever the current one is.

    Raises InputError where it is neither.
    """
    if Path(named).is_file():
        yield Path(named)
        return
    with tempfile.TemporaryDirectory(prefix="timbre-") as folder:
        path = Path(folder) / Path(output).name
        command = ["dvc", "get", "--rev", named, "--out", str(path), str(find_root()), output]
        done = _run(command)
        if done.returncode:
            reason = " ".join(done.stderr.split())
            raise InputError(f"{named}: no such file, nor a revision with {output}: {reason}")
        yield path


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{command[0]}: no such command: activate the environment") from None

"""A newcomer needs no more than make."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from clone import REPOSITORY

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell, also if these tests were themselves begun by make."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True)


def targets() -> set[str]:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


@needs_make
@pytest.mark.parametrize("target", ["repro", "test"])
def test_make_can_begin_without_an_environment(target: str, tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy2(REPOSITORY / name, tmp_path / name)
    plan = make(tmp_path, "-n", target)
    assert plan.returncode == 0, plan.stderr
    steps = [" -m venv ", "pip install", {"repro": "dvc repro", "test": "pytest"}[target]]
    places = [plan.stdout.find(step) for step in steps]
    assert -1 not in places, plan.stdout
    assert places == sorted(places)


@needs_make
def test_the_bare_command_lists_all_targets() -> None:
    shown = make(REPOSITORY).stdout
    assert {line.split(" - ")[0].strip() for line in shown.splitlines()} == targets()

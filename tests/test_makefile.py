"""Each command that the README tells a newcomer is one that works."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from clone import REPOSITORY

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def targets() -> set[str]:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def told(page: Path) -> list[str]:
    """The lines of a page's ```sh blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.M)
    return [line for block in blocks for line in block.splitlines()]


@needs_make
@pytest.mark.parametrize("target", ["repro", "test"])
def test_make_can_begin_without_an_environment(target: str, tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy2(REPOSITORY / name, tmp_path / name)
    plan = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True)
    assert plan.returncode == 0, plan.stderr
    steps = [" -m venv ", "pip install", {"repro": "dvc repro", "test": "pytest"}[target]]
    places = [plan.stdout.find(step) for step in steps]
    assert -1 not in places, plan.stdout
    assert places == sorted(places)


@needs_make
def test_the_bare_command_lists_all_targets() -> None:
    shown = subprocess.check_output(["make"], cwd=REPOSITORY, text=True)
    assert {line.split(" - ")[0].strip() for line in shown.splitlines()} == targets()


def test_the_readme_names_only_targets_that_are_there() -> None:
    page = REPOSITORY / "README.md"
    named = {name for line in told(page) for name in re.findall(r"\bmake ([a-z][a-z-]*)", line)}
    assert {"repro", "test"} <= named
    assert named <= targets()

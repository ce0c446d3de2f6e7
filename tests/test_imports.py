"""A stage starts without what it does not need: every run of it pays for its imports in seconds."""

import subprocess
import sys

import pytest
from clone import REPOSITORY

FOR_OTHERS = frozenset({"dvc", "librosa", "matplotlib", "scipy", "sklearn", "torch"})
UNWANTED = {
    "encode_labels": FOR_OTHERS | {"h5py"},
    "split": FOR_OTHERS | {"h5py", "pandas", "soundfile"},
    "extract_spectrograms": FOR_OTHERS | {"pandas"},
    "extract_conditions": FOR_OTHERS | {"pandas"},
    "report": FOR_OTHERS | {"pandas"},
    # What only reports use: a change of it must not train anew.
    "train_cnn": (FOR_OTHERS - {"torch"}) | {"pandas"},
}


def imported_by(module: str) -> set[str]:
    """The top-level packages that a fresh process holds once it has imported `module`."""
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("stage", UNWANTED)
def test_a_stage_imports_nothing_that_it_can_do_without(stage: str) -> None:
    imported = imported_by(f"stages.{stage}")
    assert {"stages", "timbre"} <= imported
    unwanted = imported & UNWANTED[stage]
    assert not unwanted


def test_settings_are_read_without_a_look_for_plugins_in_all_packages() -> None:
    code = "from importlib import metadata; metadata.distributions = None; import stages.split"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)

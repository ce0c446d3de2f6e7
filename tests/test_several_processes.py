"""The stage train_cnn as several processes: like one, whatever happens to them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from clone import Clone
from processes import ends, waited_for
from test_train_cnn import INPUTS, MODEL, TRAINED, place, train

from timbre.curves import Epoch, read_csv
from timbre.model_file import load_model

REPOSITORY = Path(__file__).parent.parent
SETTINGS: dict[str, Any] = {
    "epochs": 30,
    # Sums in another order differ in their last bits; larger steps make whole points of them.
    "lr": 0.001,
    "dropout": 0.0,
    "view_dropout": 0.0,
    "precision": "float32",
    "class_weights": "balanced",
    "batch_size": 7,
    "mask_frames": 3,
    "patience": 0,
    "crop": 0.2,
}
__all__ = ["place"]  # the fixture: a folder with clips


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("TIMBRE_JOBS", "2")


def start() -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stages.train_cnn", *map(str, (*INPUTS, *TRAINED))]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def outcome() -> list[bytes]:
    return [path.read_bytes() for path in TRAINED]


def measured(**changes: object) -> tuple[dict[str, Any], list[Epoch]]:
    return train(**{**SETTINGS, **changes}), read_csv(TRAINED[2])


@pytest.fixture
def whole(capfd: pytest.CaptureFixture[str]) -> list[bytes]:
    """What a training in two processes leaves; near enough to what one leaves."""
    (alone, one), (together, two) = measured(), measured(processes=2)
    for here, there in zip(one, two, strict=True):
        assert here.train_loss == pytest.approx(there.train_loss, rel=1e-3)
        assert here.val_loss == pytest.approx(there.val_loss, rel=1e-3)
        assert here.train_accuracy == pytest.approx(there.train_accuracy, abs=1e-6)
    assert together["val_accuracy"] == pytest.approx(alone["val_accuracy"], abs=0.1)
    assert together["val_loss"] == pytest.approx(alone["val_loss"], abs=0.05)
    assert together["parameters"] == alone["parameters"]
    assert [epoch.lr for epoch in one] == [epoch.lr for epoch in two]
    assert not Path(".timbre/train_cnn").exists()
    trained = load_model(MODEL)[1].trained
    assert (trained["processes"], trained["on"]) == (2, "cpu float32, 2 processes")
    said = capfd.readouterr()
    assert said.err == ""
    assert said.out.count("train_cnn: best epoch ") == 2  # once by one process, once by two
    return outcome()


def test_a_killed_process_ends_the_training_and_the_next_run_ends_as_if_it_had_lived(
    whole: list[bytes],
) -> None:
    for path in TRAINED:
        path.unlink()

    killed = start()
    waited_for(TRAINED[2], killed, lines=4)
    ranks = ranks_below(killed)
    next(process for process in ranks if process.environ()["RANK"] == "1").kill()
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == 1
    assert err == (
        "error: process 2 of the 2 that train together was killed by SIGKILL, maybe because "
        "memory ran out: end other programs, or lower train.processes or train.memory_gb, then "
        "run `dvc repro`: what is finished is not done again\n"
    )
    assert len(ranks) == 2
    assert all(ends(process.pid) for process in ranks)
    assert not MODEL.exists()

    again = start()
    out, err = again.communicate(timeout=120)
    assert (again.returncode, err) == (0, "")
    assert out.startswith("a training that was cut short goes on after epoch ")
    assert outcome() == whole


def ranks_below(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    below = psutil.Process(process.pid).children(recursive=True)
    return [child for child in below if "RANK" in child.environ()]


@pytest.mark.pipeline
def test_processes_end_with_a_dvc_that_is_killed_and_the_next_repro_goes_on(
    finished: Clone, tmp_path: Path
) -> None:
    clone = finished.copy(tmp_path / "clone", TIMBRE_JOBS="2")
    clone.set_params({"train": {"epochs": 40, "patience": 0, "processes": 2}})
    curves = clone.folder / "plots" / "learning_curves.csv"
    curves.unlink()
    command, environment = ["dvc", "repro", "train_cnn"], clone.environment()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=clone.folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as dvc:
        waited_for(curves, dvc, lines=3)
        ranks = ranks_below(dvc)
        dvc.kill()
    assert len(ranks) == 2
    assert all(ends(process.pid) for process in ranks)
    output = clone.dvc("repro", "train_cnn")
    assert "a training that was cut short goes on after epoch " in output
    assert "Traceback" not in output
    assert "train_cnn" not in clone.dvc("status")

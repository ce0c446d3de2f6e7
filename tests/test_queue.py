"""Experiments of DVC's queue side by side: what they compute in, and what comes out of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clone import REPOSITORY, Clone, wait_for_queue

pytestmark = pytest.mark.pipeline

CORES, JOBS = 2, 2
MODEL = "models/timbre.safetensors"
VARIED = ("-S", "split.n_folds=3", "-S", "split.fold=0,1", "-S", "train.seed=1")
Shown = dict[str, Any]  # an experiment in what `dvc exp show --json` writes


@pytest.fixture
def side_by_side(finished: Clone, tmp_path: Path) -> Iterator[tuple[Clone, Path]]:
    """A finished clone whose stages leave notes in the folder; its queue is stopped in the end."""
    notes = tmp_path / "notes"
    notes.mkdir()
    clone = finished.copy(
        tmp_path / "queue",
        TIMBRE_JOBS=str(CORES),
        OMP_NUM_THREADS=str(CORES),
        TIMBRE_NOTES=str(notes),
        PYTHONPATH=str(REPOSITORY / "tests" / "hook"),
    )
    yield clone, notes
    clone.run("dvc", "queue", "stop", "--kill")


def experiments(clone: Clone) -> dict[int, Shown]:
    """Return the data of the experiments, by their fold."""
    lines = json.loads(clone.dvc("exp", "show", "--json"))
    found = [one["revs"][0]["data"] for line in lines for one in line["experiments"] or []]
    return {data["params"]["params.yaml"]["data"]["split"]["fold"]: data for data in found}


def most_at_once(notes: list[Shown], name: str) -> int:
    """Return the highest sum of what processes had at one time."""
    return max(
        sum(int(other[name]) for other in notes if other["begun"] <= note["begun"] < other["ended"])
        for note in notes
    )


def test_experiments_side_by_side_share_the_cores_and_make_what_they_make_alone(
    side_by_side: tuple[Clone, Path], finished: Clone, tmp_path: Path
) -> None:
    clone, folder = side_by_side
    clone.dvc("exp", "run", "--queue", *VARIED, "train_cnn")
    started = clone.run("python", "-m", "timbre", "queue", "--jobs", str(JOBS))
    assert started.returncode == 0, started.stdout
    assert started.stdout.startswith("each of 2: TIMBRE_JOBS=1, OMP_NUM_THREADS=1\n")
    assert wait_for_queue(clone).count("Success") == JOBS
    notes = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    trainings = [note for note in notes if note["stage"] == "train_cnn"]
    assert len({note["place"] for note in trainings}) == JOBS  # each in a copy of its own
    assert max(note["begun"] for note in trainings) < min(note["ended"] for note in trainings)
    assert most_at_once(notes, "threads") == CORES
    assert most_at_once(notes, "processes") == CORES
    found = experiments(clone)
    assert sorted(found) == [0, 1]
    for fold, beside in found.items():
        alone = finished.copy(tmp_path / f"alone-{fold}", OMP_NUM_THREADS="1")
        changes = [option.replace("=0,1", f"={fold}") for option in VARIED]
        alone.dvc("exp", "run", *changes, "train_cnn")
        ((_, expected),) = experiments(alone).items()
        assert beside["outs"][MODEL] == expected["outs"][MODEL]
        assert beside["metrics"]["metrics/train.json"] == expected["metrics"]["metrics/train.json"]
    assert found[0]["outs"][MODEL] != found[1]["outs"][MODEL]
    done = clone.run("python", "-m", "timbre.summary", "--metric", "train.val_accuracy")
    assert "2 runs" in done.stdout
    assert "warning: split.fold: no finished run of 2 (of 3)" in done.stdout

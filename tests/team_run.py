"""What the tests have several processes do together; a launcher runs it as it runs a stage."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from test_training import training

from timbre import ranks
from timbre.dataset import SpectrogramDataset
from timbre.problems import InputError
from timbre.team import CPU, Team, join_team
from timbre.training import Training

EPOCHS = 3


def alike(team: Team) -> Training:
    """Return a training in which chance differs for no process, and no other rounds to much."""
    run = training(EPOCHS)
    run.augmentation = run.augmentation.__class__(
        **{**vars(run.augmentation), "mixup": 0.0}  # which blends within a process's slice
    )
    for module in run.trainer.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    run.trainer.class_weights = torch.tensor([0.5, 1.0, 1.5])
    run.trainer.team = team
    run.trainer.joined = team.join(run.trainer.network)
    # Under Adam, weights whose gradient is rounding alone would go their own way.
    run.trainer.optimizer = torch.optim.SGD(run.trainer.network.parameters(), momentum=0.9)
    run.learning_rate = lambda _: 0.05
    return run


class Recorded(SpectrogramDataset):
    """Notes which windows are read."""

    seen: list[int]

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        """Return copies of the windows."""
        self.seen.extend(indices.tolist())
        return super().read(indices)


def recorded(dataset: SpectrogramDataset) -> Recorded:
    """Return the same windows, none of them read yet."""
    noting = Recorded(**vars(dataset))
    object.__setattr__(noting, "seen", [])
    return noting


def train(team: Team, folder: Path) -> None:
    """Train, and write what this process read and what it measured."""
    run = alike(team)
    run.train, val = recorded(run.train), run.val
    part = team.part(len(val))
    assert isinstance(val.log_mel, torch.Tensor)
    run.val = recorded(SpectrogramDataset(val.table.of(part), val.targets[part], val.log_mel[part]))
    (folder / str(team.rank)).mkdir()
    run.fit(folder / str(team.rank) / "checkpoint", "x", lambda: None)
    told: dict[str, Any] = {
        "train": run.train.seen,
        "val": run.val.seen,
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "weights": [value.tolist() for value in run.best_weights.values()],
        "dropped": torch.get_rng_state().tolist(),
    }
    (folder / f"{team.rank}.json").write_text(json.dumps(told))
    team.leave()


def differ(team: Team, _: Path) -> None:
    """Find other data than the other process."""
    team.check_same(str(team.rank))


def refuse(team: Team, _: Path) -> None:
    """Find a problem in one process, for which the other one waits."""
    if team.rank == 1:
        raise InputError(["a.csv: is wrong: mend it", "b.csv: too"])
    team.sum(1)


def stumble(team: Team, _: Path) -> None:
    """Make a mistake in one process, for which the other one waits."""
    if team.rank == 1:
        raise ZeroDivisionError("ours")
    team.sum(1)


def wait(team: Team, _: Path) -> None:
    """Wait for ever, one process inside torch."""
    if team.rank == 1:
        time.sleep(600)
    team.sum(1)


TASKS: dict[str, Callable[[Team, Path], None]] = {
    task.__name__: task for task in (train, differ, refuse, stumble, wait)
}


def main(task: Path, folder: Path) -> None:
    """Do a task, once this process's number stands in a file."""
    team = join_team(CPU)
    (folder / f"{team.rank}.partial").write_text(str(os.getpid()))
    (folder / f"{team.rank}.partial").rename(folder / f"{team.rank}.pid")
    TASKS[task.name](team, folder)


if __name__ == "__main__":
    ranks.run(main)

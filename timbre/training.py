"""A whole training: epoch after epoch, the best one kept, stopped when nothing improves."""

import itertools
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Never

import torch
from tqdm import tqdm

from timbre.augmentation import Augmentation
from timbre.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from timbre.curves import Epoch, overfitting_epoch
from timbre.dataset import Batch, SpectrogramDataset, batches
from timbre.device import starved
from timbre.team import Share
from timbre.trainer import Augment, Score, Trainer, seeded

LONG_ENOUGH = 1.0  # seconds of an epoch that tell how busy the machine is


@dataclass
class Training:
    """One run of `n_epochs` at most; `epochs` and `best_weights` grow as it goes."""

    trainer: Trainer
    train: SpectrogramDataset
    val: SpectrogramDataset
    batch_size: int
    n_epochs: int
    patience: int  # epochs without a better validation loss; 0: never stop early
    seed: int
    learning_rate: Callable[[float], float]  # of the share of all steps that is done
    augmentation: Augmentation
    ramp_epochs: int  # in which what is imitated grows to its full strength, 0 in the first
    epochs: list[Epoch] = field(default_factory=list)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    warned: bool = False

    def fit(self, checkpoint: Path, fingerprint: str, after_epoch: Callable[[], None]) -> None:
        """Run all epochs; go on where a run with the same fingerprint left its checkpoint."""
        network, optimizer = self.trainer.network, self.trainer.optimizer
        if found := load_checkpoint(checkpoint, fingerprint, network, optimizer):
            self.epochs = [Epoch(**epoch) for epoch in found.progress]
            self.best_weights = found.best_weights
        done, team = len(self.epochs), self.trainer.team
        team.check_same(f"{fingerprint} {done}")
        if done and team.leads:
            print(f"a training that was cut short goes on after epoch {done}", flush=True)
        n_windows = self.n_epochs * len(self.train)
        with tqdm(
            total=n_windows,
            initial=done * len(self.train),
            unit="window",
            disable=None if team.leads else True,
        ) as bar:
            while not self.finished():
                self._run_epoch(bar)
                if team.leads:
                    progress = [asdict(epoch) for epoch in self.epochs]
                    state = Checkpoint(progress, self.best_weights)
                    save_checkpoint(checkpoint, fingerprint, state, network, optimizer)
                    after_epoch()

    def finished(self) -> bool:
        """Tell whether all epochs are done, or none of the last `patience` was an improvement."""
        done = len(self.epochs)
        waited = done - self.best_epoch
        return done >= self.n_epochs or (self.patience > 0 and done > 0 and waited >= self.patience)

    @property
    def best_epoch(self) -> int:
        """Return the number of the epoch with the lowest validation loss, 0 before the first.

        One of the ramp is not kept for long: it may do best on validation, which is clean, and yet
        know no other recordings.
        """
        candidates = self.epochs[self.ramp_epochs :] or self.epochs[-1:]
        best = min(candidates, key=lambda epoch: epoch.val_loss, default=None)
        return best.epoch if best else 0

    def summary(self) -> dict[str, Any]:
        """Return how it went, of the best epoch and as a whole."""
        best = self.epochs[self.best_epoch - 1]
        return {
            "epochs": len(self.epochs),
            "best_epoch": best.epoch,
            "val_loss": round(best.val_loss, 6),
            "val_accuracy": round(best.val_accuracy, 6),
            "train_loss": round(best.train_loss, 6),
            "train_accuracy": round(best.train_accuracy, 6),
            "stopped_early": len(self.epochs) < self.n_epochs,
            "overfitting_from": overfitting_epoch(self.epochs),
        }

    def train_epoch(self, number: int, bar: "tqdm[Never]") -> Score:
        """Train on each window once, in the order and with the changes of epoch `number`."""
        generator = seeded(self.seed, number)
        order = self.train.epoch_order(generator)
        augment = self._augment(number, generator)
        self.trainer.team.seed_own()
        rates, weights = self._learning_rates(number), (share.weight for share in self._shares())
        with closing(self._batches(order, bar)) as found:
            return self.trainer.train(found, rates, augment, weights)

    def _run_epoch(self, bar: "tqdm[Never]") -> None:
        number = len(self.epochs) + 1
        bar.set_description(f"epoch {number}/{self.n_epochs}")
        wall, cpu = time.perf_counter(), time.process_time()
        met = self.train_epoch(number, bar)
        self._warn_if_starved(time.process_time() - cpu, time.perf_counter() - wall)
        with closing(batches(self.val, self.batch_size)) as found:
            seen = self.trainer.measure(found)
        lr = float(self.trainer.optimizer.param_groups[0]["lr"])
        self.epochs.append(Epoch(number, met.loss, met.accuracy, seen.loss, seen.accuracy, lr))
        if self.best_epoch == number:
            state = self.trainer.network.state_dict()
            self.best_weights = {name: value.detach().clone() for name, value in state.items()}
        bar.set_postfix(val_loss=f"{seen.loss:.3f}", val_accuracy=f"{seen.accuracy:.3f}")

    def _shares(self) -> Iterator[Share]:
        return self.trainer.team.deal(len(self.train), self.batch_size)

    def _batches(self, order: torch.Tensor, bar: "tqdm[Never]") -> Generator[Batch, None, None]:
        own = (share.own for share in self._shares())
        with closing(batches(self.train, self.batch_size, order, own)) as found:
            for batch, share in zip(found, self._shares(), strict=True):
                yield batch
                bar.update(share.n_windows)

    def strength(self, number: int) -> float:
        """Return how strongly epoch `number` imitates, as a share of the settings."""
        return min(1.0, (number - 1) / self.ramp_epochs) if self.ramp_epochs else 1.0

    def _augment(self, number: int, generator: torch.Generator) -> Augment:
        """Return the changes to this process's part of the epoch's batches, in turn."""
        shape = self.train.table.shape
        augmentation = self.augmentation.weakened(self.strength(number))
        draws = augmentation.draw(len(self.train), *shape, generator)
        field = augmentation.channel.draw_field(*shape, generator)
        field = field.to(self.trainer.device)
        shares = self._shares()

        def augment(windows: torch.Tensor, probs: torch.Tensor) -> Batch:
            return augmentation.apply(windows, probs, draws.of(next(shares).own), field)

        return augment

    def _warn_if_starved(self, cpu_seconds: float, wall_seconds: float) -> None:
        # Threads are not taken away here: another number of them gives other last bits.
        on_cpu = self.trainer.device.type == "cpu" and self.trainer.team.leads
        if on_cpu and not self.warned and wall_seconds > LONG_ENOUGH:
            n_threads = torch.get_num_threads()
            self.warned = starved(cpu_seconds, wall_seconds, n_threads)
            if self.warned:
                print(
                    f"warning: other work takes cores that {n_threads} threads count on, which can "
                    "make training several times slower: end it, or set OMP_NUM_THREADS=1",
                    file=sys.stderr,
                )

    def _learning_rates(self, epoch: int) -> Iterator[float]:
        per_epoch = -(-len(self.train) // self.batch_size)
        first = (epoch - 1) * per_epoch
        steps = itertools.count(first + 1)
        return (self.learning_rate(step / (per_epoch * self.n_epochs)) for step in steps)

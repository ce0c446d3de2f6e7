"""One pass over the training split, one over the validation split."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from timbre.dataset import Batch
from timbre.team import ALONE, Team

# From the next batch, which may be overwritten, and its target probabilities `(n, n_classes)` to
# those that are trained on.
Augment = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Score:
    """Means over the windows of a split."""

    loss: float
    accuracy: float


@dataclass
class Trainer:
    """A network in training and what every step of it needs."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    precision: torch.dtype
    class_weights: torch.Tensor  # (n_classes,), mean 1 over the training clips
    label_smoothing: float
    max_grad_norm: float
    team: Team = ALONE
    joined: nn.Module | None = None  # the network as it adds up gradients over the team

    def train(
        self,
        batches: Iterable[Batch],
        learning_rates: Iterator[float],
        augment: Augment,
        weights: Iterable[float] = itertools.repeat(1.0),
    ) -> Score:
        """Take one step a batch; the score is of the augmented windows as they were met.

        `weights` are those of this process's mean losses in the team's.
        """
        self.network.train()
        tally = _Tally(self.device)
        for (log_mel, target), weight in zip(batches, weights, strict=False):
            for group in self.optimizer.param_groups:
                group["lr"] = next(learning_rates)
            probs = one_hot(target.to(self.device), len(self.class_weights)).float()
            mixed, wanted = augment(log_mel.to(self.device, torch.float32), probs)
            logits, loss = self._step(mixed, wanted, weight)
            tally.add(loss, logits, wanted.argmax(dim=1))
        return tally.score(self.team)

    def measure(self, batches: Iterable[Batch]) -> Score:
        """Score windows without learning; the loss is plain cross-entropy in nats."""
        self.network.eval()
        tally = _Tally(self.device)
        with torch.inference_mode():
            for log_mel, target in batches:
                target = target.to(self.device)
                logits = self._logits(self.network, log_mel.to(self.device, torch.float32))
                tally.add(cross_entropy(logits, target), logits, target)
        return tally.score(self.team)

    def _step(
        self, log_mel: torch.Tensor, wanted: torch.Tensor, weight: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        logits = self._logits(self.joined or self.network, log_mel)
        loss = cross_entropy(
            logits, wanted, weight=self.class_weights, label_smoothing=self.label_smoothing
        )
        loss.backward(torch.full_like(loss, weight))  # type: ignore[no-untyped-call]  # torch's own
        nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return logits.detach(), loss.detach()

    def _logits(self, network: nn.Module, log_mel: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            logits: torch.Tensor = network(log_mel.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def _autocast(self) -> AbstractContextManager[object]:
        lower = self.precision != torch.float32
        return torch.autocast(self.device.type, self.precision, enabled=lower)


class _Tally:
    """Sums kept on the device: asking for a number after each batch would make a GPU wait."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), device=device)
        self.hits = torch.zeros((), device=device)
        self.count = 0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, target: torch.Tensor) -> None:
        self.loss += loss * len(target)
        self.hits += (logits.argmax(dim=1) == target).sum()
        self.count += len(target)

    def score(self, team: Team) -> Score:
        loss, hits, count = team.sum(float(self.loss), float(self.hits), self.count)
        return Score(loss / count, hits / count)


def balanced_weights(counts: torch.Tensor) -> torch.Tensor:
    """Return class weights `(n_classes,)` inverse to the clips of each class; mean 1 over clips.

    Source: G. King, L. Zeng, "Logistic regression in rare events data", 2001 (as scikit-learn).
    """
    weights: torch.Tensor = counts.sum() / (len(counts) * counts.clamp(min=1).float())
    return weights


def seeded(seed: int, epoch: int) -> torch.Generator:
    """Seed all that is random in one epoch: dropout through torch's own generator, the rest here.

    Each epoch's randomness is a function of seed and epoch alone, so that a run which goes on after
    a kill needs no generator's state to end with the same bytes.
    """
    mixed = (seed * 1_000_003 + epoch) % 2**63
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)

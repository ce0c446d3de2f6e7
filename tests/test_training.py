import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from channels import LOUD, QUIET
from torch import nn
from torch.nn.functional import one_hot

from timbre.augmentation import Augmentation
from timbre.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from timbre.curves import Epoch
from timbre.dataset import Batch, SpectrogramDataset, WindowTable, batches, mean_and_std
from timbre.networks import CompactCNN
from timbre.schedule import learning_rate
from timbre.trainer import Augment, Score, Trainer, balanced_weights, seeded
from timbre.training import Training

CPU = torch.device("cpu")
N_CLASSES, N_MELS, N_FRAMES = 3, 8, 12
OFF = Augmentation(QUIET, 1, 0, 0, 0, 0.0, -80.0)


def learnable(n: int, seed: int) -> SpectrogramDataset:
    """Windows whose class is the band that is loud."""
    targets = np.arange(n) % N_CLASSES
    rows = np.arange(n)
    log_mel = np.random.default_rng(seed).normal(-60, 8, (n, 1, N_MELS, N_FRAMES))
    log_mel[rows, 0, targets * 2] += 12
    return in_memory(torch.from_numpy(log_mel).half(), torch.from_numpy(targets))


def in_memory(log_mel: torch.Tensor, targets: torch.Tensor) -> SpectrogramDataset:
    rows = np.arange(len(log_mel))
    table = WindowTable([], (log_mel.shape[2], log_mel.shape[3]), rows * 0, rows, rows)
    return SpectrogramDataset(table, targets, log_mel)


def network() -> CompactCNN:
    torch.manual_seed(0)
    return CompactCNN(N_CLASSES, N_MELS, [4, 8], stride=1, pool=2, hidden=[16], dropout=0.1)


def training(epochs: int = 6, patience: int = 0, lr: float = 0.02, seed: int = 0) -> Training:
    train, val = learnable(60, 1), learnable(30, 2)
    net = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.normalise.set_statistics(*mean_and_std(train))
    trainer = Trainer(
        network=net,
        optimizer=torch.optim.AdamW(net.parameters(), fused=True),
        device=CPU,
        precision=torch.float32,
        class_weights=torch.ones(N_CLASSES),
        label_smoothing=0.0,
        max_grad_norm=5.0,
    )
    return Training(
        trainer=trainer,
        train=train,
        val=val,
        batch_size=16,
        n_epochs=epochs,
        patience=patience,
        seed=seed,
        learning_rate=lambda progress: learning_rate(progress, lr, "cosine", 0.1),
        augmentation=Augmentation(QUIET, 1, 2, 2, 1, 0.2, -80.0),
        ramp_epochs=0,
    )


def weights_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Tell whether two state dicts hold the same values under the same names."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def nothing() -> None: ...


def test_what_can_be_learned_is_learned(tmp_path: Path) -> None:
    run = training(epochs=25)
    run.augmentation = Augmentation(QUIET, 1, 0, 0, 0, 0.0, -80.0)
    run.fit(tmp_path / "c", "x", nothing)
    assert len(run.epochs) == 25
    assert run.epochs[-1].val_accuracy > 0.9
    assert run.epochs[-1].val_loss < run.epochs[0].val_loss / 2


def test_the_best_weights_are_those_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    run = training()
    run.fit(tmp_path / "c", "x", nothing)
    losses = [epoch.val_loss for epoch in run.epochs]
    assert run.best_epoch == 1 + losses.index(min(losses))
    run.trainer.network.load_state_dict(run.best_weights)
    seen = run.trainer.measure(batches(run.val, run.batch_size))
    assert seen.loss == pytest.approx(min(losses), rel=1e-6)


def test_training_stops_when_patience_is_spent(tmp_path: Path) -> None:
    run = training(epochs=50, patience=2, lr=1e-9)
    assert isinstance(run.val.log_mel, torch.Tensor)
    run.val.log_mel.neg_().sub_(120)  # what is learned is wrong here
    run.learning_rate = lambda _: 0.05
    run.fit(tmp_path / "c", "x", nothing)
    assert len(run.epochs) == run.best_epoch + 2 < 50


def test_the_same_seed_gives_the_same_weights_and_another_others(tmp_path: Path) -> None:
    runs = [training(2, seed=seed) for seed in (7, 7, 8)]
    for number, run in enumerate(runs):
        run.fit(tmp_path / str(number), "x", nothing)
    assert runs[0].epochs == runs[1].epochs
    assert weights_equal(runs[0].best_weights, runs[1].best_weights)
    assert runs[0].epochs != runs[2].epochs


@dataclass
class Watcher(Trainer):
    """Learns nothing, but keeps what it was to learn from, and at which rates."""

    rates: list[float] = field(default_factory=list)
    sizes: list[list[int]] = field(default_factory=list)  # of each epoch's batches
    met: list[list[torch.Tensor]] = field(default_factory=list)  # windows, probabilities, targets

    def train(
        self,
        batches: Iterable[Batch],
        learning_rates: Iterator[float],
        augment: Augment,
        weights: Iterable[float] = (),  # noqa: ARG002 (the trainer's interface)
    ) -> Score:
        met = []
        for log_mel, target in batches:
            self.rates.append(next(learning_rates))
            met.append((*augment(log_mel.float(), one_hot(target, N_CLASSES).float()), target))
        self.sizes.append([len(target) for _, _, target in met])
        self.met.append([torch.cat(parts) for parts in zip(*met, strict=True)])
        return Score(0.0, 0.0)


def watched(run: Training, folder: Path) -> Watcher:
    """Run a training in which nothing is learned; return what it would have learned from."""
    watcher = Watcher(**vars(run.trainer))
    run.trainer = watcher
    run.fit(folder / "c", "x", nothing)
    return watcher


def test_each_epoch_meets_every_window_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    run = training(epochs=4)
    run.augmentation = OFF
    watcher = watched(run, tmp_path)
    assert watcher.sizes == [[16, 16, 16, 12]] * 4
    assert isinstance(run.train.log_mel, torch.Tensor)
    places = {window.numpy().tobytes(): n for n, window in enumerate(run.train.log_mel.float())}
    orders = [
        tuple(places[window.numpy().tobytes()] for window in windows)
        for windows, _, _ in watcher.met
    ]
    assert [sorted(order) for order in orders] == [list(range(60))] * 4
    assert len(set(orders)) == 4
    for order, (_, _, targets) in zip(orders, watcher.met, strict=True):
        assert targets.tolist() == run.train.targets[list(order)].tolist()


def test_each_epoch_draws_its_own_changes(tmp_path: Path) -> None:
    run = training(epochs=2)
    run.train = in_memory(torch.zeros(60, 1, N_MELS, N_FRAMES), torch.zeros(60, dtype=torch.int64))
    first, second = watched(run, tmp_path).met
    assert (first[0] == -80).any()
    assert not torch.equal(first[0], second[0])


def test_the_batch_size_moves_no_draw(tmp_path: Path) -> None:
    met = []
    for size in (7, 60):
        run = training(epochs=2)
        run.batch_size = size
        # Mixup blends within a batch: it alone may tell one size from another.
        run.augmentation = replace(run.augmentation, mixup=0.0)
        met.append(watched(run, tmp_path / str(size)).met)
    for one, other in zip(*met, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_imitated_recordings_are_the_same_for_a_seed(tmp_path: Path) -> None:
    met = []
    for folder in ("a", "b"):
        run = training(epochs=2)
        run.augmentation = replace(OFF, channel=LOUD)
        met.append(watched(run, tmp_path / folder).met)
    for one, other in zip(*met, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(met[0][0][0], met[0][1][0])


def test_imitation_grows_from_nothing_to_its_full_strength(tmp_path: Path) -> None:
    run = training(epochs=5)
    run.augmentation, run.ramp_epochs = replace(OFF, channel=LOUD), 3
    assert [run.strength(number) for number in range(1, 6)] == [0, 1 / 3, 2 / 3, 1, 1]
    first, second, *_ = watched(run, tmp_path).met
    assert torch.equal(
        first[0].sort(0).values, run.train.read(torch.arange(60)).float().sort(0).values
    )
    assert not torch.equal(second[0].sort(0).values, first[0].sort(0).values)


def test_an_epoch_of_the_ramp_is_kept_until_there_is_a_better_founded_one() -> None:
    run = training()
    run.ramp_epochs = 2
    kept = []
    for number, loss in enumerate([0.5, 0.1, 0.9, 0.7, 0.8], start=1):
        run.epochs.append(Epoch(number, 1.0, 0.5, loss, 0.5, 0.01))
        kept.append(run.best_epoch)
    assert kept == [1, 2, 3, 4, 4]


def test_no_window_is_left_alone_in_the_last_batch(tmp_path: Path) -> None:
    run = training(epochs=1)
    run.train = learnable(49, 1)
    assert watched(run, tmp_path).sizes == [[16, 16, 17]]


def test_the_learning_rate_is_asked_for_each_share_of_all_steps(tmp_path: Path) -> None:
    run = training(epochs=3)
    run.learning_rate = lambda progress: progress
    assert watched(run, tmp_path).rates == [step / 12 for step in range(1, 13)]


@pytest.mark.parametrize(("busy", "times"), [(True, 1), (False, 0)])
def test_training_that_others_slow_down_says_so_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    busy: bool,
    times: int,
) -> None:
    monkeypatch.setattr("timbre.training.LONG_ENOUGH", 0.0)
    monkeypatch.setattr("timbre.training.starved", lambda *_: busy)
    run = training(epochs=3)
    run.fit(tmp_path / "c", "x", nothing)
    assert capsys.readouterr().err.count("warning: other work takes cores") == times
    assert run.warned == busy


class KilledError(Exception):
    """Stands for SIGKILL between two epochs."""


def kill_after(run: Training, n_epochs: int) -> Callable[[], None]:
    def check() -> None:
        if len(run.epochs) == n_epochs:
            raise KilledError

    return check


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, killed_after: int) -> None:
    whole = training()
    whole.fit(tmp_path / "whole", "x", nothing)
    first = training()
    with pytest.raises(KilledError):
        first.fit(tmp_path / "c", "x", kill_after(first, killed_after))
    assert goes_on_to_the_same_end(tmp_path, whole) == list(range(killed_after + 1, 7))


def goes_on_to_the_same_end(folder: Path, whole: Training) -> list[int]:
    """Run what was killed to its end; return the epochs that it ran."""
    torch.manual_seed(99)  # another process starts with another state
    second = training()
    trained: list[int] = []
    second.fit(folder / "c", "x", lambda: trained.append(len(second.epochs)))
    assert second.epochs == whole.epochs
    assert weights_equal(second.best_weights, whole.best_weights)
    ends = [run.trainer.network.state_dict() for run in (second, whole)]
    assert weights_equal(*ends)
    return trained


@pytest.mark.parametrize(("step", "first_epoch"), [(1, 1), (4, 1), (5, 2), (11, 3), (24, 6)])
def test_a_run_killed_in_a_step_does_that_epoch_again(
    step: int, first_epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first = training(), training()
    whole.fit(tmp_path / "whole", "x", nothing)
    steps, learn = itertools.count(1), first.trainer.optimizer.step

    def killed_step() -> None:
        learn()
        if next(steps) == step:
            raise KilledError

    monkeypatch.setattr(first.trainer.optimizer, "step", killed_step)
    with pytest.raises(KilledError):
        first.fit(tmp_path / "c", "x", nothing)
    assert goes_on_to_the_same_end(tmp_path, whole) == list(range(first_epoch, 7))


@pytest.mark.parametrize("at", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("epoch", [1, 4])
def test_a_run_killed_while_it_saves_goes_on_from_the_state_before(
    at: str, epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first = training(), training()
    whole.fit(tmp_path / "whole", "x", nothing)

    def killed(*_: object) -> None:
        raise KilledError

    def strike() -> None:
        if len(first.epochs) == epoch - 1:
            monkeypatch.setattr(at, killed)

    if epoch == 1:
        strike()
    with pytest.raises(KilledError):
        first.fit(tmp_path / "c", "x", strike)
    monkeypatch.undo()
    assert goes_on_to_the_same_end(tmp_path, whole) == list(range(epoch, 7))


def test_changed_inputs_never_resume_a_stale_state(tmp_path: Path) -> None:
    training(2).fit(tmp_path / "c", "old inputs", nothing)
    run = training(2)
    epochs: list[int] = []
    run.fit(tmp_path / "c", "new inputs", lambda: epochs.append(len(run.epochs)))
    assert epochs == [1, 2]


@dataclass
class State:
    net: nn.Module
    optimizer: torch.optim.Optimizer


def stepped(n_steps: int) -> State:
    net = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        net(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    return State(net, optimizer)


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    old, new = stepped(3), stepped(0)
    best = {name: value + 1 for name, value in old.net.state_dict().items()}
    progress = [{"epoch": 1, "val_loss": 0.1 + 0.2}]
    save_checkpoint(tmp_path / "c", "x", Checkpoint(progress, best), old.net, old.optimizer)
    found = load_checkpoint(tmp_path / "c", "x", new.net, new.optimizer)
    assert found is not None
    assert found.progress == progress
    assert weights_equal(found.best_weights, best)
    assert weights_equal(new.net.state_dict(), old.net.state_dict())
    for one, other in zip(
        old.optimizer.state_dict()["state"].values(),
        new.optimizer.state_dict()["state"].values(),
        strict=True,
    ):
        assert weights_equal(one, other)


def start(fused: bool, channels_last: bool) -> State:
    torch.manual_seed(0)
    net = nn.Conv2d(2, 3, kernel_size=3)
    if channels_last:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return State(net, torch.optim.AdamW(net.parameters(), lr=0.1, fused=fused))


def step(state: State, seed: int) -> None:
    state.optimizer.zero_grad()
    state.net(torch.randn((4, 2, 8, 8), generator=seeded(seed, 1))).square().sum().backward()
    state.optimizer.step()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_an_optimizer_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(
    tmp_path: Path, fused: bool, channels_last: bool
) -> None:
    whole, resumed = start(fused, channels_last), start(fused, channels_last)
    step(whole, 1)
    best = {name: value.clone() for name, value in whole.net.state_dict().items()}
    save_checkpoint(tmp_path / "c", "x", Checkpoint([], best), whole.net, whole.optimizer)
    assert load_checkpoint(tmp_path / "c", "x", resumed.net, resumed.optimizer)
    for state in (whole, resumed):
        step(state, 2)
    assert weights_equal(resumed.net.state_dict(), whole.net.state_dict())


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 9, b"\x80\x04K\x01."])
def test_an_unusable_checkpoint_changes_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "c").write_bytes(content)
    state = stepped(0)
    before = {name: value.clone() for name, value in state.net.state_dict().items()}
    assert load_checkpoint(tmp_path / "c", "x", state.net, state.optimizer) is None
    assert weights_equal(state.net.state_dict(), before)


def test_balanced_weights_make_classes_count_equally() -> None:
    counts = torch.tensor([10, 30, 60])
    weights = balanced_weights(counts)
    torch.testing.assert_close(weights * counts, torch.full((3,), 100 / 3))
    torch.testing.assert_close((weights * counts).sum(), torch.tensor(100.0))


def test_a_class_without_clips_gets_a_finite_weight() -> None:
    assert balanced_weights(torch.tensor([0, 4])).isfinite().all()


def test_each_epoch_has_its_own_randomness() -> None:
    draws = {(s, e): float(torch.rand((), generator=seeded(s, e))) for s in (0, 1) for e in (1, 2)}
    assert len(set(draws.values())) == 4
    assert float(torch.rand((), generator=seeded(0, 1))) == draws[0, 1]
    first = (seeded(0, 1), torch.rand(()))[1]
    again = (seeded(0, 1), torch.rand(()))[1]
    assert float(first) == float(again)


@pytest.mark.parametrize(
    ("n_threads", "cpu_seconds", "told"), [(2, 1.0, 1), (2, 1.9, 0), (1, 0.2, 0)]
)
def test_a_run_that_is_kept_waiting_says_so_once(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    n_threads: int,
    cpu_seconds: float,
    told: int,
) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: n_threads)
    clocks = {"process_time": itertools.count(0, cpu_seconds), "perf_counter": itertools.count()}
    for name, ticks in clocks.items():
        monkeypatch.setattr(f"timbre.training.time.{name}", lambda ticks=ticks: next(ticks))
    monkeypatch.setattr("timbre.training.LONG_ENOUGH", 0.5)
    run = training(3)
    run.fit(tmp_path / "c", "x", nothing)
    assert capsys.readouterr().err.count("set OMP_NUM_THREADS=1") == told

"""The floor: what the bytes to move and the operations to do cost at this machine's best rates."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench import ours, rates
from bench.baselines import SECONDS
from bench.corpora import reciter_wavs
from bench.figures import Figure, value_figure
from bench.machine import n_cores
from bench.pairs import Side, repeat, untold
from bench.spectrograms import open_split, reciters
from bench.workshop import Workshop
from timbre.log_mel import LogMel

COPY, COPY_ALL = "memory copy, one core", "memory copy, all cores"
READ, SHA256 = "file read, page cache, one core", "SHA-256, one core"
CONV_BF16 = "3 x 3 convolution, bfloat16, all cores"
MATMUL = "matrix product, float32, all cores"

BATCH_SIZE = 16
# Layers whose output must be somewhere; others can be computed on the way to the next.
KEPT = (nn.Conv2d, nn.MaxPool2d, nn.Linear)
# Going forward an output is written and read; going back it is read, its gradient written and read.
PASSES_OF_ACTIVATIONS = 5
# AdamW reads and writes weight and both moments, reads the gradient, which was written before.
PASSES_OF_WEIGHTS = 8


def floor(workshop: Workshop) -> list[Figure]:
    """Measure the machine, derive the floors, and tell how near Timbre is to them."""
    measured = machine_rates(workshop)
    figures = [value_figure(name, [value], unit) for name, (value, unit) in measured.items()]
    value = {name: value for name, (value, _) in measured.items()}
    paths = reciter_wavs(workshop.new_folder("floor-clips"), workshop.size(300, 20), 22_050)
    figures += extraction_floor(workshop, paths, value)
    pipeline = reciters(workshop, workshop.new_folder("floor-training"))
    train, val = open_split(pipeline, "train"), open_split(pipeline, "val")
    run = ours.training(pipeline.folder, train, val)
    numbers = itertools.count(1)
    seconds = repeat(
        Side(lambda: ours.train_epoch(run, next(numbers)), len(train)), workshop.pairs(3)
    )
    work = training_work(ours.default_network(pipeline.folder, train), train.table.shape)
    lowest = work.seconds(value[CONV_BF16] * 1e9, 2 * value[COPY_ALL] * 1e9)
    return figures + nearness("training, a clip", lowest, min(seconds))


def machine_rates(workshop: Workshop) -> dict[str, tuple[float, str]]:
    """Return what the machine does at its best, each with its unit."""
    n = workshop.pairs(rates.ROUNDS)
    return {
        COPY: (rates.copy_rate(n) / 1e9, "GB/s"),
        COPY_ALL: (rates.parallel_copy_rate(n) / 1e9, "GB/s"),
        READ: (rates.read_rate(n) / 1e9, "GB/s"),
        SHA256: (rates.sha256_rate(n) / 1e9, "GB/s"),
        MATMUL: (rates.matmul_rate(torch.float32, n) / 1e9, "GFLOP/s"),
        "matrix product, bfloat16, all cores": (
            rates.matmul_rate(torch.bfloat16, n) / 1e9,
            "GFLOP/s",
        ),
        "3 x 3 convolution, float32, all cores": (
            rates.conv_rate(torch.float32, n) / 1e9,
            "GFLOP/s",
        ),
        CONV_BF16: (rates.conv_rate(torch.bfloat16, n) / 1e9, "GFLOP/s"),
    }


def extraction_floor(
    workshop: Workshop, paths: Sequence[Path], rate: dict[str, float]
) -> list[Figure]:
    """Return decoding and the FFT as measured, the floor of a clip on one core, and Timbre's time.

    The floor is decoding, one FFT pass, the mel product and the write of its result.
    """
    transform = ours.front_end()
    samples = round(SECONDS * transform.sample_rate)
    n_frames = 1 + samples // transform.hop_length
    decode = min(repeat(Side(lambda: decode_all(paths, samples), len(paths)), 3))
    fft = rates.rfft_seconds(n_frames, transform.n_fft, workshop.size(50, 3))
    mel = mel_operations(transform, n_frames) / (rate[MATMUL] * 1e9 / n_cores())
    moved = n_frames * transform.n_mels * 2 / (rate[COPY] * 1e9)
    hashed = paths[0].stat().st_size / (rate[SHA256] * 1e9)
    with threadpool_limits(1):
        work = untold(lambda: [ours.log_mel(path, transform, SECONDS) for path in paths])
        mine = repeat(Side(work, len(paths)), workshop.pairs(3))
    steps = {"decode a clip": decode, "rfft of a clip": fft, "SHA-256 of a clip": hashed}
    figures = [value_figure(f"{name}, one core", [1000 * s], "ms") for name, s in steps.items()]
    return figures + nearness("extraction, a clip, one core", decode + fft + mel + moved, min(mine))


def decode_all(paths: Sequence[Path], n_samples: int) -> None:
    """Decode the first samples of all clips and nothing more."""
    for path in paths:
        soundfile.read(path, n_samples, dtype="int16")


def mel_operations(transform: LogMel, n_frames: int) -> int:
    """Return the operations of the mel product: two for each bin that a band hears."""
    return 2 * int(np.count_nonzero(transform.filters())) * n_frames


@dataclass(frozen=True)
class Work:
    """What one clip of a training step needs."""

    operations: float
    moved_bytes: float

    def seconds(self, operations_a_second: float, bytes_a_second: float) -> float:
        """Return the roofline's time: a machine computes and moves at the same time."""
        return max(self.operations / operations_a_second, self.moved_bytes / bytes_a_second)


def training_work(network: nn.Module, shape: tuple[int, int]) -> Work:
    """Count a step's operations and bytes per clip; activations in 16 bits, weights in 32."""
    network.train()
    moved = 0

    def count(_: nn.Module, __: object, output: torch.Tensor) -> None:
        nonlocal moved
        moved += output.numel() * 2 * PASSES_OF_ACTIVATIONS

    kept = [module for module in network.modules() if isinstance(module, KEPT)]
    hooks = [module.register_forward_hook(count) for module in kept]
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(BATCH_SIZE, 1, *shape)).sum().backward()
    for hook in hooks:
        hook.remove()
    weights = sum(parameter.numel() for parameter in network.parameters())
    moved += weights * 4 * PASSES_OF_WEIGHTS
    return Work(counter.get_total_flops() / BATCH_SIZE, moved / BATCH_SIZE)


def nearness(name: str, lowest: float, mine: float) -> list[Figure]:
    """Return a floor, Timbre's time, and how near it is; seconds."""
    return [
        value_figure(f"floor: {name}", [1000 * lowest], "ms"),
        value_figure(f"Timbre: {name}", [1000 * mine], "ms"),
        value_figure(f"share of the floor: {name}", [100 * lowest / mine], "%"),
    ]

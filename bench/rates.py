"""What this machine can do: bytes and operations a second, each the best of several rounds.

The best and not the median: a floor is what no program can be under.
"""

import hashlib
import tempfile
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import nn

from bench.pairs import Side, repeat, untold

BLOCK_BYTES = 256_000_000  # many times the caches
ROUNDS = 5


def best_seconds(work: Callable[[], object], n_rounds: int) -> float:
    """Return the shortest time of one call, after one to warm up."""
    return min(repeat(Side(untold(work)), n_rounds))


def copy_rate(n_rounds: int = ROUNDS, n_bytes: int = BLOCK_BYTES) -> float:
    """Return bytes copied a second, in memory, by one core; each is read and written."""
    source, target = np.ones(n_bytes, np.uint8), np.empty(n_bytes, np.uint8)
    return n_bytes / best_seconds(lambda: np.copyto(target, source), n_rounds)


def parallel_copy_rate(n_rounds: int = ROUNDS, n_bytes: int = BLOCK_BYTES) -> float:
    """Return bytes copied a second, in memory, by all cores."""
    source, target = torch.ones(n_bytes // 4), torch.empty(n_bytes // 4)
    return n_bytes / best_seconds(lambda: target.copy_(source), n_rounds)


def read_rate(n_rounds: int = ROUNDS, n_bytes: int = BLOCK_BYTES) -> float:
    """Return bytes read a second from a file that lies in the page cache."""
    target = bytearray(n_bytes)
    with tempfile.NamedTemporaryFile() as file:
        file.write(target)
        file.flush()

        def read() -> None:
            file.seek(0)
            file.raw.readinto(target)

        return n_bytes / best_seconds(read, n_rounds)


def sha256_rate(n_rounds: int = ROUNDS, n_bytes: int = BLOCK_BYTES // 4) -> float:
    """Return bytes hashed a second by one core."""
    content = bytes(n_bytes)
    return n_bytes / best_seconds(lambda: hashlib.sha256(content), n_rounds)


def rfft_seconds(n_frames: int, n_fft: int, n_rounds: int = 50) -> float:
    """Return the time of one real FFT of `(n_frames, n_fft)` float32, by one core."""
    frames = np.random.default_rng(0).standard_normal((n_frames, n_fft), np.float32)
    return best_seconds(lambda: cv2.dft(frames, flags=cv2.DFT_ROWS), n_rounds)


def matmul_rate(dtype: torch.dtype, n_rounds: int = ROUNDS, size: int = 2048) -> float:
    """Return operations a second of a matrix product, on all cores."""
    matrix = torch.ones(size, size, dtype=dtype)
    return 2 * size**3 / best_seconds(lambda: matrix @ matrix, n_rounds)


def conv_rate(dtype: torch.dtype, n_rounds: int = ROUNDS) -> float:
    """Return operations a second of a 3 x 3 convolution, on all cores, at its best shape."""
    n, n_in, n_out, height, width = 16, 64, 64, 32, 64
    layer = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False, dtype=dtype)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.ones(n, n_in, height, width, dtype=dtype)
    images = images.to(memory_format=torch.channels_last)
    operations = 2 * n * n_out * height * width * n_in * 9
    with torch.inference_mode():
        return operations / best_seconds(lambda: layer(images), n_rounds)

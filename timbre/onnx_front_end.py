"""The front end as an ONNX graph: from one window of a waveform to its log-mel.

The spectrum is two small matrix products with a rotation between them, and not ONNX's operator
STFT: runtimes are quicker at products (docs/export.md has the times). A frame of
`A * B` samples is transformed as J. W. Cooley and J. W. Tukey, "An algorithm for the machine
calculation of complex Fourier series", Mathematics of Computation 19, 1965, split it.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from timbre.features import Features, n_frames
from timbre.log_mel import SILENCE, LogMel
from timbre.mel_filters import hz_to_mel, mel_to_hz
from timbre.onnx_text import Constants, graph_of_text
from timbre.problems import InputError

LARGEST_FACTOR = 1024  # of n_fft: the matrix of a larger one would be some MB in the file
NEVER = -1.0  # Hz, of cells that no band hears

# Shapes are in the comments: F frames, A * B = n_fft, K = A // 2 + 1, M mel bands.
GRAPH = """
front_end (float[window] heard) => (float[1, 1, n_mels, n_frames] log_mel)
{
    # Frames, centred, with silence around; gathered in blocks of samples that none of them tears.
    centred = Pad (heard, around)
    blocks = Reshape (centred, shape_blocks)
    frame_numbers = Range (first, n_frames, step)
    first_blocks = Mul (frame_numbers, blocks_a_hop)
    first_block = Unsqueeze (first_blocks, axis_1)
    block_numbers = Range (first, blocks_a_frame, step)
    own_blocks = Add (first_block, block_numbers)
    pieces = Gather (blocks, own_blocks)
    frames = Reshape (pieces, shape_frames)                     # (F, A, B)
    tapered = Mul (frames, taper)

    # The spectrum's power.
    columns = MatMul (first_dft, tapered)                       # (F, 2 K, B)
    re, im = Split <axis = 1, num_outputs = 2> (columns)
    re_cos = Mul (re, cos)
    im_sin = Mul (im, sin)
    re_sin = Mul (re, sin)
    im_cos = Mul (im, cos)
    rotated_re = Sub (re_cos, im_sin)
    rotated_im = Add (re_sin, im_cos)
    rotated = Concat <axis = 2> (rotated_re, rotated_im)        # (F, K, 2 B)
    spectrum = MatMul (rotated, second_dft)
    squares = Mul (spectrum, spectrum)
    re_power, im_power = Split <axis = 2, num_outputs = 2> (squares)
    grid = Add (re_power, im_power)                             # (F, K, B)
    power = Reshape (grid, shape_cells)                         # (F, K * B)

    # The mel filters, as timbre.mel_filters makes them: stored, a quarter of the file.
    climbed = Sub (cell_hz, lower_hz)
    rising = Div (climbed, lower_width)
    left_over = Sub (upper_hz, cell_hz)
    falling = Div (left_over, upper_width)
    slope = Min (rising, falling)
    triangle = Max (slope, zero_weight)
    exact_filters = Mul (triangle, height)
    filters = Cast <to = 1> (exact_filters)                     # (K * B, M)

    # In dB against the loudest cell, rounded to float16 as the shards are.
    mel = MatMul (power, filters)                               # (F, M)
    loudest = ReduceMax <keepdims = 0> (mel)
    reference = Max (loudest, silence)
    relative = Div (mel, reference)
    above_floor = Max (relative, floor)
    logarithm = Log (above_floor)
    decibel = Mul (logarithm, decibels)
    upright = Transpose <perm = [1, 0]> (decibel)
    half = Cast <to = 10> (upright)
    rounded = Cast <to = 1> (half)
    log_mel = Reshape (rounded, shape_log_mel)                  # (1, 1, M, F)
}
"""


def front_end_graph(features: Features) -> onnx.GraphProto:
    """Return the graph from `heard (window,)` to `log_mel (1, 1, n_mels, n_frames)`.

    The log-mel is that of `Features.spectrograms` but for the rounding of float32. Raises
    InputError for an n_fft without factors near its root.
    """
    front_end = features.front_end
    rows, columns = factors(front_end.n_fft)
    constants: Constants = {
        **_frame_constants(features, rows, columns),
        **_spectrum_constants(rows, columns),
        **_filter_constants(front_end, _bins(rows, columns)),
        "silence": np.float32(SILENCE),
        "floor": np.float32(10 ** (-front_end.top_db / 10)),
        "decibels": np.float32(10 / math.log(10)),
        "shape_log_mel": np.array([1, 1, *features.shape()]),
    }
    return graph_of_text(GRAPH, constants)


def factors(n_fft: int) -> tuple[int, int]:
    """Return the two factors of n_fft that lie next to its root, the larger one first."""
    rows = next(n for n in range(math.isqrt(n_fft - 1) + 1, n_fft + 1) if n_fft % n == 0)
    if rows > LARGEST_FACTOR:
        raise InputError(
            f"its n_fft {n_fft} has the factor {rows} and would need a matrix of many MB: "
            f"retrain with extract.n_fft: {1 << (n_fft - 1).bit_length()}"
        )
    return rows, n_fft // rows


def _frame_constants(features: Features, rows: int, columns: int) -> Constants:
    front_end = features.front_end
    n_fft, hop_length = front_end.n_fft, front_end.hop_length
    window = features.samples(front_end.sample_rate)
    block = math.gcd(n_fft, hop_length)
    behind = -(window + n_fft) % block
    frames = n_frames(window, hop_length)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)  # Hann's, periodic
    return {
        "around": np.array([n_fft // 2, n_fft - n_fft // 2 + behind]),
        "shape_blocks": np.array([-1, block]),
        "first": np.int64(0),
        "step": np.int64(1),
        "axis_1": np.array([1]),
        "n_frames": np.int64(frames),
        "blocks_a_hop": np.int64(hop_length // block),
        "blocks_a_frame": np.int64(n_fft // block),
        "shape_frames": np.array([frames, rows, columns]),
        "taper": taper.reshape(rows, columns).astype(np.float32),
    }


def _spectrum_constants(rows: int, columns: int) -> Constants:
    """Return both transforms and the rotation between them.

    Frequency k1 + A * k2 stands at (k1, k2). Of k1 only 0 to A / 2 are computed: a real signal's
    other frequencies are their mirror images.
    """
    kept = np.arange(rows // 2 + 1)
    first = _unit(np.outer(kept, np.arange(rows)), rows)
    rotation = _unit(np.outer(kept, np.arange(columns)), rows * columns)
    second = _unit(np.outer(np.arange(columns), np.arange(columns)), columns)
    exact = {
        "first_dft": np.vstack([first.real, first.imag]),
        "cos": rotation.real,
        "sin": rotation.imag,
        "second_dft": np.block([[second.real, second.imag], [-second.imag, second.real]]),
    }
    shape_cells = np.array([0, len(kept) * columns])
    return {name: array.astype(np.float32) for name, array in exact.items()} | {
        "shape_cells": shape_cells
    }


def _unit(turns: npt.NDArray[np.int64], of: int) -> npt.NDArray[np.complex128]:
    return np.asarray(np.exp(-2j * np.pi * (turns % of) / of))


def _bins(rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Return which bin of the spectrum each cell of the grid is, `((rows // 2 + 1) * columns,)`.

    -1 for the mirror image of one that stands elsewhere.
    """
    n_fft = rows * columns
    frequency = np.arange(rows // 2 + 1)[:, None] + rows * np.arange(columns)
    mirrored = np.minimum(frequency, n_fft - frequency).ravel()
    own, where = np.unique(mirrored, return_index=True)
    bins = np.full(len(mirrored), -1)
    bins[where] = own
    return bins


def _filter_constants(front_end: LogMel, bins: npt.NDArray[np.int64]) -> Constants:
    bin_hz = np.fft.rfftfreq(front_end.n_fft, 1 / front_end.sample_rate)
    mels = np.linspace(hz_to_mel(front_end.fmin), hz_to_mel(front_end.fmax), front_end.n_mels + 2)
    edges = mel_to_hz(mels)
    widths: npt.NDArray[Any] = np.diff(edges)
    return {
        "cell_hz": np.where(bins < 0, NEVER, bin_hz[bins])[:, None],
        "lower_hz": edges[:-2],
        "upper_hz": edges[2:],
        "lower_width": widths[:-1],
        "upper_width": widths[1:],
        "height": 2.0 / (edges[2:] - edges[:-2]),
        "zero_weight": np.float64(0),
    }

"""A clip's log-mel spectrogram, small enough to be sent and drawn."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from timbre.audio import Waveform
from timbre.log_mel import LogMel
from timbre.mel_filters import hz_to_mel

MOST_COLUMNS = 1200  # about the pixels of a wide window
TICKS = (250, 500, 1000, 2000, 4000, 8000, 16_000)  # Hz


def picture(front_end: LogMel, waveform: Waveform) -> dict[str, Any]:
    """Return the log_mel of `(n_samples,)` as JSON holds it.

    `levels` is base64 of one byte a cell, the lowest band first, row by row: 0 at the floor of
    `-top_db` dB, 255 at the loudest cell of the clip. `ticks` has frequencies in Hz and how far up
    they are, from 0 to 1.
    """
    columns = narrowed(front_end(waveform), MOST_COLUMNS)
    levels = np.rint((columns / front_end.top_db + 1) * 255).astype(np.uint8)
    return {
        "n_mels": levels.shape[0],
        "n_columns": levels.shape[1],
        "top_db": front_end.top_db,
        "ticks": ticks(front_end.fmin, front_end.fmax),
        "levels": base64.b64encode(levels.tobytes()).decode("ascii"),
    }


def narrowed(log_mel: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.float32]:
    """Return `(n_mels, n_frames)` in at most `most` columns, each the maximum of some frames."""
    step = -(-log_mel.shape[1] // most)
    return np.maximum.reduceat(log_mel, np.arange(0, log_mel.shape[1], step), axis=1)


def ticks(fmin: float, fmax: float) -> list[dict[str, float]]:
    """Return the frequencies to write beside bands from `fmin` to `fmax` Hz."""
    low, high = hz_to_mel([fmin, fmax])
    return [
        {"hz": hz, "at": round(float((hz_to_mel(hz) - low) / (high - low)), 4)}
        for hz in TICKS
        if fmin < hz < fmax
    ]

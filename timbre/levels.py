"""Level, and what becomes of a waveform that was recorded too loud."""

import numpy as np

from timbre.audio import Waveform

STEPS = 2**15  # of 16 bits, to either side of 0


def change_level(waveform: Waveform, gain: float) -> Waveform:
    """Change the level by `gain` dB and store it in 16 bits: clipped at full scale, rounded."""
    integers = np.rint(waveform.astype(np.float64) * 10 ** (gain / 20) * STEPS)
    stored: Waveform = (np.clip(integers, -STEPS, STEPS - 1) / STEPS).astype(np.float32)
    return stored


def clip_peaks(waveform: Waveform, depth: float) -> Waveform:
    """Cut off all that lies above `depth` dB below the largest magnitude."""
    limit = np.float32(np.abs(waveform).max(initial=0.0) * 10 ** (-depth / 20))
    clipped: Waveform = np.clip(waveform, -limit, limit)
    return clipped

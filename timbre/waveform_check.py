"""Whether what a program hands over as a waveform is one."""

import numpy as np

from timbre.audio import Waveform
from timbre.problems import InputError


def check_waveform(waveform: Waveform, sample_rate: int) -> None:
    """Raise InputError for what is no mono waveform `(n_samples,)` of finite floats."""
    if sample_rate < 1:
        raise InputError(f"sample_rate: {sample_rate} Hz is impossible")
    if waveform.ndim != 1:
        raise InputError(f"waveform: of shape {waveform.shape}, not (n_samples,): mix it to mono")
    if not np.issubdtype(waveform.dtype, np.floating):
        raise InputError(f"waveform: of {waveform.dtype}, not float32: divide it by its full scale")
    if not waveform.size:
        raise InputError("waveform: holds no samples")
    if not np.isfinite(waveform).all():
        raise InputError("waveform: holds NaN or infinite samples")

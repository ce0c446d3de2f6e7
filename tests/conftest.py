"""What several test files share: small seeded recordings, and the real ones where they are."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import settings

# The machines are shared and uneven: how long an example takes says nothing. The same examples in
# every run, so that a failure is seen by all.
settings.register_profile("timbre", deadline=None, derandomize=True)
settings.load_profile("timbre")

REPOSITORY = Path(__file__).resolve().parents[1]


def write_wav(
    path: Path, seconds: float = 0.05, sample_rate: int = 8000, seed: int = 0, n_channels: int = 1
) -> Path:
    """Write a WAV of quiet noise; equal arguments give equal bytes, another seed gives others."""
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-0.1, 0.1, (round(seconds * sample_rate), n_channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, sample_rate, format="WAV", subtype="PCM_16")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real recordings; skip without it, but fail in CI."""
    folder = Path(os.environ.get("TIMBRE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"no real recordings in {folder}: set TIMBRE_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder

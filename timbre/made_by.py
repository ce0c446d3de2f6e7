"""What decides the values of spectrograms beside the settings: libraries and our own code."""

import hashlib
import importlib.util
from pathlib import Path

import cv2
import numpy
import soundfile
import soxr

VALUE_MODULES = ("timbre.audio", "timbre.windows", "timbre.mel_filters", "timbre.log_mel")


def versions() -> dict[str, str]:
    """Return the libraries' versions and the SHA-256 of our code, as this process would run it."""
    code = hashlib.sha256()
    for module in VALUE_MODULES:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        code.update(Path(spec.origin).read_bytes())
    return {
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "soxr": soxr.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "code": code.hexdigest(),
    }

"""Sections of params.yaml for tests with tiny clips."""

from typing import Any

DATA: dict[str, Any] = {
    "root": "corpus",
    "table": "",
    "audio": "",
    "allow_outside": False,
    "bad_audio": "fail",
    "max_quarantined": 0.0,
}
EXTRACT: dict[str, Any] = {
    "sample_rate": 8000,
    "window_seconds": 0.25,
    "windows": "all",
    "window_hop_seconds": 0.125,
    "n_fft": 256,
    "hop_length": 100,
    "n_mels": 16,
    "fmin": 50.0,
    "fmax": None,
    "top_db": 80.0,
    "n_shards": 3,
    "scheduler": "",
    "audio_url": "",
}

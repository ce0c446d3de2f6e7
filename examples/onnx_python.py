"""Ask a model that `timbre export` wrote about audio files, without torch and without Timbre.

    pip install numpy soundfile soxr onnxruntime
    python onnx_python.py timbre.onnx clip.wav more.flac

soxr is needed only for files of another sample rate than the model's. All that a program must know
of the model is in the file's metadata.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile


class Model:
    """An exported model: from audio files to probabilities."""

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        said = self.session.get_modelmeta().custom_metadata_map
        self.classes = json.loads(said["classes"])
        self.sample_rate = json.loads(said["sample_rate"])
        # A model of first windows needs no more of a file than that.
        only_first = said["windows"] == "first"
        self.heard_seconds = json.loads(said["window_seconds"]) if only_first else None

    def answer(self, path: Path) -> tuple[dict[str, float], bool]:
        """Return the probability of each class, and whether the clip looks like any of them."""
        waveform = read(path, self.sample_rate, self.heard_seconds)
        probs, _, known = self.session.run(["probs", "score", "known"], {"waveform": waveform})
        return dict(zip(self.classes, probs.tolist(), strict=True)), bool(known)


def read(path: Path, sample_rate: int, seconds: float | None) -> np.ndarray:
    """Return a file's first `seconds` (None: all of it) as mono float32 at `sample_rate` Hz."""
    with soundfile.SoundFile(path) as file:
        n_frames = -1 if seconds is None else round(seconds * file.samplerate)
        channels = file.read(n_frames, dtype="float32", always_2d=True)
        source_rate = file.samplerate
    mono = channels.mean(axis=1)
    if rms(mono) < 0.01 * rms(channels):  # one channel is the other one upside down
        mono = channels[:, 0].copy()
    if source_rate != sample_rate:
        mono = resampled(mono, source_rate, sample_rate)
    if not mono.size or not np.isfinite(mono).all():
        raise ValueError("it holds no samples, or some that are no numbers")
    return mono


def rms(samples: np.ndarray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if samples.size else 0.0


def resampled(mono: np.ndarray, source_rate: int, sample_rate: int) -> np.ndarray:
    """Return the waveform at the model's rate."""
    try:
        import soxr
    except ImportError:
        raise ValueError(
            f"its rate is {source_rate} Hz, the model's {sample_rate} Hz: pip install soxr"
        ) from None
    return soxr.resample(mono, source_rate, sample_rate, quality="HQ")


def main(arguments: list[str]) -> int:
    """Print a line for each file; return the exit code."""
    if len(arguments) < 2:
        print("usage: onnx_python.py MODEL.onnx AUDIO...", file=sys.stderr)
        return 2
    model = Model(Path(arguments[0]))
    code = 0
    for name in arguments[1:]:
        try:
            probs, known = model.answer(Path(name))
        except (OSError, ValueError, soundfile.SoundFileError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            code = 1
            continue
        likeliest = max(probs, key=probs.__getitem__)
        share = f"{probs[likeliest]:.1%}"
        told = f"{likeliest} ({share})" if known else f"unknown (most like {likeliest}, {share})"
        print(f"{name}: {told}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

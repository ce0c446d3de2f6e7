"""Whether an exported model says in onnxruntime what the model says in torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from timbre.audio import Waveform
from timbre.predict import Classifier

N_LENGTHS = 6


@dataclass(frozen=True)
class Differences:
    """The largest differences between two runtimes, over the waveforms that both were asked for."""

    prob: float
    score: float  # as a share of the score, where that is above 1
    n_lengths: int = N_LENGTHS


def measure_differences(exported: Path, classifier: Classifier) -> Differences:
    """Ask both about seeded waveforms of six lengths, from a tenth of a second to 3.7 windows."""
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    rate = classifier.features.front_end.sample_rate
    probs, scores = [], []
    for waveform in _waveforms(rate, classifier.features.samples(rate)):
        told_probs, told_score, _ = session.run(["probs", "score", "known"], {"waveform": waveform})
        answer = classifier.answer_of(waveform, rate)
        probs.append(np.abs(told_probs - answer.probs).max())
        scores.append(abs(told_score - answer.score) / max(1.0, abs(answer.score)))
    # With numpy's maximum: Python's passes over NaN.
    return Differences(float(np.max(probs)), float(np.max(scores)))


def _waveforms(sample_rate: int, window: int) -> Iterator[Waveform]:
    """Yield noise with a gliding tone, from loud to faint."""
    n_samples = (
        *(max(1, sample_rate // 10), sample_rate, max(1, window // 2)),
        *(window, window + 1, round(3.7 * window)),
    )
    for seed, (length, level) in enumerate(
        zip(n_samples, np.geomspace(0.5, 0.002, N_LENGTHS), strict=True)
    ):
        noise = np.random.default_rng(seed).normal(0, 0.1, length)
        seconds = np.arange(length) / sample_rate
        tone = np.sin(2 * np.pi * sample_rate * (0.02 * (seed + 1) + 0.01 * seconds) * seconds)
        yield (level * (noise + tone)).astype(np.float32)

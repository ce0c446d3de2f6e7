"""What a worker process of the server does: tell of the model, answer for an uploaded clip.

Imports torch only in the worker: the server itself stays small and starts at once.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timbre.answer_json import as_object
from timbre.audio import AudioError, Waveform, stream
from timbre.audio_header import HeaderError, read_header
from timbre.picture import picture
from timbre.problems import InputError
from timbre.refusal import RefusedError

if TYPE_CHECKING:
    from timbre.predict import Classifier

WORKER_MODULES = ("timbre.hearing", "timbre.predict")  # imported once, before the workers fork
SLACK = 0.1  # s by which a clip may become longer as it is resampled


@dataclass(frozen=True)
class Clip:
    """An uploaded file, and what is asked of it beside the answer."""

    path: Path
    max_seconds: float
    timeline: bool = False
    spectrogram: bool = False


def hear(model: Path, device: str, clip: Clip | None) -> dict[str, Any]:
    """Answer for a clip; None asks about the model itself.

    Raises InputError for an unusable model, RefusedError for an unusable clip.
    """
    classifier = _classifier(model, device)
    return about(classifier) if clip is None else answer(classifier, clip)


def about(classifier: "Classifier") -> dict[str, Any]:
    """Return what a model's file says of it, as JSON holds it."""
    features, card = classifier.features, classifier.card
    return {
        "classes": classifier.classes,
        "network": card.network,
        "sample_rate": features.front_end.sample_rate,
        "window_seconds": features.window_seconds,
        "heard_seconds": features.heard_seconds(),
        "trained": {key: value for key, value in card.trained.items() if _can_be_told(value)},
    }


def answer(classifier: "Classifier", clip: Clip) -> dict[str, Any]:
    """Return what `timbre predict` says of the clip, and what else is asked of it.

    Raises RefusedError, which does not name the file.
    """
    front_end = classifier.features.front_end
    try:
        waveform = bounded(clip.path, front_end.sample_rate, clip.max_seconds)
        found = as_object(classifier.answer(clip.path), classifier.classes)
        found["seconds"] = round(len(waveform) / front_end.sample_rate, 3)
        if clip.timeline:
            found["timeline"] = [asdict(part) for part in classifier.timeline(clip.path)]
    except (AudioError, HeaderError) as error:
        raise undecodable([str(error)]) from None
    except InputError as error:
        raise undecodable(error.problems, clip.path) from None
    if clip.spectrogram:
        found["spectrogram"] = picture(front_end, waveform)
    return found


def bounded(path: Path, sample_rate: int, max_seconds: float) -> Waveform:
    """Decode a whole file of at most `max_seconds`, whatever its header says.

    Raises RefusedError for a longer one, HeaderError and AudioError for one without usable audio.
    """
    header = read_header(path)
    _check_length(header.n_samples / header.sample_rate, max_seconds)
    pieces, n_samples = [], 0
    for piece in stream(path, sample_rate):
        n_samples += len(piece)
        _check_length(n_samples / sample_rate - SLACK, max_seconds)
        pieces.append(piece)
    return np.concatenate(pieces)


def undecodable(problems: Iterable[str], path: Path | None = None) -> RefusedError:
    """Return the refusal of a clip; `path` is what its problems may name, and nobody else needs."""
    told = "; ".join(problem.removeprefix(f"{path}: ") for problem in problems)
    return RefusedError(400, "undecodable", f"This file {told}.")


def _check_length(seconds: float, most: float) -> None:
    if seconds > most:
        raise RefusedError(
            413,
            "too_long",
            f"This clip lasts more than {most:g} s, the longest that this server takes: cut it.",
        )


def _can_be_told(value: object) -> bool:
    """Tell whether JSON can hold it: a model file may hold NaN."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int)


@cache
def _classifier(model: Path, device: str) -> "Classifier":
    from timbre.predict import Classifier

    return Classifier.load(model, device)

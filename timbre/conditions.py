"""What a recording sounds like under a condition: noise, rooms, lines, codecs, time.

    apply("white_noise_10db", waveform, 22050, generator(0, "white_noise_10db", clip_id))

Each condition is a pure function of a waveform and a Generator.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from timbre import codecs, filters, levels, noise, rooms, tempo
from timbre.audio import Waveform
from timbre.condition_names import Condition, parse


@dataclass(frozen=True)
class Scene:
    """All that a condition may use beside its value."""

    waveform: Waveform  # (n_samples,), n_samples > 0
    sample_rate: int  # Hz
    rng: np.random.Generator
    others: Sequence[Waveform]  # of other clips, at the same rate


def _white_noise(scene: Scene, snr: float) -> Waveform:
    hiss = noise.white(len(scene.waveform), scene.rng)
    return noise.add_noise(scene.waveform, hiss, snr)


def _babble(scene: Scene, snr: float) -> Waveform:
    voices = noise.babble(len(scene.waveform), scene.others, scene.rng)
    return noise.add_noise(scene.waveform, voices, snr)


def _reverb(scene: Scene, milliseconds: float) -> Waveform:
    response = rooms.room_response(milliseconds / 1000, scene.sample_rate, scene.rng)
    return rooms.reverberate(scene.waveform, response)


# By the prefix of their kind.
MAKERS: dict[str, Callable[[Scene, float], Waveform]] = {
    "clean": lambda s, _: s.waveform,
    "gain_": lambda s, db: levels.change_level(s.waveform, db),
    "clipping_": lambda s, db: levels.clip_peaks(s.waveform, db),
    "mp3_": lambda s, kbps: codecs.mp3(s.waveform, s.sample_rate, kbps),
    "vorbis_q": lambda s, quality: codecs.vorbis(s.waveform, s.sample_rate, quality),
    "opus_": lambda s, kbps: codecs.opus(s.waveform, s.sample_rate, kbps),
    "telephone": lambda s, _: filters.telephone(s.waveform, s.sample_rate),
    "low_pass_": lambda s, khz: filters.low_pass(s.waveform, s.sample_rate, 1000 * khz),
    "random_eq_": lambda s, db: filters.random_eq(s.waveform, s.sample_rate, db, s.rng),
    "reverb_": _reverb,
    "white_noise_": _white_noise,
    "babble_": _babble,
    "speed_": lambda s, percent: tempo.change_speed(s.waveform, 1 + percent / 100),
    "pitch_": lambda s, semitones: tempo.shift_pitch(s.waveform, s.sample_rate, semitones),
    "shift_": lambda s, ms: tempo.skip(s.waveform, s.sample_rate, ms / 1000),
    "short_": lambda s, seconds: tempo.excerpt(s.waveform, s.sample_rate, seconds, s.rng),
}


def apply(
    name: str,
    waveform: Waveform,
    sample_rate: int,
    rng: np.random.Generator,
    others: Sequence[Waveform] = (),
) -> Waveform:
    """Return a float32 waveform `(n_samples,)` at `sample_rate` Hz under the condition `name`.

    `others`, waveforms at the same rate, are what babble is made of. What has no samples stays so.
    Raises InputError for an unknown name, ValueError for babble without others.
    """
    return apply_condition(parse(name), waveform, sample_rate, rng, others)


def apply_condition(
    condition: Condition,
    waveform: Waveform,
    sample_rate: int,
    rng: np.random.Generator,
    others: Sequence[Waveform] = (),
) -> Waveform:
    """As `apply`, for a name that was parsed."""
    if not len(waveform):
        return waveform
    scene = Scene(waveform, sample_rate, rng, others)
    changed = MAKERS[condition.kind.prefix](scene, condition.value)
    return np.ascontiguousarray(changed, np.float32)


def generator(seed: int, name: str, clip_id: str) -> np.random.Generator:
    """Return the Generator of a clip under a condition: no order and no worker changes it."""
    text = json.dumps([seed, name, clip_id])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def source_seconds(condition: Condition, seconds: float) -> float:
    """Return how much of a clip is needed so that `seconds` of it are heard under the condition.

    At least `seconds`; more where a clip is played faster or begun later. Without it such a
    condition would also be a shortened clip.
    """
    if condition.kind.prefix == "speed_":
        return seconds * max(1 + condition.value / 100, 1)
    if condition.kind.prefix == "shift_":
        return seconds + condition.value / 1000
    return seconds

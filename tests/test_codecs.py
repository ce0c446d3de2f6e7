from collections.abc import Callable

import numpy as np
import pytest

from timbre import codecs
from timbre.audio import Waveform

RATES = [8000, 11_025, 16_000, 22_050, 44_100]
Codec = Callable[[Waveform, int, float], Waveform]
CODECS: list[tuple[Codec, float]] = [
    (codecs.mp3, 64),
    (codecs.mp3, 32),
    (codecs.mp3, 16),
    (codecs.vorbis, 0),
    (codecs.opus, 16),
]
each_codec = pytest.mark.parametrize(("codec", "value"), CODECS)


def melody(sample_rate: int, seconds: float = 2.0) -> Waveform:
    """Notes of four partials, each with its own beginning: nothing is alike at another delay."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    rng = np.random.default_rng(0)
    total = np.zeros(len(times))
    for start in np.arange(0, seconds, 0.15):
        pitch = rng.uniform(150, 600)
        since = np.maximum(times - start, 0)
        partials = sum(np.sin(2 * np.pi * pitch * k * since) / k for k in range(1, 5))
        total += partials * np.exp(-12 * since) * (times >= start)
    waveform: Waveform = (0.3 * total / np.abs(total).max()).astype(np.float32)
    return waveform


@each_codec
@pytest.mark.parametrize("rate", RATES)
def test_what_comes_back_is_as_long_and_nowhere_late(codec: Codec, value: float, rate: int) -> None:
    clip = melody(rate)
    heard = codec(clip, rate, value)
    assert heard.shape == clip.shape
    assert heard.dtype == np.float32
    spectra = [np.fft.rfft(w, 2 * len(clip)) for w in (heard, clip)]
    likeness = np.fft.irfft(spectra[0] * spectra[1].conj())
    late = int(likeness.argmax())
    late = min(late, 2 * len(clip) - late)
    assert late <= rate / 1000  # a millisecond
    assert likeness.max() / np.square(clip).sum() > 0.7
    assert not np.array_equal(heard, clip)


@each_codec
def test_the_same_clip_comes_back_the_same(codec: Codec, value: float) -> None:
    clip = melody(22_050, 0.5)
    # An Ogg stream has a random number, which must not reach the sound.
    assert codec(clip, 22_050, value).tobytes() == codec(clip, 22_050, value).tobytes()


@each_codec
@pytest.mark.parametrize("n_samples", [1, 2, 100])
def test_very_short_and_silent_clips_come_back(codec: Codec, value: float, n_samples: int) -> None:
    assert np.isfinite(codec(np.full(n_samples, 0.5, np.float32), 22_050, value)).all()
    silence = codec(np.zeros(n_samples, np.float32), 22_050, value)
    assert silence.shape == (n_samples,)
    assert np.abs(silence).max() < 1e-3


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("codec", "value", "low", "high"),
    [
        (codecs.mp3, 64, 62, 68),
        (codecs.mp3, 32, 31, 34),
        (codecs.mp3, 16, 15, 18),
        (codecs.opus, 16, 11, 21),  # of a mean that quiet passages fall below; Ogg adds 2
        (codecs.opus, 64, 45, 72),
    ],
)
def test_the_bit_rate_is_what_the_name_says(
    codec: Codec,
    value: float,
    low: float,
    high: float,
    rate: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    encode = codecs.encode

    def weighed(*given: object) -> bytes:
        encoded = encode(*given)  # type: ignore[arg-type]
        sizes.append(len(encoded))
        return encoded

    monkeypatch.setattr(codecs, "encode", weighed)
    codec(melody(rate, 8.0), rate, value)
    assert low < sizes[0] * 8 / 8.0 / 1000 < high


def test_a_better_quality_is_closer() -> None:
    clip = melody(22_050)
    errors = [
        float(np.square(codec(clip, 22_050, value) - clip).sum())
        for codec, value in ((codecs.vorbis, 0), (codecs.vorbis, 6), (codecs.vorbis, 10))
    ]
    assert errors == sorted(errors, reverse=True)


@each_codec
def test_a_sample_that_a_lower_rate_has_no_room_for_comes_back(codec: Codec, value: float) -> None:
    assert codec(np.full(1, 0.5, np.float32), 192_000, value).shape == (1,)

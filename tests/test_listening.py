import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbre.audio import AudioError, Waveform
from timbre.cards import LEFT_OUT, Budget, Sound
from timbre.features import Features
from timbre.listening import RATES, Recording, Sounds, mp3
from timbre.log_mel import LogMel

RATE = 16_000
FRONT_END = LogMel(RATE, 512, 128, 32, 50.0, 8000.0, 80.0)
LATE = 3000  # samples by which a decoder may begin late and end late


def tone(hertz: float, seconds: float, rate: int = RATE) -> Waveform:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def decoded(sound: bytes) -> tuple[Waveform, int]:
    samples, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    return samples, rate


def pitch(samples: Waveform, rate: int) -> float:
    """Return the loudest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.fixture
def clip(tmp_path: Path) -> Recording:
    """Three seconds, each of another tone."""
    path = tmp_path / "a.wav"
    steps = np.concatenate([tone(hertz, 1.0) for hertz in (500, 1000, 2000)])
    soundfile.write(path, steps, RATE, subtype="PCM_16")
    return Recording(path, hashlib.sha256(path.read_bytes()).hexdigest())


def sounds(
    clip: Recording, seconds: float = 9.0, most: float = 1e6, keep_all: bool = True
) -> Sounds:
    features = Features(1.0, 1.0, keep_all, FRONT_END)
    return Sounds({"a": clip}, features, seconds, Budget(most))


def heard(sound: Sound) -> tuple[Waveform, int]:
    assert sound.url is not None
    assert sound.url.startswith("data:audio/mpeg;base64,")
    return decoded(base64.b64decode(sound.url.split(",")[1]))


@pytest.mark.parametrize("rate", [1000, 8000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_one_that_mp3_has_and_lasts_as_long(rate: int) -> None:
    samples, found = decoded(mp3(tone(200, 1.5, rate), rate))
    assert found in RATES
    assert found >= min(rate, RATES[-1])
    assert len(samples) == pytest.approx(1.5 * found, abs=LATE)
    assert pitch(samples, found) == pytest.approx(200, abs=2)


def test_equal_sound_gives_equal_bytes() -> None:
    assert mp3(tone(300, 1.0), RATE) == mp3(tone(300, 1.0), RATE)


def test_what_is_louder_than_full_scale_is_turned_down_and_not_clipped() -> None:
    loud, _ = decoded(mp3(20 * tone(500, 1.0), RATE))
    spectrum = np.abs(np.fft.rfft(loud[4000:12_000]))
    assert np.abs(loud).max() < 1.1
    assert spectrum[750] < 0.01 * spectrum[250]  # clipping would sound at three times the pitch


def test_sound_that_is_too_short_is_refused() -> None:
    with pytest.raises(AudioError, match="too short"):
        mp3(np.zeros(0, np.float32), RATE)


@pytest.mark.parametrize(("window", "hertz"), [(0, 500), (1, 1000), (2, 2000)])
def test_it_is_the_window_that_is_heard(clip: Recording, window: int, hertz: float) -> None:
    samples, rate = heard(sounds(clip).of("a", window))
    assert len(samples) == pytest.approx(rate, abs=LATE)
    assert pitch(samples, rate) == pytest.approx(hertz, abs=4)


def test_no_more_than_the_first_seconds_are_on_the_page(clip: Recording) -> None:
    samples, rate = heard(sounds(clip, seconds=0.4).of("a", 0))
    assert len(samples) == pytest.approx(0.4 * rate, abs=LATE)


def test_sound_without_room_is_left_out(clip: Recording) -> None:
    tight = sounds(clip, most=100)
    assert tight.of("a", 0) == Sound(None, LEFT_OUT)
    assert tight.budget.n_refused == 1


def test_a_clip_that_cannot_be_heard_now_says_why(clip: Recording) -> None:
    assert sounds(clip).of("b", 0) == Sound(None, "is not among the clips")
    clip.path.write_bytes(clip.path.read_bytes() + b"\0")
    changed = "has changed since encode_labels ran: run `dvc repro` again"
    assert sounds(clip).of("a", 0) == Sound(None, changed)
    clip.path.unlink()
    assert sounds(clip).of("a", 0) == Sound(None, "cannot be read (No such file or directory)")
    clip.path.write_text("<html>")
    page = Recording(clip.path, hashlib.sha256(b"<html>").hexdigest())
    assert sounds(page).of("a", 0).problem.startswith("cannot be decoded")

import ctypes
import types
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.problems import InputError
from timbre.synthesis import (
    Synthesizer,
    Waveform,
    _initialize,
    add_white_noise,
    reverberate,
    room_response,
    set_peak,
)


def speech() -> Waveform:
    return np.sin(np.arange(16_000) / 7).astype(np.float32)


def speak(voice: str, text: str = "وَاحِد", pitch: int = 50, rate: int = 150) -> Waveform:
    return Synthesizer().speak(text, voice, rate=rate, pitch=pitch, seed=1)


@pytest.mark.parametrize(
    ("voice", "missing"),
    [
        ("ar+nobody", "variant 'nobody'"),
        ("nowhere", "language 'nowhere'"),
        ("nowhere+m3", "language 'nowhere'"),
    ],
)
def test_an_unknown_voice_is_an_error_and_not_the_plain_voice(voice: str, missing: str) -> None:
    with pytest.raises(InputError, match=f"espeak-ng has no {missing}: reinstall"):
        speak(voice)


def test_a_text_without_sound_is_an_error() -> None:
    with pytest.raises(InputError, match=r"gave no sound for '' in voice 'ar'"):
        speak("ar", text="")


def test_a_failing_call_is_named_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    synthesizer = Synthesizer()
    monkeypatch.setattr(synthesizer._library, "espeak_Synth", lambda *_: -1)
    with pytest.raises(InputError, match="espeak_Synth failed with status -1"):
        synthesizer.speak("وَاحِد", "ar", rate=150, pitch=50, seed=1)


@pytest.mark.parametrize("rate", [-1, 22050])
def test_data_that_the_library_does_not_take_are_told(tmp_path: Path, rate: int) -> None:
    # Fails, or starts with data from elsewhere. Not the true library: see _start.
    other = types.SimpleNamespace(espeak_Initialize=lambda *_: rate, espeak_Info=lambda _: None)
    (tmp_path / "phontab").touch()
    with pytest.raises(InputError, match=f"espeak-ng does not take its data folder {tmp_path}"):
        _initialize(cast(ctypes.CDLL, other), tmp_path)


# The voice


def test_speech_is_float32_within_one_at_22050_hz() -> None:
    waveform = speak("ar")
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert 0.1 < np.abs(waveform).max() < 1
    assert Synthesizer().sample_rate == 22050


def test_a_slower_rate_takes_longer() -> None:
    assert len(speak("ar", rate=100)) > 1.3 * len(speak("ar", rate=200))


def test_the_library_is_initialized_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Synthesizer()
    monkeypatch.setattr(first._library, "espeak_Initialize", lambda *_: pytest.fail("again"))
    assert Synthesizer()._library is first._library


def test_a_later_synthesizer_does_not_silence_an_earlier_one() -> None:
    first, _second = Synthesizer(), Synthesizer()
    assert len(first.speak("وَاحِد", "ar", rate=150, pitch=50, seed=1)) > 0


# The room


decays = st.floats(0.05, 1.0)
ratios = st.floats(-20, 20)
seeds = st.integers(0, 2**32)


@given(decays, ratios, seeds)
def test_a_room_has_unit_energy_and_the_asked_direct_sound(
    decay: float, ratio: float, seed: int
) -> None:
    response = room_response(decay, ratio, 8000, np.random.default_rng(seed))
    assert len(response) == round(decay * 8000)
    assert np.sum(response**2) == pytest.approx(1)
    assert response[0] ** 2 / np.sum(response[1:] ** 2) == pytest.approx(10 ** (ratio / 10))


def test_reverberation_falls_by_60_db_within_its_decay() -> None:
    response = room_response(1.0, 0.0, 100_000, np.random.default_rng(3))
    tenths = np.append(response[1:], 0).reshape(10, 10_000)
    levels = 10 * np.log10(np.mean(tenths**2, axis=1))
    np.testing.assert_allclose(np.diff(levels), -6, atol=0.3)


@given(st.integers(1, 300), st.integers(1, 300), seeds)
def test_reverberation_is_the_full_convolution(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    waveform = rng.uniform(-1, 1, n).astype(np.float32)
    response = rng.uniform(-1, 1, m)
    expected = np.convolve(waveform.astype(np.float64), response)
    got = reverberate(waveform, response)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_room_without_walls_changes_nothing() -> None:
    np.testing.assert_allclose(reverberate(speech(), np.array([1.0])), speech(), atol=1e-6)


@given(st.floats(-20, 40), st.floats(1e-3, 1), seeds)
def test_the_noise_has_exactly_the_asked_level(snr: float, level: float, seed: int) -> None:
    waveform = (level * speech()).astype(np.float32)
    noisy = add_white_noise(waveform, snr, np.random.default_rng(seed))
    noise = noisy.astype(np.float64) - waveform
    ratio = np.mean(waveform.astype(np.float64) ** 2) / np.mean(noise**2)
    assert noisy.dtype == np.float32
    assert 10 * np.log10(ratio) == pytest.approx(snr, abs=0.01)


def test_silence_gets_no_noise() -> None:
    silence = np.zeros(100, np.float32)
    np.testing.assert_array_equal(add_white_noise(silence, 10, np.random.default_rng(0)), silence)


@given(st.floats(-60, 0), st.floats(1e-6, 1e3))
def test_the_peak_is_exactly_the_asked_one(peak: float, level: float) -> None:
    scaled = set_peak((level * speech()).astype(np.float32), peak)
    assert scaled.dtype == np.float32
    assert np.abs(scaled).max() == pytest.approx(10 ** (peak / 20))


def test_silence_keeps_its_level() -> None:
    silence = np.zeros(3, np.float32)
    np.testing.assert_array_equal(set_peak(silence, -1), silence)

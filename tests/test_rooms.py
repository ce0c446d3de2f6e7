import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.noise import mean_power
from timbre.rooms import DISTANCE, SPEED_OF_SOUND, VOLUME, reverberate, room_response

RATE = 16_000


def fall(response: np.ndarray, sample_rate: int) -> float:
    """Seconds for 60 dB by Schroeder's backward integration, fitted from -5 to -25 dB."""
    left = np.cumsum(np.square(response[::-1]))[::-1]
    level = 10 * np.log10(np.maximum(left / left[1], 1e-9))
    part = np.flatnonzero((level < -5) & (level > -25))
    slope = np.polyfit(part / sample_rate, level[part], 1)[0]
    return float(-60 / slope)


@pytest.mark.parametrize("rt60", [0.3, 0.4, 0.8, 1.5])
def test_the_sound_falls_by_60_db_in_the_time_asked_for(rt60: float) -> None:
    rooms = [room_response(rt60, RATE, np.random.default_rng(seed)) for seed in range(8)]
    assert np.mean([fall(room, RATE) for room in rooms]) == pytest.approx(rt60, rel=0.05)


@pytest.mark.parametrize("rt60", [0.4, 0.8])
def test_the_reverberant_energy_is_that_of_sabines_field(rt60: float) -> None:
    rooms = [room_response(rt60, RATE, np.random.default_rng(seed)) for seed in range(200)]
    reverberant = np.mean([np.square(room[1:]).sum() for room in rooms])
    # 16 pi d^2 / A with the absorption area A = 24 ln(10) V / (c T).
    absorption = 24 * np.log(10) * VOLUME / (SPEED_OF_SOUND * rt60)
    assert reverberant == pytest.approx(16 * np.pi * DISTANCE**2 / absorption, rel=0.1)


def test_the_direct_sound_comes_first_and_reflections_grow_denser() -> None:
    response = room_response(0.5, RATE, np.random.default_rng(3))
    assert response[0] == 1
    heard = response != 0
    tenth = RATE // 100
    early, later, late = (heard[start * tenth :][:tenth].mean() for start in (0, 2, 10))
    assert early < later < late


@given(st.integers(1, 3000), st.integers(0, 99))
def test_length_and_loudness_stay(n_samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clip = rng.uniform(-0.1, 0.1, n_samples).astype(np.float32)
    heard = reverberate(clip, room_response(0.05, 8000, rng))
    assert heard.shape == clip.shape
    assert heard.dtype == np.float32
    assert mean_power(heard) == pytest.approx(mean_power(clip), rel=1e-4)


def test_the_echo_of_a_click_is_the_room_itself() -> None:
    response = room_response(0.1, 8000, np.random.default_rng(0))
    click = np.zeros(2000, np.float32)
    click[100] = 1
    heard = reverberate(click, response)
    heard /= heard[100]
    assert heard[100 : 100 + len(response)] == pytest.approx(response, abs=1e-5)
    assert np.abs(heard[:100]).max() < 1e-5


def test_silence_stays_silence() -> None:
    response = room_response(0.1, 8000, np.random.default_rng(0))
    assert not reverberate(np.zeros(10, np.float32), response).any()

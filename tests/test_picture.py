"""The spectrogram that the page draws."""

import base64

import numpy as np
import pytest

from timbre.log_mel import LogMel
from timbre.picture import MOST_COLUMNS, narrowed, picture, ticks

FRONT_END = LogMel(8000, 256, 100, 16, 50.0, 4000.0, 80.0)


def test_a_column_is_the_loudest_of_its_frames() -> None:
    log_mel = np.array([[1, 5, 2, 0, 7], [9, 0, 0, 3, 1]], np.float32)
    assert narrowed(log_mel, 5).tolist() == log_mel.tolist()
    assert narrowed(log_mel, 3).tolist() == [[5, 2, 7], [9, 3, 1]]
    assert narrowed(log_mel, 1).tolist() == [[7], [9]]


@pytest.mark.parametrize("seconds", [0.01, 1.0, 40.0])
def test_levels_are_the_log_mel_in_bytes_and_not_more_columns_than_a_screen_has(
    seconds: float,
) -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, round(8000 * seconds)).astype(np.float32)
    found = picture(FRONT_END, waveform)
    assert found["n_columns"] <= MOST_COLUMNS
    shape = (found["n_mels"], found["n_columns"])
    levels = np.frombuffer(base64.b64decode(found["levels"]), np.uint8).reshape(shape)
    wanted = narrowed(FRONT_END(waveform), MOST_COLUMNS)
    np.testing.assert_allclose(levels / 255 * 80 - 80, wanted, atol=80 / 255)
    assert levels.max() == 255


def test_silence_is_at_the_floor() -> None:
    found = picture(FRONT_END, np.zeros(800, np.float32))
    assert set(base64.b64decode(found["levels"])) == {0}


def test_ticks_rise_within_the_bands_and_stand_where_the_mel_scale_has_them() -> None:
    found = ticks(0.0, 2000.0)
    assert [tick["hz"] for tick in found] == [250, 500, 1000]
    # Below 1 kHz the scale is linear: 500 Hz is twice as far up as 250 Hz.
    assert found[1]["at"] == pytest.approx(2 * found[0]["at"], abs=1e-3)
    assert 0 < found[0]["at"] < found[2]["at"] < 1
    assert ticks(1000.0, 3000.0) == [{"hz": 2000, "at": found_at(1000, 2000, 3000)}]


def found_at(low: float, hz: float, high: float) -> float:
    return round(float(np.log(hz / low) / np.log(high / low)), 4)

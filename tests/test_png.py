import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timbre.png import (
    LOOKED,
    MOST_COLUMNS,
    MOST_ROWS,
    N_COLOURS,
    attention_png,
    png,
    spectrogram_png,
)


def decoded(picture: bytes) -> npt.NDArray[np.uint8]:
    """Return the pixels `(n_rows, n_columns, 4)`, RGBA; clear where the file says so."""
    found = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    kind = cv2.COLOR_BGRA2RGBA if found.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return np.asarray(cv2.cvtColor(found, kind), np.uint8)


@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.integers(0, 10**6))
def test_another_reader_finds_the_pixels_that_were_written(
    n_rows: int, n_columns: int, clear: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (N_COLOURS, 4)).astype(np.uint8)
    palette[:, 3] = rng.integers(0, 255, N_COLOURS) if clear else 255
    indices = rng.integers(0, N_COLOURS, (n_rows, n_columns)).astype(np.uint8)
    assert (decoded(png(indices, palette)) == palette[indices]).all()


def test_a_loud_low_band_is_bright_at_the_foot() -> None:
    log_mel = np.full((6, 4), -80.0)
    log_mel[0] = 0.0
    brightness = decoded(spectrogram_png(log_mel, 80.0))[..., :3].sum(axis=2)
    assert (brightness[-1] > 400).all()
    assert (brightness[:-1] < 20).all()


def test_silence_below_the_floor_and_sound_above_0_db_have_the_colours_of_the_ends() -> None:
    inside, beyond = np.array([[-80.0, 0.0]]), np.array([[-95.0, 3.0]])
    assert spectrogram_png(inside, 80.0) == spectrogram_png(beyond, 80.0)


@pytest.mark.parametrize(("n_mels", "n_frames"), [(128, 30_000), (1024, 40), (16, 21)])
def test_the_picture_of_a_long_window_is_no_larger_than_a_screen_shows(
    n_mels: int, n_frames: int
) -> None:
    log_mel = np.random.default_rng(0).uniform(-80, 0, (n_mels, n_frames)).astype(np.float16)
    shape = decoded(spectrogram_png(log_mel, 80.0)).shape[:2]
    assert shape == (min(n_mels, MOST_ROWS), min(n_frames, MOST_COLUMNS))


def test_what_was_not_looked_at_is_clear_and_what_was_is_seen_through() -> None:
    pixels = decoded(attention_png(np.array([[0.0, 1.0], [0.5, 0.0]])))
    assert pixels[1, 0, 3] == pixels[0, 1, 3] == 0
    assert 0 < pixels[0, 0, 3] < pixels[1, 1, 3] < 255
    assert pixels[1, 1, :3].tolist() == list(LOOKED)

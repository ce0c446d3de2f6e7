from dataclasses import replace
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from timbre.audio import Waveform
from timbre.log_mel import BLOCK_FRAMES, LogMel, LogMelArray
from timbre.mel_filters import empty_bands, hz_to_mel, mel_filters, mel_to_hz

SETTINGS = [
    (22_050, 2048, 432, 128, 0.0, 11_025.0),
    (22_050, 2048, 512, 128, 0.0, 11_025.0),
    (16_000, 1024, 256, 64, 50.0, 7_600.0),
    (8_000, 512, 100, 40, 0.0, 4_000.0),  # bands that do not fill their last group
    (16_000, 2048, 160, 17, 300.0, 3_400.0),
    (8_000, 256, 300, 5, 1_000.0, 4_000.0),  # hops longer than a spectrum
    (8_000, 401, 163, 20, 0.0, 4_000.0),  # an odd n_fft: no bin at half the sample rate
]
each_setting = pytest.mark.parametrize(
    ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax"), SETTINGS
)


def noise(n_samples: int, seed: int = 0) -> Waveform:
    """Noise with a silent stretch and a very quiet one, so that every rule on level is met."""
    waveform = np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32) * 0.1
    waveform[n_samples // 4 : n_samples // 2] *= 1e-3
    waveform[-n_samples // 8 :] = 0
    return waveform


def default() -> LogMel:
    return LogMel(22_050, 2048, 432, 128, 0.0, 11_025.0, 80.0)


@each_setting
def test_filters_equal_librosas(
    sample_rate: int, n_fft: int, hop_length: int, n_mels: int, fmin: float, fmax: float
) -> None:
    ours = mel_filters(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    theirs = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(ours, theirs, atol=1e-7, rtol=1e-5)


def librosas(waveform: Waveform, front_end: LogMel) -> LogMelArray:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=front_end.sample_rate,
        n_fft=front_end.n_fft,
        hop_length=front_end.hop_length,
        n_mels=front_end.n_mels,
        fmin=front_end.fmin,
        fmax=front_end.fmax,
    )
    log_mel: LogMelArray = librosa.power_to_db(power, ref=np.max, top_db=front_end.top_db)
    return log_mel


@each_setting
def test_log_mel_equals_librosas_to_a_thousandth_db(
    sample_rate: int, n_fft: int, hop_length: int, n_mels: int, fmin: float, fmax: float
) -> None:
    waveform = noise(5 * sample_rate)
    front_end = LogMel(sample_rate, n_fft, hop_length, n_mels, fmin, fmax, 80.0)
    ours, theirs = front_end(waveform), librosas(waveform, front_end)
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    assert ours.shape == theirs.shape == (n_mels, 1 + len(waveform) // hop_length)
    np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")  # librosa's, of the shortest ones
@pytest.mark.parametrize(
    "n_frames", [1, 2, BLOCK_FRAMES - 1, BLOCK_FRAMES, BLOCK_FRAMES + 1, 2 * BLOCK_FRAMES + 3]
)
def test_any_number_of_frames_fills_its_last_block(n_frames: int) -> None:
    front_end = LogMel(8_000, 512, 100, 40, 0.0, 4_000.0, 80.0)
    waveform = noise(n_frames * 100 - 1)
    ours = front_end(waveform)
    assert ours.shape == (40, n_frames)
    np.testing.assert_allclose(ours, librosas(waveform, front_end), atol=1e-3, rtol=0)


@pytest.mark.parametrize("top_db", [20.0, 120.0])
def test_the_floor_is_where_it_is_asked_for(top_db: float) -> None:
    front_end = LogMel(8_000, 512, 100, 40, 0.0, 4_000.0, top_db)
    waveform = noise(8_000)
    ours = front_end(waveform)
    assert ours.min() == pytest.approx(-top_db, abs=1e-4)
    if top_db < 100:  # below that librosa's own least power of 1e-10 shows
        np.testing.assert_allclose(ours, librosas(waveform, front_end), atol=1e-3, rtol=0)


@pytest.mark.parametrize("n_mels", [1, 15, 16, 17, 128])
@pytest.mark.parametrize("block_bands", [1, 3, 1000])
def test_bands_are_the_same_however_they_are_grouped(
    monkeypatch: pytest.MonkeyPatch, n_mels: int, block_bands: int
) -> None:
    front_end = LogMel(22_050, 2048, 432, n_mels, 60.0, 10_000.0, 80.0)
    usual = front_end(noise(22_050))
    monkeypatch.setattr("timbre.log_mel.BLOCK_BANDS", block_bands)
    np.testing.assert_allclose(replace(front_end)(noise(22_050)), usual, atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore:Empty filters detected")  # librosa's, of the same filters
@pytest.mark.parametrize(("fmin", "fmax"), [(0.0, 11_025.0), (10.0, 11_025.0)])
def test_bands_that_hear_nothing_lie_at_the_floor(fmin: float, fmax: float) -> None:
    front_end = LogMel(22_050, 256, 128, 128, fmin, fmax, 80.0)
    filters = mel_filters(sample_rate=22_050, n_fft=256, n_mels=128, fmin=fmin, fmax=fmax)
    deaf = empty_bands(filters)
    assert deaf
    ours = front_end(noise(22_050))
    np.testing.assert_allclose(ours[deaf], -80, atol=1e-4)
    np.testing.assert_allclose(ours, librosas(noise(22_050), front_end), atol=1e-3, rtol=0)


def test_where_no_band_hears_anything_all_is_at_the_floor() -> None:
    # The bins of this spectrum lie 344 Hz apart: none is between 10 and 300 Hz.
    deaf = LogMel(22_050, 64, 32, 40, 10.0, 300.0, 80.0)
    np.testing.assert_allclose(deaf(noise(22_050)), -80, atol=1e-4)


def test_the_waveform_is_left_as_it_is() -> None:
    waveform = noise(22_050)
    default()(waveform)
    assert (waveform == noise(22_050)).all()


def test_five_seconds_make_the_image_of_128_by_256() -> None:
    assert default()(noise(110_250)).shape == (128, 256)


def test_the_loudest_cell_is_0_db_and_the_floor_is_reached() -> None:
    log_mel = default()(noise(110_250))
    assert log_mel.max() == pytest.approx(0, abs=1e-4)
    assert log_mel.min() == pytest.approx(-80, abs=1e-4)


def test_silence_is_at_the_floor_everywhere() -> None:
    np.testing.assert_allclose(default()(np.zeros(110_250, np.float32)), -80, atol=1e-4)


def test_dither_stays_quiet() -> None:
    one_bit_of_16 = noise(110_250) * np.float32(10 / 2**15)
    assert default()(one_bit_of_16).max() < -10
    assert default()(one_bit_of_16 / np.float32(100)).max() < -50


@settings(max_examples=20)
@given(st.floats(0.01, 10))
def test_gain_changes_nothing(gain: float) -> None:
    waveform = noise(22_050)
    np.testing.assert_allclose(
        default()(waveform * np.float32(gain)), default()(waveform), atol=0.01
    )


@pytest.mark.parametrize("n_mels", [128, 40, 1])
def test_values_do_not_depend_on_the_number_of_threads(n_mels: int) -> None:
    front_end = LogMel(22_050, 2048, 432, n_mels, 0.0, 11_025.0, 80.0)
    values = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads):
            assert {pool["num_threads"] for pool in numpys_pools()} == {n_threads}
            values.append(front_end(noise(110_250)).tobytes())
    assert values == values[:1] * 3


def numpys_pools() -> list[dict[str, Any]]:
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


@given(st.floats(0, 20_000))
def test_mel_and_hz_are_inverse(hz: float) -> None:
    assert float(mel_to_hz(hz_to_mel(hz))) == pytest.approx(hz, abs=1e-6, rel=1e-9)


def test_bands_narrower_than_the_resolution_are_found() -> None:
    few_bins = mel_filters(sample_rate=22_050, n_fft=256, n_mels=128, fmin=0, fmax=11_025)
    assert empty_bands(few_bins) == np.flatnonzero(~few_bins.any(axis=1)).tolist() != []
    many_bins = mel_filters(sample_rate=22_050, n_fft=2048, n_mels=128, fmin=0, fmax=11_025)
    assert empty_bands(many_bins) == []

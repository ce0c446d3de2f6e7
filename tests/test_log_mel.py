import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre.audio import Waveform
from timbre.log_mel import LogMel
from timbre.mel_filters import empty_bands, hz_to_mel, mel_filters, mel_to_hz

SETTINGS = [
    (22_050, 2048, 432, 128, 0.0, 11_025.0),
    (22_050, 2048, 512, 128, 0.0, 11_025.0),
    (16_000, 1024, 256, 64, 50.0, 7_600.0),
    (8_000, 512, 100, 40, 0.0, 4_000.0),
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


@each_setting
def test_log_mel_equals_librosas_to_a_thousandth_db(
    sample_rate: int, n_fft: int, hop_length: int, n_mels: int, fmin: float, fmax: float
) -> None:
    waveform = noise(5 * sample_rate)
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=sample_rate,
        n_fft=n_fft,
        hop_length=hop_length,
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
    )
    theirs = librosa.power_to_db(power, ref=np.max)
    ours = LogMel(sample_rate, n_fft, hop_length, n_mels, fmin, fmax, 80.0)(waveform)
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape == (n_mels, 1 + len(waveform) // hop_length)
    np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=0)


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


def test_values_do_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = default()(noise(110_250))
        torch.set_num_threads(2)
        two = default()(noise(110_250))
    finally:
        torch.set_num_threads(before)
    assert one.tobytes() == two.tobytes()


@given(st.floats(0, 20_000))
def test_mel_and_hz_are_inverse(hz: float) -> None:
    assert float(mel_to_hz(hz_to_mel(hz))) == pytest.approx(hz, abs=1e-6, rel=1e-9)


def test_bands_narrower_than_the_resolution_are_found() -> None:
    few_bins = mel_filters(sample_rate=22_050, n_fft=256, n_mels=128, fmin=0, fmax=11_025)
    assert empty_bands(few_bins) == np.flatnonzero(~few_bins.any(axis=1)).tolist() != []
    many_bins = mel_filters(sample_rate=22_050, n_fft=2048, n_mels=128, fmin=0, fmax=11_025)
    assert empty_bands(many_bins) == []

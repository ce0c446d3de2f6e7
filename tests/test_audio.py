from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from timbre.audio import AudioError, FileError, Waveform, load, mix_to_mono, resample, stream


def tone(sample_rate: int, seconds: float = 0.5) -> Waveform:
    time = np.arange(round(sample_rate * seconds)) / sample_rate
    return (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24"), ("a.aiff", "PCM_16")],
)
def test_lossless_files_come_back_as_written(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, tone(8000), 8000, subtype=subtype)
    waveform = load(tmp_path / name, 8000)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, tone(8000), atol=2**-15 * 1.01)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "CAF"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_16_bit_samples_become_exactly_what_libsndfile_makes_of_them(
    tmp_path: Path, container: str, n_channels: int
) -> None:
    every = np.arange(-(2**15), 2**15, dtype=np.int16)
    channels = np.stack([every, np.roll(every, 12_345)][:n_channels], axis=1)
    soundfile.write(tmp_path / "a", channels, 8000, format=container, subtype="PCM_16")
    theirs, _ = soundfile.read(tmp_path / "a", dtype="float32", always_2d=True)
    assert soundfile.info(tmp_path / "a").subtype == "PCM_16"
    assert (theirs == channels / 2.0**15).all()
    waveform = load(tmp_path / "a", 8000)
    assert waveform.dtype == np.float32
    assert waveform.tobytes() == mix_to_mono(theirs).tobytes()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("max_seconds", [None, 0.1, 0.375, 99.0])
def test_the_pieces_that_are_read_change_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtype: str, max_seconds: float | None
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000), 8000, subtype=subtype)
    whole = load(tmp_path / "a.wav", 8000, max_seconds)
    assert len(whole) == round(8000 * min(max_seconds or 99, 0.5))
    for samples in (1, 1000, 4000):
        monkeypatch.setattr("timbre.audio.BLOCK_SAMPLES", samples)
        assert load(tmp_path / "a.wav", 8000, max_seconds).tobytes() == whole.tobytes()


@pytest.mark.parametrize("sample_rate", [8000, 11_025])
@pytest.mark.parametrize("samples", [7, 1000, 4000, 1 << 20])
def test_a_stream_brings_what_load_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int, sample_rate: int
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000), 8000)
    monkeypatch.setattr("timbre.audio.BLOCK_SAMPLES", samples)
    pieces = list(stream(tmp_path / "a.wav", sample_rate))
    assert all(piece.size for piece in pieces)
    assert np.concatenate(pieces).tobytes() == load(tmp_path / "a.wav", sample_rate).tobytes()
    assert len(pieces) == 1 or samples < 4000


def test_a_stream_finds_what_load_finds(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "b.wav", np.zeros(1), 384_000)
    soundfile.write(tmp_path / "c.wav", np.array([0, np.nan]), 8000, subtype="FLOAT")
    (tmp_path / "d.wav").write_text("text")
    for name in "abcd":
        with pytest.raises(AudioError) as of_load:
            load(tmp_path / f"{name}.wav", 1000)
        with pytest.raises(AudioError) as of_stream:
            list(stream(tmp_path / f"{name}.wav", 1000))
        assert str(of_stream.value) == str(of_load.value)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.opus"])
def test_lossy_files_keep_their_length_and_tone(tmp_path: Path, name: str) -> None:
    kind = {"a.opus": {"format": "OGG", "subtype": "OPUS"}}.get(name, {})
    soundfile.write(tmp_path / name, tone(48_000), 48_000, **kind)
    waveform = load(tmp_path / name, 48_000)
    assert abs(len(waveform) - 24_000) < 3000  # encoders pad
    assert np.abs(np.fft.rfft(waveform, 24_000)).argmax() == 220


def test_resampling_equals_librosas(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(44_100), 44_100, subtype="FLOAT")
    theirs = librosa.resample(tone(44_100), orig_sr=44_100, target_sr=22_050)
    np.testing.assert_allclose(load(tmp_path / "a.wav", 22_050), theirs, atol=1e-6)


def test_only_the_first_seconds_are_decoded(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000, 3), 8000, subtype="FLOAT")
    assert (load(tmp_path / "a.wav", 8000, max_seconds=1) == tone(8000, 1)).all()


def test_the_wanted_rate_is_left_as_it_is() -> None:
    waveform = tone(8000)
    assert resample(waveform, 8000, 8000) is waveform


def test_channels_are_averaged() -> None:
    stereo = np.array([[0.2, 0.4], [0.0, 1.0]], np.float32)
    np.testing.assert_allclose(mix_to_mono(stereo), [0.3, 0.5], rtol=1e-6)


def test_channels_that_cancel_leave_the_first_one() -> None:
    left = tone(8000)
    assert (mix_to_mono(np.stack([left, -left], axis=1)) == left).all()


def test_silent_stereo_is_silence() -> None:
    assert (mix_to_mono(np.zeros((5, 2), np.float32)) == 0).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "cannot be decoded"), (b"<html>", "cannot be decoded"), (None, "cannot be decoded")],
)
def test_what_is_no_audio_says_why(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match=reason):
        load(tmp_path / "a.wav", 8000)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 8000)
    with pytest.raises(AudioError, match="holds no samples"):
        load(tmp_path / "a.wav", 8000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    waveform = tone(8000)
    waveform[7] = value
    soundfile.write(tmp_path / "a.wav", waveform, 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN or infinite"):
        load(tmp_path / "a.wav", 8000)


def test_a_waveform_that_would_be_too_long_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000), 8000)
    monkeypatch.setattr("timbre.audio.MAX_SAMPLES", 4000)
    assert len(load(tmp_path / "a.wav", 8000)) == 4000
    with pytest.raises(AudioError, match=r"lasts more than 0\.0 hours at the 8000 Hz .* cut it"):
        load(tmp_path / "a.wav", 8001)
    assert len(load(tmp_path / "a.wav", 16_000, max_seconds=0.25)) == 4000


@pytest.mark.parametrize("target_rate", [4000, 22_050])
def test_resampling_in_pieces_changes_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target_rate: int
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(8000), 8000)
    whole = load(tmp_path / "a.wav", target_rate)
    for samples in (1, 999, 3999):
        monkeypatch.setattr("timbre.audio.BLOCK_SAMPLES", samples)
        assert load(tmp_path / "a.wav", target_rate).tobytes() == whole.tobytes()


def test_a_clip_shorter_than_a_sample_of_the_wanted_rate_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(1), 192_000)
    with pytest.raises(AudioError, match="is shorter than one sample at 22050 Hz"):
        load(tmp_path / "a.wav", 22_050)


def test_samples_whose_power_would_overflow_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(9, -1e30), 8000, subtype="FLOAT")
    with pytest.raises(
        AudioError, match=r"holds samples as large as 1e\+30, where full scale is 1"
    ):
        load(tmp_path / "a.wav", 8000)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_file_that_ends_in_damage_says_what_keeps_the_rest(tmp_path: Path, subtype: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    soundfile.write(tmp_path / "a.flac", noise, 8000, subtype=subtype)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"cannot be decoded to its end \(.*\): re-encode it"):
        load(tmp_path / "a.flac", 8000)


def test_a_file_that_is_not_there_says_nothing_about_its_audio(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be decoded"):
        load(tmp_path / "a.wav", 8000)

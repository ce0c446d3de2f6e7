"""What is measured of a recording."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import sounds
from hypothesis import given, settings
from hypothesis import strategies as st

from timbre import audio
from timbre.audio import AudioError, FileError, Waveform
from timbre.sound_facts import SoundFacts, measure

RATE = 8000


def facts_of(
    tmp_path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None
) -> SoundFacts:
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, rate, subtype)
    return measure(path, 5, 30)[0]


def tone(seconds: float = 1.0, height: float = 1.0, hertz: float = 500.0) -> np.ndarray:
    return height * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("height", [0.9, 0.1, 0.01])
def test_a_sine_is_3_db_below_its_peak(tmp_path: Path, height: float) -> None:
    facts = facts_of(tmp_path, tone(1, height))
    assert facts.peak == pytest.approx(20 * np.log10(height), abs=0.05)
    for level in (facts.level, facts.loudest, facts.noise):
        assert level == pytest.approx(facts.peak - 3.01, abs=0.1)


def test_format_and_length_are_those_of_the_file(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, np.zeros((800, 2)), 16_000, subtype="PCM_24")
    assert facts[:4] == (16_000, 2, "WAV PCM_24", 0.05)


def test_an_offset_is_told_and_is_no_level(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, np.full(RATE, 0.25))
    assert facts.offset == pytest.approx(0.25)
    assert (facts.level, facts.loudest) == (-120, -120)
    shifted = facts_of(tmp_path, 0.1 + tone(1, 0.5))
    assert shifted.offset == pytest.approx(0.1, abs=1e-4)
    assert shifted.level == pytest.approx(facts_of(tmp_path, tone(1, 0.5)).level, abs=0.01)


def test_silence_is_at_the_bottom(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, np.zeros(RATE))
    assert {facts.level, facts.peak, facts.noise, facts.loudest} == {-120}
    assert (facts.onset, facts.bandwidth, facts.clipped) == (0, 0, 0)


@given(st.floats(0, 3))
@settings(max_examples=10)
def test_sound_begins_where_silence_ends(
    tmp_path_factory: pytest.TempPathFactory, silence: float
) -> None:
    samples = np.r_[np.zeros(round(silence * RATE)), tone()]
    facts = facts_of(tmp_path_factory.mktemp("onset"), samples)
    assert abs(facts.onset - silence) <= 0.02


def test_noise_is_what_lies_in_the_pauses(tmp_path: Path) -> None:
    samples = np.r_[tone(1, 0.5), tone(1, 0.005)]
    facts = facts_of(tmp_path, samples)
    assert facts.noise == pytest.approx(20 * np.log10(0.005) - 3, abs=0.2)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "FLOAT"])
def test_cut_peaks_are_counted(tmp_path: Path, subtype: str) -> None:
    cut = np.clip(tone(1, 2), -1, 1)
    facts = facts_of(tmp_path, cut, subtype=subtype)
    # Of eight samples five lie outside; of such a run four stand beside another one.
    assert 0.45 < facts.clipped < np.mean(np.abs(cut) >= 1 - 2**-7)
    assert facts_of(tmp_path, tone(1, 0.99 - 2**-7), subtype=subtype).clipped == 0


def test_a_single_highest_sample_is_not_clipped(tmp_path: Path) -> None:
    samples = 0.5 * tone()
    samples[100] = 1.0
    assert facts_of(tmp_path, samples).clipped == 0


def test_each_channel_may_be_clipped(tmp_path: Path) -> None:
    samples = np.stack([np.clip(tone(1, 3), -1, 1), 0.1 * tone()], axis=1)
    assert facts_of(tmp_path, samples).clipped > 0.3


def test_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * rng.normal(size=(30_000, 2)), RATE)
    whole, beginning = measure(path, 5, 30)
    monkeypatch.setattr("timbre.sound_facts.BLOCK_SAMPLES", 4000)
    pieces, again = measure(path, 0.01, 30)
    np.testing.assert_array_equal(again, beginning)
    for name, value in whole._asdict().items():
        expected = value if isinstance(value, str) else pytest.approx(value, rel=0.01, abs=1e-6)
        assert getattr(pieces, name) == expected, name


@given(st.integers(1, 700))
@settings(max_examples=20)
def test_any_length_is_measured(tmp_path_factory: pytest.TempPathFactory, n_samples: int) -> None:
    facts = facts_of(tmp_path_factory.mktemp("short"), tone(1, 0.5)[100 : 100 + n_samples])
    assert facts.seconds == n_samples / RATE


def test_the_beginning_is_what_extraction_hears(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(3), 0.5 * tone(3)], axis=1), RATE)
    beginning = measure(path, 1, 2)[1]
    assert len(beginning) == 2 * RATE
    np.testing.assert_array_equal(beginning, audio.load(path, RATE, 2))


def test_damage_behind_what_is_needed_is_told_and_the_rest_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(sounds.mp3_with_hole())
    facts, beginning = measure(path, 0.5, 0.5)
    assert facts.ended.startswith("cannot be decoded to its end")
    assert 0.5 <= facts.seconds < 3
    assert len(beginning) == round(0.5 * 44_100)
    with pytest.raises(AudioError, match="cannot be decoded to its end"):
        measure(path, 5, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
def test_what_is_no_sound_is_refused(tmp_path: Path, bad: float) -> None:
    samples = tone()
    samples[10] = bad
    with pytest.raises(AudioError, match="holds"):
        facts_of(tmp_path, samples, subtype="FLOAT")


def test_a_missing_file_says_nothing_of_its_audio(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        measure(tmp_path / "none.wav", 5, 5)


def test_a_header_does_not_decide_how_much_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timbre.sound_facts.MOST_KEPT", 100)
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    kept: Waveform = measure(tmp_path / "a.wav", 5, 30)[1]
    assert len(kept) == 100

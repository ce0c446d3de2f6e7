import csv
import hashlib
import os
import subprocess
import sys
import types
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest
import soundfile

import timbre.synthesis
from stages.synthesize_demo import main
from timbre.demo_corpus import PEAK, SAMPLE_RATE, SPEAKERS, UTTERANCES, write_corpus
from timbre.problems import InputError

REPOSITORY = Path(__file__).resolve().parents[1]

SOME_UTTERANCES = UTTERANCES[:3]
WRITE_SOME = (
    "import sys; from pathlib import Path; from timbre.demo_corpus import *; "
    f"write_corpus(Path(sys.argv[1]), SPEAKERS, UTTERANCES[:{len(SOME_UTTERANCES)}])"
)


def write_in_fresh_process(folder: Path, **environment: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", WRITE_SOME, str(folder)],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout + finished.stderr


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "filespaths.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "new" / "demo"
    write_corpus(folder, SPEAKERS, SOME_UTTERANCES)
    return folder


# The corpus


def test_two_fresh_processes_write_the_same_bytes_and_print_nothing(tmp_path: Path) -> None:
    first = write_in_fresh_process(tmp_path / "a", LC_ALL="C", PYTHONHASHSEED="1")
    second = write_in_fresh_process(tmp_path / "b", LC_ALL="C.UTF-8", PYTHONHASHSEED="2")
    assert first == second == ""
    assert len(digests(tmp_path / "a")) == len(SPEAKERS) * len(SOME_UTTERANCES) + 1
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_every_speaker_says_every_utterance_once_and_the_utterance_is_the_group(
    corpus: Path,
) -> None:
    rows = rows_of(corpus)
    assert list(rows[0]) == ["FilePath", "Class", "Group"]
    assert [(row["Class"], row["Group"]) for row in rows] == [
        (speaker.name, text) for speaker in SPEAKERS for text in SOME_UTTERANCES
    ]


def test_the_table_lists_exactly_the_wav_files_that_were_written(corpus: Path) -> None:
    listed = [row["FilePath"] for row in rows_of(corpus)]
    assert "low-klatt/002.wav" in listed
    assert sorted([*listed, "filespaths.csv"]) == sorted(digests(corpus))
    assert all(path.isascii() for path in listed)


def test_every_clip_is_two_to_five_seconds_of_16_khz_mono_16_bit_pcm(corpus: Path) -> None:
    for row in rows_of(corpus):
        info = soundfile.info(corpus / row["FilePath"])
        assert (info.format, info.subtype) == ("WAV", "PCM_16")
        assert (info.samplerate, info.channels) == (SAMPLE_RATE, 1)
        assert 1.8 < info.duration < 5


def test_no_clip_is_silent_or_clipped(corpus: Path) -> None:
    lowest, highest = 10 ** (np.array(PEAK) / 20)
    for row in rows_of(corpus):
        waveform, _ = soundfile.read(corpus / row["FilePath"])
        assert lowest - 1e-3 < np.abs(waveform).max() < highest + 1e-3


def test_no_two_clips_are_the_same(corpus: Path) -> None:
    written = digests(corpus)
    assert len(set(written.values())) == len(written)


def test_the_corpus_has_eight_speakers_and_enough_groups_to_split() -> None:
    assert len({speaker.name for speaker in SPEAKERS}) == 8
    assert len({speaker.voice for speaker in SPEAKERS}) == 8
    assert len(set(UTTERANCES)) == len(UTTERANCES) >= 45
    assert all(3 <= len(text.split()) <= 5 for text in UTTERANCES)


def test_the_command_counts_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("timbre.demo_corpus.SPEAKERS", SPEAKERS[:2])
    monkeypatch.setattr("timbre.demo_corpus.UTTERANCES", SOME_UTTERANCES)
    main(tmp_path / "demo")
    assert len(rows_of(tmp_path / "demo")) == 6
    assert capsys.readouterr().out == "synthesize_demo: 6 clips, 2 speakers, 3 utterances\n"


# What a user can cause


def test_a_folder_that_holds_anything_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "filespaths.csv").write_text("my own table")
    with pytest.raises(InputError, match=r"is not empty.*name a new folder, or remove this one"):
        main(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "filespaths.csv"]
    assert (tmp_path / "filespaths.csv").read_text() == "my own table"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    write_corpus(tmp_path, SPEAKERS[:1], SOME_UTTERANCES[:1])
    assert len(rows_of(tmp_path)) == 1


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/demo: the demo corpus cannot be written \(.*dir"):
        main(tmp_path / "file" / "demo")


def fake_loader(
    monkeypatch: pytest.MonkeyPatch, library: str | None = None, data: str | None = None
) -> None:
    loader = types.ModuleType("espeakng_loader")
    library = library or espeakng_loader.get_library_path()
    data = data or espeakng_loader.get_data_path()
    vars(loader).update(get_library_path=lambda: library, get_data_path=lambda: data)
    monkeypatch.setitem(sys.modules, "espeakng_loader", loader)


@pytest.fixture
def library_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    # The loaded library is kept for the process; none of these cases gets as far as its own calls.
    monkeypatch.setattr(timbre.synthesis, "_start", timbre.synthesis._start.__wrapped__)


def message(tmp_path: Path) -> str:
    with pytest.raises(InputError) as caught:
        main(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
    (problem,) = caught.value.problems
    return problem


@pytest.mark.usefixtures("library_not_loaded")
def test_a_missing_package_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    told = message(tmp_path)
    assert told.startswith("espeak-ng cannot be loaded (import of espeakng_loader halted")
    assert told.endswith(
        "reinstall package espeakng-loader, or set data.root in params.yaml to a corpus of your own"
    )


@pytest.mark.usefixtures("library_not_loaded")
def test_a_missing_library_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_loader(monkeypatch, library=str(tmp_path / "libespeak-ng.so"))
    told = message(tmp_path)
    assert "espeak-ng cannot be loaded" in told
    assert str(tmp_path / "libespeak-ng.so") in told


@pytest.mark.usefixtures("library_not_loaded")
def test_a_library_that_is_not_espeak_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_loader(monkeypatch, library="libc.so.6")
    assert "undefined symbol: espeak_Initialize" in message(tmp_path)


@pytest.mark.usefixtures("library_not_loaded")
def test_missing_voice_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_loader(monkeypatch, data=str(tmp_path))
    assert f"file {tmp_path / 'phontab'} is missing" in message(tmp_path)


def test_a_path_too_long_for_espeak_is_an_error_and_not_other_voices(tmp_path: Path) -> None:
    data = tmp_path / ("x" * 160)
    data.symlink_to(espeakng_loader.get_data_path())
    (tmp_path / "espeakng_loader.py").write_text(
        f"get_library_path = lambda: {espeakng_loader.get_library_path()!r}\n"
        f"get_data_path = lambda: {str(data)!r}\n"
    )
    # The library would take this folder instead, without a word.
    other = str(Path(espeakng_loader.get_data_path()).parent)
    # In a process of its own: the library must not be initialized twice in one.
    ended = subprocess.run(
        [sys.executable, "-c", WRITE_SOME, str(tmp_path / "demo")],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "ESPEAK_DATA_PATH": other},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert f"does not take its data folder {data}" in ended.stderr
    assert "a folder with a shorter path" in ended.stderr
    assert not (tmp_path / "demo").exists()

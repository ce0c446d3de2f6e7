"""`timbre check`: what is planted in a corpus is found, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
import soundfile
import yaml
from clone import REPOSITORY
from planted import RATE, Corpus, Plant, sound
from settings import DATA

from stages import encode_labels
from timbre import clip_checks, corpus_checks, survey
from timbre.cli import main
from timbre.copies import LEAST_FRAMES
from timbre.finding_kinds import KINDS

Captured = pytest.CaptureFixture[str]
Check = Callable[..., dict[str, Any]]


@pytest.fixture
def check(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return what runs the command, without workers, and returns what it says as JSON."""
    monkeypatch.setattr("timbre.survey.map_unordered", lambda work, tasks, *_: map(work, tasks))
    monkeypatch.setattr("timbre.workers.get_ready", lambda _: None)

    def run(place: Path, *options: str) -> dict[str, Any]:
        code = main(["check", str(place), "--json", "--jobs", "1", *options])
        document = json.loads(capsys.readouterr().out)
        assert isinstance(document, dict)
        assert code == (0 if document["sound"] else 1)
        return document

    return run


def told(document: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the findings by kind: files, and what is said of them."""
    return {
        found["kind"]: [(item["file"], item["told"]) for item in found["items"]]
        for found in document["findings"]
    }


def missing_class(corpus: Corpus) -> None:
    corpus.put("cat/0.wav", "", "g0")


def missing_file(corpus: Corpus) -> None:
    corpus.put("cat/none.wav", "cat", "g0")


def empty_file(corpus: Corpus) -> None:
    corpus.put("cat/bad.wav", "cat", "g0")
    (corpus.root / "cat/bad.wav").touch()


def class_without_audio(corpus: Corpus) -> None:
    corpus.put("cow.wav", "cow", "g0")
    (corpus.root / "cow.wav").write_text("<html>")


def same_bytes_two_labels(corpus: Corpus) -> None:
    corpus.put("cat/again.wav", "cat", "g0")
    (corpus.root / "cat/again.wav").write_bytes((corpus.root / "dog/0.wav").read_bytes())


def class_in_one_group(corpus: Corpus) -> None:
    for number in range(3):
        corpus.put(f"cow/{number}.wav", "cow", "barn", samples=sound(50 + number))


def torn_group(corpus: Corpus) -> None:
    corpus.put("cat/torn.wav", "cat", "g0", "test", sound(60))


def copy_across_splits(corpus: Corpus) -> None:
    corpus.put("cat/part.wav", "cat", "g5", "test", sound(0)[4000:])


def rate_tells(corpus: Corpus) -> None:
    corpus.rows = [row for row in corpus.rows if row[1] == "cat"]
    for number in range(6):
        own = sound(20 + number, rate=16_000)
        corpus.put(f"dog/{number}.wav", "dog", f"g{number}", samples=own, rate=16_000)


def copy_under_two_labels(corpus: Corpus) -> None:
    corpus.put("dog/part.wav", "dog", "g0", "train", 0.3 * sound(0)[4000:])


def silence(corpus: Corpus) -> None:
    corpus.put("cat/silent.wav", "cat", "g0", samples=np.full(RATE, 0.001))


def late_sound(corpus: Corpus) -> None:
    corpus.put("cat/late.wav", "cat", "g0", samples=np.r_[np.zeros(6 * RATE), sound(61)])


def missing_end(corpus: Corpus) -> None:
    corpus.put("cat/torn.wav", "cat", "g0", samples=sound(62))
    os.truncate(corpus.root / "cat/torn.wav", 2 * RATE)


def cut_peaks(corpus: Corpus) -> None:
    half = 9 * sound(63, 1.5)
    samples = np.clip(np.r_[half, -half], -1, 1)  # without an offset
    corpus.put("cat/loud.wav", "cat", "g0", samples=samples)


def soft_sound(corpus: Corpus) -> None:
    corpus.put("cat/soft.wav", "cat", "g0", samples=0.004 * sound(64))


def shifted_zero(corpus: Corpus) -> None:
    corpus.put("cat/offset.wav", "cat", "g0", samples=0.02 + sound(65))


def upsampled(corpus: Corpus) -> None:
    thin = np.fft.rfft(sound(66, 3, RATE // 2))
    wide = np.fft.irfft(np.r_[thin, np.zeros(len(thin) - 1)], 3 * RATE)
    corpus.put("cat/thin.wav", "cat", "g0", samples=0.9 * wide / np.abs(wide).max())


def same_bytes(corpus: Corpus) -> None:
    corpus.put("cat/again.wav", "cat", "g0")
    (corpus.root / "cat/again.wav").write_bytes((corpus.root / "cat/0.wav").read_bytes())


def copy_in_other_bytes(corpus: Corpus) -> None:
    corpus.put("cat/part.wav", "cat", "g3", samples=0.3 * sound(0)[4000:])


def no_groups(corpus: Corpus) -> None:
    corpus.header, corpus.rows = corpus.header[:2], [row[:2] for row in corpus.rows]


def other_spelling(corpus: Corpus) -> None:
    corpus.rows = [
        [name, "Cat" if number < 6 and number % 2 else label, f"{number}{group}"]
        for number, (name, label, group) in enumerate([*corpus.rows])
    ]


def one_clip_of_a_class(corpus: Corpus) -> None:
    corpus.put("cow.wav", "cow", "g0", samples=sound(67))


def many_of_a_class(corpus: Corpus) -> None:
    for number in range(70):
        corpus.put(f"cow/{number}.wav", "cow", f"g{number % 6}", samples=sound(100 + number, 1.3))


def long_clip(corpus: Corpus) -> None:
    corpus.put("cat/long.wav", "cat", "g0", samples=sound(68, 60))


def no_test(corpus: Corpus) -> None:
    for row in corpus.rows:
        row[3] = "train"


def very_short_clip(corpus: Corpus) -> None:
    corpus.put("cat/short.wav", "cat", "g0", samples=sound(69)[:400])


def short_clips(corpus: Corpus) -> None:
    for row in corpus.rows[1:]:
        path = corpus.root / row[0]
        soundfile.write(path, soundfile.read(path)[0][:4000], RATE)


def few_groups(corpus: Corpus) -> None:
    corpus.rows = [[name, label, group.replace("g5", "g4")] for name, label, group in corpus.rows]


def other_codec(corpus: Corpus) -> None:
    corpus.put("cat/a.flac", "cat", "g0", samples=sound(70))


def forgotten_row(corpus: Corpus) -> None:
    soundfile.write(corpus.root / "cat/more.wav", sound(71), RATE)


# What each spoils, in a corpus with or without Split, and all that follows from it.
PLANTS: list[tuple[Plant, bool, set[str]]] = [
    (missing_class, False, {"table"}),
    (missing_file, False, {"files"}),
    (empty_file, False, {"audio"}),
    (class_without_audio, False, {"audio", "lost_class"}),
    (same_bytes_two_labels, False, {"contradiction", "identical"}),
    (class_in_one_group, False, {"untestable", "few_groups"}),
    (torn_group, True, {"leak_groups"}),
    (copy_across_splits, True, {"leak_copies"}),
    (rate_tells, False, {"giveaway", "mixed"}),
    (copy_under_two_labels, False, {"two_labels"}),
    (silence, False, {"silent"}),
    (late_sound, False, {"late"}),
    (missing_end, False, {"torn"}),
    (cut_peaks, False, {"clipped"}),
    (soft_sound, False, {"quiet"}),
    (shifted_zero, False, {"offset"}),
    (upsampled, False, {"bandwidth"}),
    (same_bytes, False, {"identical"}),
    (copy_in_other_bytes, False, {"copies"}),
    (no_groups, False, {"no_groups"}),
    (other_spelling, False, {"labels", "no_groups", "few_groups"}),
    (one_clip_of_a_class, False, {"rare", "untestable", "few_groups"}),
    (many_of_a_class, False, {"imbalance"}),
    (long_clip, False, {"unheard"}),
    (no_test, True, {"column"}),
    (very_short_clip, False, {"short"}),
    (short_clips, False, {"padding"}),
    (few_groups, False, {"few_groups"}),
    (other_codec, False, {"mixed"}),
    (forgotten_row, False, {"unlisted"}),
]


@pytest.mark.parametrize("split", [False, True])
def test_in_a_clean_corpus_nothing_is_found(tmp_path: Path, check: Check, split: bool) -> None:
    document = check(Corpus(tmp_path, split).root)
    assert told(document) == {}
    assert document["clips"] == document["compared_for_copies"] == 12


@pytest.mark.parametrize(
    ("plant", "split", "kinds"), PLANTS, ids=[plant.__name__ for plant, _, _ in PLANTS]
)
def test_what_is_planted_is_found_and_nothing_else(
    tmp_path: Path, check: Check, plant: Plant, split: bool, kinds: set[str]
) -> None:
    corpus = Corpus(tmp_path, split)
    plant(corpus)
    corpus.write()
    assert set(told(check(corpus.root))) == kinds


def test_each_kind_of_finding_is_planted_somewhere() -> None:
    planted = {kind for _, _, kinds in PLANTS for kind in kinds}
    assert set(KINDS) == planted | {"skipped", "uncompared"}  # which have tests of their own


def test_files_without_audio_names_are_passed_over_where_folders_are_the_classes(
    tmp_path: Path, check: Check
) -> None:
    corpus = Corpus(tmp_path)
    (tmp_path / "filespaths.csv").unlink()
    (tmp_path / "cat" / "more.m4a").touch()
    document = check(corpus.root)
    assert document["table"] is None
    assert [each["label"] for each in document["classes"]] == ["cat", "dog"]
    assert told(document)["skipped"] == [("cat/more.m4a", "is passed over")]
    assert set(told(document)) == {"skipped", "no_groups"}


def test_files_in_no_class_folder_are_named_and_the_others_examined(
    tmp_path: Path, check: Check
) -> None:
    corpus = Corpus(tmp_path)
    (tmp_path / "filespaths.csv").unlink()
    soundfile.write(tmp_path / "lost.wav", sound(1), RATE)
    document = check(corpus.root)
    reason = "'lost.wav' lies in no class folder: move it into a folder named as its class"
    assert told(document)["table"] == [("", reason)]
    assert document["clips"] == 12


def test_too_many_windows_to_compare_are_told(
    tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timbre.copies.PLACE_BITS", 10)
    found = told(check(Corpus(tmp_path).root))
    assert set(found) == {"uncompared"}
    assert "windows are too many to look for copies among" in found["uncompared"][0][1]


def test_all_is_told_at_once(tmp_path: Path, check: Check) -> None:
    plants = (missing_class, missing_file, empty_file, silence, copy_in_other_bytes, long_clip)
    corpus = Corpus(tmp_path)
    for plant in plants:
        plant(corpus)
    corpus.write()
    found = told(check(corpus.root))
    assert set(found) == {"table", "files", "audio", "silent", "copies", "unheard"}
    assert list(found) == [kind for kind in KINDS if kind in found]  # the worst first


@pytest.mark.parametrize(
    "plant", [missing_class, missing_file, same_bytes_two_labels, empty_file, other_spelling]
)
def test_the_pipeline_tells_nothing_that_is_not_told_here(
    tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    """The stage's own messages, word for word but for the row in front of a file's name."""
    corpus = Corpus(tmp_path / "corpus")
    plant(corpus)
    corpus.write()
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump({"data": DATA}))
    outputs = ("clips.csv", "labels.json", "bad.csv")
    done = commands.run(encode_labels.main, corpus.root, *outputs)
    here = [line for lines in told(check(corpus.root)).values() for line in lines]
    lines = done.errors() + done.warnings() if done.code else done.warnings()
    assert lines
    for line in lines:
        if "clips cannot be used" not in line:  # the stage's own sum
            assert any(line.endswith(said) and file in line for file, said in here), line


def test_a_copy_names_both_files_and_both_labels(tmp_path: Path, check: Check) -> None:
    corpus = Corpus(tmp_path)
    copy_under_two_labels(corpus)
    corpus.write()
    ((file, said),) = told(check(corpus.root))["two_labels"]
    assert file == "cat/0.wav"
    assert said.startswith("and 'dog/part.wav' ('cat' and 'dog'): 2.")
    assert "s in common" in said


def test_a_torn_group_is_counted_on_each_side(tmp_path: Path, check: Check) -> None:
    corpus = Corpus(tmp_path, split=True)
    torn_group(corpus)
    corpus.write()
    assert told(check(corpus.root))["leak_groups"] == [("", "group 'g0': 1 in test, 2 in train")]


def test_an_official_cross_validation_is_a_split_like_any_other(
    tmp_path: Path, check: Check
) -> None:
    corpus = Corpus(tmp_path, split=True)
    corpus.header[3] = "Fold"
    for number, row in enumerate(corpus.rows):
        row[3] = str(number % 6 // 2 + 1)
    corpus.write()
    assert told(check(corpus.root)) == {}
    corpus.rows[0][3] = "2"
    corpus.write()
    torn = [("", "group 'g0': 1 in 1, 1 in 2")]
    assert told(check(corpus.root)) == {"leak_groups": torn}
    for row in corpus.rows:
        row[3] = row[3] if row[1] == "cat" else "1"
    corpus.write()
    assert "class 'dog' (6 clips in 6 groups) has no clip in fold 1 and fold 2" in str(
        told(check(corpus.root))["column"]
    )


def test_a_table_may_be_named_and_its_paths_may_start_elsewhere(
    tmp_path: Path, check: Check
) -> None:
    corpus = Corpus(tmp_path / "inner")
    (corpus.root / "filespaths.csv").rename(tmp_path / "mine.csv")
    for place, options in ((tmp_path, ["--table", "mine.csv"]), (tmp_path / "mine.csv", [])):
        document = check(place, *options, "--audio", "inner")
        assert (document["table"], document["clips"]) == ("mine.csv", 12)


def test_a_table_that_cannot_be_read_is_the_finding(tmp_path: Path, check: Check) -> None:
    (tmp_path / "filespaths.csv").write_text("Path,Label\na.wav,x\n")
    document = check(tmp_path)
    assert document["clips"] == 0
    assert told(document) == {
        "table": [
            (
                "",
                f"{tmp_path}/filespaths.csv: column FilePath is missing; the table has 'Path', "
                "'Label'",
            ),
            (
                "",
                f"{tmp_path}/filespaths.csv: column Class is missing; the table has 'Path', "
                "'Label'",
            ),
        ]
    }


def test_an_empty_folder_is_told(tmp_path: Path, check: Check) -> None:
    reason = f"{tmp_path}: filespaths.csv is missing, and no folder in it holds audio"
    assert told(check(tmp_path)) == {"table": [("", reason)]}


def test_a_place_that_is_not_there_is_one_line(tmp_path: Path, capsys: Captured) -> None:
    assert main(["check", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/none: no such file or folder\n"


def test_the_lines_for_people_tell_why_and_what_to_do_and_how_many_more(
    tmp_path: Path, capsys: Captured
) -> None:
    corpus = Corpus(tmp_path)
    for number in range(7):
        corpus.put(f"cat/\x1b[31m{number}.wav", "cat", "g0", samples=np.zeros(RATE + number))
    corpus.write()
    assert main(["check", str(tmp_path), "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}/filespaths.csv: 19 clips, 2 classes, 6 groups, 0.7 minutes"
    assert lines[4].startswith("  split.method grouped: train ")
    assert lines[4].endswith("of 1 group")
    at = lines.index("warning: silent clips: 7")
    assert lines[at + 1] == r"  'cat/\x1b[31m0.wav': nothing above -120 dBFS"
    assert lines[at + 6 : at + 9] == [
        "  ... and 2 more (see --html or --json)",
        f"  why: {KINDS['silent'].why}",
        f"  do: {KINDS['silent'].way_out}",
    ]
    assert lines[-1].endswith("1 warning")


def test_a_file_that_crashes_its_decoder_is_a_finding_and_the_others_are_heard(
    tmp_path: Path,
) -> None:
    corpus = Corpus(tmp_path)
    corpus.put("cat/killer.wav", "cat", "g0", "train", sound(80))
    corpus.write()
    code = (
        "import os, sys\n"
        "from timbre import survey\n"
        "measure = survey.measure\n"
        "def deadly(path, *rest):\n"
        "    if path.name == 'killer.wav':\n"
        "        os.abort()\n"
        "    return measure(path, *rest)\n"
        "survey.measure = deadly\n"
        "survey.WORKER_MODULES = ()\n"
        "import multiprocessing\n"
        "multiprocessing.get_all_start_methods = lambda: ['fork']\n"
        "multiprocessing.get_context = lambda _: multiprocessing.context.ForkContext()\n"
        "from timbre.cli import main\n"
        "sys.exit(main(['check', sys.argv[1], '--json', '--jobs', '1']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    reason = "crashes its decoder (SIGABRT)"
    assert told(document) == {"audio": [("cat/killer.wav", reason)]}
    assert document["clips"] == 12


def test_it_runs_anywhere_without_dvc_and_torch(tmp_path: Path) -> None:
    Corpus(tmp_path)
    code = (
        "import sys; from timbre.cli import main; code = main(['check', '--jobs', '1']); "
        "print({'dvc', 'torch', 'matplotlib'} & sys.modules.keys()); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing to mend\nset()\n")


def test_what_is_assumed_of_the_settings_is_what_params_yaml_has() -> None:
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text("utf-8"))
    split, extract = params["split"], params["extract"]
    assert (split["train"], split["val"], split["test"]) == corpus_checks.FRACTIONS
    assert split["seed"] == corpus_checks.SEED
    assert extract["window_seconds"] is None  # so it is fitting_seconds of the clips
    assert (extract["fmax"] or extract["sample_rate"] / 2) == clip_checks.FMAX_HZ


def test_no_more_is_compared_than_can_be() -> None:
    assert LEAST_FRAMES * survey.ear().frame_seconds >= survey.SHORTEST


@pytest.mark.real
def test_real_recordings_give_findings_that_are_true(real_data: Path, check: Check) -> None:
    digits = check(real_data / "fsdd")
    assert set(told(digits)) == {"leak_groups"}  # its speakers are on both sides
    speakers = check(real_data / "fsdd", "--table", "filespaths_speakers.csv")
    assert set(told(speakers)) == {"leak_groups", "giveaway"}  # a microphone each
    shares = [each["told_by_the_recording"]["shares"] for each in (digits, speakers)]
    assert shares[0]["recording"] < 0.2
    assert shares[1]["recording"] > 0.7

"""The command `timbre`: what it prints, where, and with which exit code."""

import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clone import REPOSITORY
from conftest import write_wav
from small_model import Trained

from timbre import predict
from timbre.audio import Waveform
from timbre.cli import main
from timbre.predict import Classifier
from timbre.windows import stream_windows

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two recordings, one of them below another, and with other files."""
    write_wav(tmp_path / "in" / "b.wav", 0.2, seed=1)
    write_wav(tmp_path / "in" / "deep" / "a.wav", 0.7, seed=2)
    (tmp_path / "in" / "notes.txt").write_text("none")
    return tmp_path / "in"


def test_each_clip_has_its_line(trained: Trained, capsys: Captured) -> None:
    paths = [str(path) for path in trained.clips[1:3]]
    assert main(["predict", str(trained.model), *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, path in zip(lines, paths, strict=True):
        answer = Classifier.load(trained.model).answer(Path(path))
        share = f"{answer.probs.max():.1%}"
        known, unknown = (
            f"{answer.label} ({share})",
            f"unknown (most like {answer.likeliest}, {share})",
        )
        assert line == f"{path}: {known if answer.is_known else unknown}"


def test_json_is_an_object_a_line_with_all_probabilities(
    trained: Trained,
    folder: Path,
    capsys: Captured,
) -> None:
    assert main(["predict", str(trained.model), "--json", str(folder)]) == 0
    read = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["file"] for one in read] == [f"{folder}/b.wav", f"{folder}/deep/a.wav"]
    for one in read:
        assert list(one["probs"]) == ["high", "low", "middle"]
        assert sum(one["probs"].values()) == pytest.approx(1, abs=1e-5)
        assert one["confidence"] == one["probs"][one["likeliest"]] == max(one["probs"].values())
        assert one["label"] == (one["likeliest"] if one["known"] else "unknown")


def test_who_is_heard_in_part_is_told(
    trained: Trained,
    folder: Path,
    capsys: Captured,
) -> None:
    main(["predict", str(trained.model), str(folder)])
    told = "note: 1 of the files are longer than the 0.25 s at their start that this model hears"
    whole = Classifier.load(trained.model).features.keep_all
    assert (told in capsys.readouterr().err) == (not whole)


def test_standard_input_is_a_file_like_any_other(
    trained: Trained,
    folder: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Standard:
        buffer = io.BytesIO((folder / "b.wav").read_bytes())

    monkeypatch.setattr("sys.stdin", Standard())
    assert main(["predict", str(trained.model), "-", str(folder / "b.wav")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.removeprefix("-: ") == second.removeprefix(f"{folder}/b.wav: ")


@pytest.mark.parametrize("kind", ["csv", "json", "audacity"])
def test_a_timeline_is_printed_in_its_format(
    trained: Trained,
    folder: Path,
    capsys: Captured,
    kind: str,
) -> None:
    command = ["predict", str(trained.model), "--timeline", kind, "--hop", "0.1"]
    assert main([*command, str(folder / "deep")]) == 0
    out = capsys.readouterr().out
    path = folder / "deep" / "a.wav"
    segments = Classifier.load(trained.model).timeline(path, 0.1)
    if kind == "json":
        assert len(json.loads(out)[0]["segments"]) == len(segments)
    else:
        assert len(out.splitlines()) == len(segments) + (kind == "csv")
        assert out.splitlines()[-1].split("," if kind == "csv" else "\t")[-3:][0]


def test_bad_files_are_named_and_the_others_answered(
    trained: Trained,
    folder: Path,
    capsys: Captured,
) -> None:
    (folder / "broken.wav").write_text("text")
    for more in ([], ["--timeline", "csv"]):
        assert main(["predict", str(trained.model), *more, str(folder)]) == 1
        out, err = capsys.readouterr()
        assert f"{folder}/b.wav" in out
        assert f"{folder}/deep/a.wav" in out
        assert f"error: {folder}/broken.wav: cannot be decoded (Format not recognised)" in err


def test_with_no_usable_file_nothing_is_printed(
    trained: Trained,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    (tmp_path / "broken.wav").write_text("text")
    command = ["predict", str(trained.model), "--timeline", "json", str(tmp_path)]
    assert main(command) == 1
    assert capsys.readouterr().out == ""


def test_all_inputs_that_are_none_are_named_at_once(
    trained: Trained,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = [str(tmp_path / name) for name in ("none.wav", "empty", "pipe")]
    assert main(["predict", str(trained.model), *names]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: {names[0]}: no such file or folder",
        f"error: {names[1]}: no audio found in this folder",
        f"error: {names[2]}: neither a file nor a folder",
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--hop", "1"], "--hop is for --timeline"),
        (["--json", "--timeline", "csv"], "--json is for clips"),
        (["--timeline", "audacity"], "labels are of one recording, not several"),
        (["--timeline", "xml"], "'xml' is not one of 'csv', 'json', 'audacity'"),
        (["--hop", "long", "--timeline", "csv"], "'long' is not a valid float"),
        (["--jason"], "No such option '--jason'"),
    ],
)
def test_a_wrong_command_is_refused_with_its_reason(
    trained: Trained,
    folder: Path,
    capsys: Captured,
    options: list[str],
    reason: str,
) -> None:
    assert main(["predict", str(trained.model), *options, str(folder)]) == 2
    assert reason in capsys.readouterr().err


def test_a_model_that_is_none_is_refused(folder: Path, capsys: Captured) -> None:
    assert main(["predict", str(folder / "notes.txt"), str(folder)]) == 1
    assert f"error: {folder}/notes.txt: not a usable Timbre model" in capsys.readouterr().err


def test_a_table_is_made_of_folders(folder: Path, capsys: Captured) -> None:
    write_wav(folder / "other" / "c.wav")
    (folder / "b.wav").unlink()
    assert main(["index", str(folder)]) == 0
    assert (folder / "filespaths.csv").read_text() == (
        "FilePath,Class\ndeep/a.wav,deep\nother/c.wav,other\n"
    )
    assert "2 clips, 2 classes" in capsys.readouterr().out
    assert main(["index", str(folder)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["index", str(folder), "--force"]) == 0
    assert main(["index", str(folder), "--output", str(folder / "t.csv")]) == 0
    assert (folder / "t.csv").read_bytes() == (folder / "filespaths.csv").read_bytes()


def test_the_doctor_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 1
    assert "no DVC repository here" in capsys.readouterr().err


def test_an_interrupt_ends_without_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("timbre.index.write_index", interrupt)
    assert main(["index", str(folder)]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_what_it_completes_with(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "timbre"],
        cwd=REPOSITORY,
        env={**os.environ, "_TIMBRE_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_TIMBRE_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal of POSIX")
@pytest.mark.parametrize("command", [["--help"], ["index", "none"], ["predikt"], ["gate"]])
def test_no_colour_is_printed_even_on_a_terminal(command: list[str], tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "timbre", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert done.returncode in (0, 1, 2)
    assert shown.strip()
    assert b"\x1b" not in shown


@pytest.mark.parametrize(
    "command", [[], ["predict"], ["serve"], ["export"], ["demo"], ["index"], ["check"], ["doctor"]]
)
def test_help_has_examples_and_imports_nothing_slow(command: list[str]) -> None:
    slow = "torch numpy pandas pydantic yaml dvc soundfile starlette uvicorn"
    code = (
        f"import sys; from timbre.cli import main; code = main({[*command, '--help']!r}); "
        f"print(code, sys.modules.keys() & set({slow.split()!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: timbre")
    assert done.stdout.endswith("0 set()\n")


def test_a_model_answers_anywhere_without_dvc(
    trained: Trained,
    folder: Path,
) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('dvc', 'pydantic', 'pandas', 'yaml'))); "
        "from timbre.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", str(trained.model), "b.wav"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("b.wav: ")


def test_the_module_is_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("sys.argv", ["timbre", "index", str(folder)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("timbre", run_name="__main__")
    assert caught.value.code == 1  # b.wav lies in no folder
    assert capsys.readouterr().err.startswith("error: 'b.wav' lies in no class folder")


def test_ten_hours_need_no_more_memory_than_a_minute(
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of all that is decoded, only what one window more than a batch needs is held at a time."""
    classifier = Classifier.load(trained.model)
    alive: list[int] = []

    def long(*_: object) -> Iterator[Waveform]:
        rng = np.random.default_rng(0)
        for _number in range(200):
            yield rng.uniform(-0.1, 0.1, 4000).astype(np.float32)

    def watched(pieces: Iterable[Waveform], window: int, hop: int) -> Iterator[Waveform]:
        for piece in stream_windows(pieces, window, hop):
            alive.append(piece.nbytes if piece.base is None else piece.base.nbytes)
            yield piece

    monkeypatch.setattr(predict, "stream", long)
    monkeypatch.setattr(predict, "stream_windows", watched)
    found = classifier.timeline(trained.clips[0])
    assert found[-1].end == 200 * 4000 / 8000
    assert max(alive) < 4 * (4000 + 3 * 2000)

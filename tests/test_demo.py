"""`timbre demo`: a corpus outside of the repository, and what to do inside of it."""

import csv
import shlex
from pathlib import Path

import pytest
from clone import REPOSITORY
from dvc.cli import parse_args

from timbre import demo_corpus
from timbre.cli import main, timbre

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two voices say one sentence."""
    monkeypatch.setattr(demo_corpus, "SPEAKERS", demo_corpus.SPEAKERS[-2:])
    monkeypatch.setattr(demo_corpus, "UTTERANCES", demo_corpus.UTTERANCES[:1])


def told_commands(out: str) -> list[list[str]]:
    return [shlex.split(line) for line in out.splitlines() if line.startswith("  ")]


def test_elsewhere_a_corpus_is_spoken_and_what_then_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("timbre-demo: 2 clips, 2 speakers, 1 utterances\n")
    with Path("timbre-demo/filespaths.csv").open(encoding="utf-8", newline="") as file:
        clips = [tmp_path / "timbre-demo" / row["FilePath"] for row in csv.DictReader(file)]
    assert [path.is_file() for path in clips] == [True] * 2
    train, predict, serve = told_commands(out)
    assert train[-1] == f"data.root={tmp_path / 'timbre-demo'}"
    assert Path(predict[-1]) in clips
    parse_args(train[1:])  # raises DvcParserError
    for words in (predict, serve):
        assert words[0] == "timbre"
        timbre.commands[words[1]].make_context(words[1], words[2:])  # raises UsageError


def test_a_folder_with_blanks_is_told_as_a_shell_reads_it(tmp_path: Path, capsys: Captured) -> None:
    assert main(["demo", str(tmp_path / "my demo")]) == 0
    train, *_ = told_commands(capsys.readouterr().out)
    assert train[-1] == f"data.root={tmp_path / 'my demo'}"


def test_in_the_repository_nothing_is_written_and_the_pipeline_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(demo_corpus, "speak_demo", lambda _: pytest.fail("written"))
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("This is Timbre's repository. The pipeline speaks the demo corpus by ")
    assert told_commands(out)[0] == ["dvc", "repro"]


def test_what_is_there_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("timbre-demo").mkdir()
    Path("timbre-demo/notes").write_text("mine")
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "error: timbre-demo is not empty: the demo corpus would mix with what is there: "
        "name a new folder, or remove this one first\n"
    )
    assert [path.name for path in Path("timbre-demo").iterdir()] == ["notes"]

import re
import sys
from pathlib import Path

import pytest
import yaml

from timbre import command
from timbre.problems import InputError


def exit_code(monkeypatch: pytest.MonkeyPatch, main: object, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.run(main)  # type: ignore[arg-type]
    return caught.value.code


def test_arguments_arrive_as_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Path] = []

    def main(source: Path, target: Path) -> None:
        got.extend([source, target])

    assert exit_code(monkeypatch, main, "a", "b/c") == 0
    assert got == [Path("a"), Path("b/c")]


ODD = "a b/$(touch harm) `touch harm`; touch harm '\" \\ é"


def test_a_path_in_params_yaml_arrives_as_it_is_written_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump({"data": {"root": ODD}}), encoding="utf-8")
    got: list[Path] = []
    assert exit_code(monkeypatch, lambda root: got.append(root), "params:data.root") == 0
    assert got == [Path(ODD)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"cannot be read \(.*No such file"),
        (b"data: [", r"cannot be read \("),
        (b"\xff", r"cannot be read \("),
        (b"data: {}", r"cannot be read \('root'\)"),
        (b"data:", r"cannot be read \("),
        (b"data: {root: 3}", r"must be a path \(got 3\)"),
        (b"data: {root: }", r"must be a path \(got None\)"),
        (b"data: {root: ''}", r"must be a path \(got ''\)"),
    ],
)
def test_a_path_that_params_yaml_does_not_have_is_told(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("params.yaml").write_bytes(content)
    assert exit_code(monkeypatch, lambda root: print(root), "params:data.root") == 1
    assert re.match(rf"error: params\.yaml: data\.root: {problem}", capsys.readouterr().err)


def test_a_problem_is_printed_line_by_line_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise InputError(["first", "second"])

    assert exit_code(monkeypatch, main) == 1
    assert capsys.readouterr() == ("", "error: first\nerror: second\n")


def test_a_wrong_number_of_arguments_shows_the_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(clips: Path, splits: Path) -> None: ...

    assert exit_code(monkeypatch, main, "a") == 2
    assert capsys.readouterr().err.endswith("CLIPS SPLITS\n")


def test_an_interrupt_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    assert exit_code(monkeypatch, main) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(ZeroDivisionError):
        command.run(main)


def test_an_error_without_problems_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="at least one problem"):
        InputError([])

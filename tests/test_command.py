import errno
import os
import re
import signal
import sys
import time
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


def test_a_termination_cleans_up_and_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned: list[bool] = []

    def main() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except Exception:  # whoever catches all errors does not catch this
            raise AssertionError from None
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    assert exit_code(monkeypatch, main) == 143
    assert capsys.readouterr().err == "terminated\n"
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) == before


AGAIN = "then run `dvc repro`: what is finished is not done again\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "m.h5"), "m.h5: No space left on device"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (PermissionError(errno.EACCES, "Permission denied", "m"), "m: Permission denied"),
    ],
)
def test_a_fault_of_the_disk_is_one_line_with_a_way_out(
    error: OSError, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise error

    assert exit_code(monkeypatch, main) == 1
    way_out = command.WAYS_OUT[error.errno or 0]
    assert capsys.readouterr().err == f"error: {told}: {way_out}, {AGAIN}"


def test_a_file_that_is_not_there_is_our_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "a")

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(FileNotFoundError):
        command.run(main)


def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(ZeroDivisionError):
        command.run(main)


def test_an_error_without_problems_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="at least one problem"):
        InputError([])

"""A stage's command, run in this process: its exit code and what it prints."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from timbre import command


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def errors(self) -> list[str]:
        """Return the problems told; there is nothing else on stderr but warnings."""
        lines = self.err.splitlines()
        assert all(line.startswith(("error: ", "warning: ")) for line in lines), self.err
        return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]

    def warnings(self) -> list[str]:
        """Return the warnings told."""
        lines = self.err.splitlines()
        return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]


def run(main: Callable[..., None], *arguments: Path | str) -> Done:
    """Run a stage's `main` as its command does; an exception that ends it ends the test."""
    words = ["stage", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", words),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        command.run(main)
    assert isinstance(left.value.code, int)
    return Done(left.value.code, out.getvalue(), err.getvalue())


def digests(*paths: Path) -> dict[str, bytes]:
    """Return the bytes of these files, and of all files in these folders, by their names."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return {str(file): file.read_bytes() for file in files if file.is_file()}

"""What a user can cause and mend: one exception for it, carrying every problem found."""

import sys
from collections.abc import Iterable
from pathlib import Path


class InputError(Exception):
    """Problems in what the user gave; each line names the place, the reason, the way out.

    Problems are collected and raised together, so that nobody mends a table one row per run.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        """Take one message or all of them; an empty collection is a programming error."""
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        if not self.problems:
            raise ValueError("an InputError needs at least one problem")
        super().__init__("\n".join(self.problems))

    def show(self) -> None:
        """Print a line for each problem to stderr."""
        for problem in self.problems:
            print(f"error: {problem}", file=sys.stderr)


def unusable(table: Path, error: Exception) -> str:
    """Say why a table that one stage wrote for another cannot be used, and the way out."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or "it is empty"
    return f"{table}: cannot be used ({reason}): run `dvc repro`, which makes it anew"

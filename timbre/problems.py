"""What a user can cause and mend: one exception for it, carrying every problem found."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

MAX_LISTED = 50  # messages of one kind; beyond it a terminal hides the other kinds


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


class Lines:
    """Messages of one kind, each written when it is asked for.

    A table may have ten million bad rows, of which fifty are shown: all messages would take more
    memory than the table.
    """

    def __init__(self, count: int, write: Callable[[int], str]) -> None:
        """Take how many there are, and what writes number 0 to count - 1."""
        self._count, self._write = count, write

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __iter__(self) -> Iterator[str]:
        """Write them all, one at a time."""
        return map(self._write, range(self._count))


def capped(messages: Sequence[str] | Lines) -> list[str]:
    """Shorten `messages`, all of one kind, to MAX_LISTED and say how many more there are."""
    more = len(messages) - MAX_LISTED
    listed = list(islice(messages, MAX_LISTED))
    return [*listed, f"... and {more} more like the one above"] if more > 0 else listed


def unusable(table: Path, error: Exception) -> str:
    """Say why a table that one stage wrote for another cannot be used, and the way out."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or "it is empty"
    return f"{table}: cannot be used ({reason}): run `dvc repro`, which makes it anew"

"""Each promise is one sentence, and the test that holds it is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "docs" / "guarantees.md").read_text("utf-8").splitlines()
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in LINES
    if line.startswith("| ") and not line.startswith("| promise")
]


def names_in(file: str) -> set[str]:
    """Return the names of a file's tests, none for a file that is not there."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text("utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_every_promise_is_one_sentence() -> None:
    assert len(ROWS) > 40
    for promise, _ in ROWS:
        assert re.fullmatch(r"[^.!?]+(?:\.yaml[^.!?]*)*\.", promise), promise


def test_no_promise_is_made_twice() -> None:
    assert len({promise for promise, _ in ROWS}) == len(ROWS)


def test_the_test_that_holds_a_promise_is_there() -> None:
    missing = []
    for promise, named in ROWS:
        found = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", named)
        assert found, promise
        if found[2] not in names_in(found[1]):
            missing.append(named)
    assert missing == []

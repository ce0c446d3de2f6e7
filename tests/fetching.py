"""What a stage asks for of its last output, caught before anything is fetched."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from timbre.cached_output import EarlierInput

Choose = Callable[[Sequence[str], EarlierInput], Sequence[str]]
Fits = Callable[[Path], bool]


def caught(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[tuple[Choose, Fits]]:
    """Return a list that grows by what `module` hands to `cached_files`, which finds nothing."""
    found: list[tuple[Choose, Fits]] = []

    def watched(output: Path, folder: Path, choose: Choose, fits: Fits) -> list[Path]:
        found.append((choose, fits))
        return []

    monkeypatch.setattr(module, "cached_files", watched)
    return found

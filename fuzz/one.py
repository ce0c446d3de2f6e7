"""Fuzz one reader; libFuzzer's own options are understood.

python -m fuzz.one READER [FOLDER_OF_INPUTS | FILE] [-max_total_time=60 ...]
"""

import sys
import tempfile
from pathlib import Path

import atheris


def main() -> None:
    """Hand bytes to the reader until the time is up, or until something is found."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["timbre", "stages"]):
        from fuzz.readers import TARGETS
    read = TARGETS[name].read
    with tempfile.TemporaryDirectory(prefix="timbre-fuzz-") as folder:
        path = Path(folder) / "input"
        atheris.Setup([sys.argv[0], *options], lambda data: read(path, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()

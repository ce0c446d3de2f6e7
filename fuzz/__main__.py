"""Fuzz the readers of files from elsewhere: `python -m fuzz [SECONDS] [READER ...]`.

Each reader gets an equal share of the time, in a process of its own. What it found lies in
.timbre/fuzz; inputs that reached new code are kept there and are begun from the next time.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.readers import TARGETS

WORK = Path(".timbre/fuzz")
SECONDS = 300  # for all readers together
OPTIONS = (
    "-rss_limit_mb=4096",  # more is taken for a bomb; torch alone takes a tenth
    "-timeout=20",  # s for one input
    "-max_len=65536",  # bytes
    "-print_final_stats=1",
)


def main() -> int:
    """Return 1 if anything was found, else 0."""
    words = sys.argv[1:]
    seconds = int(words.pop(0)) if words and words[0].isdecimal() else SECONDS
    names = words or list(TARGETS)
    found = [name for name in names if not fuzz(name, max(1, seconds // len(names)))]
    return 1 if found else 0


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one reader, and print how often it was asked; return whether all was well."""
    inputs, findings = WORK / "inputs" / name, WORK / "findings" / name
    for folder in (inputs, findings):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        for number, seed in enumerate(TARGETS[name].seeds(Path(made))):
            (inputs / f"seed-{number}").write_bytes(seed)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fuzz.one", name, inputs, f"-max_total_time={seconds}"),
            *(f"-artifact_prefix={findings}/", *OPTIONS),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    (WORK / f"{name}.txt").write_text(done.stdout, encoding="utf-8")
    asked = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    print(f"{name}: {asked[1] if asked else 'an unknown number of'} inputs in {seconds} s", end="")
    if done.returncode == 0:
        print(", nothing found", flush=True)
        return True
    print(
        f": FOUND: see {WORK}/{name}.txt; `python -m fuzz.one {name} FILE` does it again",
        flush=True,
    )
    return False


if __name__ == "__main__":
    sys.exit(main())

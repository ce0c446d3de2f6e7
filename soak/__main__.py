"""Disturb runs, a thousand times: `python -m soak [--count N] [--minutes M] [--seed S]`.

One seed is one trial. `--seed S --count 1` does a trial again.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from soak.disk import NotPossibleError
from soak.ground import Ground, make_ground
from soak.plan import draw
from soak.trial import Outcome, run

Counts = Counter[tuple[str, str, str]]  # fault, where, outcome


def main(arguments: list[str]) -> int:
    """Run the trials; return 1 if one of them went wrong."""
    options = parse(arguments)
    end = time.monotonic() + 60 * options.minutes
    counts: Counts = Counter()
    with tempfile.TemporaryDirectory(prefix="timbre-soak-") as name:
        folder = Path(name)
        ground = make_ground(folder)
        seeds = iter(range(options.seed, options.seed + options.count))
        with ThreadPoolExecutor(options.jobs) as pool:
            waiting: dict[Future[str], int] = {}
            while True:
                while len(waiting) < options.jobs and time.monotonic() < end:
                    if (seed := next(seeds, None)) is None:
                        break
                    waiting[pool.submit(one, seed, ground, folder, options.verbose, counts)] = seed
                if not waiting:
                    break
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    waiting.pop(future)
                    if told := future.result():
                        print(told, flush=True)
    report(counts, options.json)
    return int(any(outcome == "FAULT" for _, _, outcome in counts))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m soak", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="trials (1000)")
    parser.add_argument("--minutes", type=float, default=60, help="begin no trial later (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial (0)")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time (1)")
    parser.add_argument("--json", type=Path, help="write the counts to this file as well")
    parser.add_argument("--verbose", action="store_true", help="show what the runs print")
    return parser.parse_args(arguments)


def one(seed: int, ground: Ground, folder: Path, verbose: bool, counts: Counts) -> str:
    """Run the trial of a seed; return what is to be said of it."""
    strike = draw(seed, ground)
    try:
        outcome = run(strike, ground, folder / f"trial-{seed}")
    except NotPossibleError as error:
        counts[strike.fault, strike.where(), "skipped"] += 1
        return f"seed {seed}: skipped: {error}"
    counts[strike.fault, strike.where(), outcome.word()] += 1
    return told(seed, outcome, verbose)


def told(seed: int, outcome: Outcome, verbose: bool) -> str:
    """Say what came of a trial, and of a failed one how it can be done again."""
    lines = [f"seed {seed}: {outcome.word()}: {json.dumps(outcome.strike.told())}"]
    lines += [f"  {fault}" for fault in outcome.faults]
    if outcome.faults:
        lines.append(f"  again: python -m soak --seed {seed} --count 1 --verbose")
    if verbose:
        lines.append(outcome.output)
    return "\n".join(lines)


def report(counts: Counts, path: Path | None) -> None:
    """Show how many trials ended how."""
    rows = [{"fault": f, "where": w, "outcome": o, "trials": n} for (f, w, o), n in counts.items()]
    rows.sort(key=lambda row: (str(row["outcome"]), str(row["fault"]), str(row["where"])))
    for row in rows:
        print(f"{row['trials']:5}  {row['outcome']:24}  {row['fault']:10}  {row['where']}")
    print(f"{counts.total():5}  trials")
    if path:
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

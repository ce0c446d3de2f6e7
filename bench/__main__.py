"""Run benchmarks: `python -m bench [--quick] [NAME...]`; without names, all but the long ones."""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from bench import machine, report, scale_page
from bench.corpora import NoRecordingsError, recordings
from bench.figures import Figure
from bench.workshop import Workshop

Benchmark = Callable[[Workshop], list[Figure]]

# Each name is a function in a module, imported when it runs: no benchmark shall find the machine
# changed by what another one imports.
MODULES = {
    "floor": "bench.floor",
    "extraction": "bench.extraction",
    "stage": "bench.extraction",
    "incremental": "bench.incremental",
    "training": "bench.training",
    "reading": "bench.reading",
    "startup": "bench.startup",
    "predict": "bench.startup",
    "accuracy": "bench.training_time",
    "time_to_accuracy": "bench.training_time",
    "time_without_imitation": "bench.training_time",
    "streaming": "bench.streaming",
    "scaling": "bench.scaling",
    "coverage": "bench.coverage",
    "cost": "bench.cost",
    "storage": "bench.storage",
    "side_by_side": "bench.side_by_side",
    "cluster": "bench.cluster",
}
# A quarter of an hour each, or more.
LONG = (
    *("accuracy", "time_to_accuracy", "time_without_imitation"),
    *("streaming", "scaling", "coverage", "side_by_side", "cost"),
)


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit code."""
    options = parse(arguments)
    names = options.names or [name for name in MODULES if name not in LONG]
    try:
        recordings()
    except NoRecordingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in tqdm(names, unit="benchmark", disable=None):
        with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
            start = time.perf_counter()
            figures = benchmark(name)(Workshop(Path(folder), options.quick))
            entry = report.entry(machine.describe(), time.perf_counter() - start, figures)
        print(report.plain_table(entry["figures"]), flush=True)
        if not options.quick:
            # After each benchmark, not at the end: an hour's numbers outlive a mistake in the next.
            results = report.merge(report.read(report.RESULTS), {name: entry})
            report.write(results, report.RESULTS)
            report.update_page(results, report.PAGE)
            scale_page.update_page(results, scale_page.PAGE)
    if options.quick:
        print("quick: sizes too small to believe these numbers; nothing was written")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--quick", action="store_true", help="few clips, one pair, no results")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in MODULES]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(MODULES)}")
    return options


def benchmark(name: str) -> Benchmark:
    """Return the function of that name."""
    found: Benchmark = getattr(importlib.import_module(MODULES[name]), name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

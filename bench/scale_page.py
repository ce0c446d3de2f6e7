"""What a million clips cost, in docs/scale.md: `python -m bench.scale_page` for other prices.

Seconds and bytes are those that `python -m bench cost` measured. Prices are assumptions.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bench import report
from bench.cost import CLIP, MOST_ERROR, QUANTITIES, UNITS

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- begin: bench/cost.py -->", "<!-- end: bench/cost.py -->"
CLIPS = 1_000_000
EPOCH = "train_cnn, an epoch"
HEADER = ("part", "core hours", "GB read", "GB written", "of the prediction, worst error", "met")


@dataclass(frozen=True)
class Assumed:
    """What nobody measured: prices in USD, and how long one trains."""

    vcpu_hour: float = 0.05
    gb_month: float = 0.023
    gb_egress: float = 0.09
    epochs: float = 60


@dataclass(frozen=True)
class Part:
    """What a part of the pipeline takes for a million clips."""

    name: str
    core_hours: float  # all cores of the machine, for as long as it took
    gb_read: float
    gb_written: float
    error: float  # %

    def cells(self) -> list[str]:
        """Return its row of the table."""
        amounts = (self.core_hours, self.gb_read, self.gb_written)
        met = "yes" if self.error <= MOST_ERROR else "no"
        return [self.name, *map(report.number, amounts), f"{report.number(self.error)} %", met]


def parts(entry: report.Document) -> list[Part]:
    """Return the parts of the pipeline, from what the bench kept of `cost`."""
    medians = {figure["name"]: figure["median"] for figure in entry["figures"]}
    names = [name.partition(": error of")[0] for name in medians if ": error of" in name]
    return [part_of(name, medians, entry["machine"]["cores"]) for name in names]


def part_of(name: str, medians: dict[str, float], n_cores: int) -> Part:
    """Return one part: what a unit costs, times the units in a million clips."""
    unit, share = UNITS.get(name, CLIP)
    seconds, read, written = (
        CLIPS * share * medians[f"{name}: {quantity} a {unit}"] for quantity in QUANTITIES
    )
    (error,) = (median for told, median in medians.items() if told.startswith(f"{name}: error of"))
    return Part(name, seconds * n_cores / 3600, read / 1e9, written / 1e9, error)


def markdown(document: report.Document, assumed: Assumed) -> str:
    """Return both tables: what was measured, and what that costs at the assumed prices."""
    if "cost" not in document:
        return "Not measured yet."
    found = parts(document["cost"])
    measured = table(HEADER, (part.cells() for part in found))
    prices = [f"{report.number(value)} for {what}" for what, value in told(assumed).items()]
    rows = [[what, report.number(value)] for what, value in money(found, assumed).items()]
    head = f"**Assumed, not measured**, in USD: {', '.join(prices)}."
    return "\n\n".join([measured, head, table(("a million clips", "USD"), rows)])


def money(found: Sequence[Part], assumed: Assumed) -> dict[str, float]:
    """Return what a million clips cost, in USD."""
    times = {part.name: assumed.epochs if part.name == EPOCH else 1.0 for part in found}
    hours = sum(part.core_hours * times[part.name] for part in found)
    kept = sum(part.gb_written for part in found if part.name == "extract_spectrograms")
    return {
        f"all stages once, {report.number(assumed.epochs)} epochs": hours * assumed.vcpu_hour,
        "spectrograms kept, a month": kept * assumed.gb_month,
        "spectrograms read once from elsewhere": kept * assumed.gb_egress,
    }


def told(assumed: Assumed) -> dict[str, float]:
    """Return what each price is for."""
    return {
        "an hour of a core": assumed.vcpu_hour,
        "a GB kept for a month": assumed.gb_month,
        "a GB read from elsewhere": assumed.gb_egress,
    }


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_table(page: str, document: report.Document, assumed: Assumed) -> str:
    """Return the page with the tables between its two markers."""
    return report.between(page, BEGIN, END, markdown(document, assumed))


def update_page(document: report.Document, path: Path) -> None:
    """Write the tables into the page."""
    page = path.read_text(encoding="utf-8")
    path.write_text(with_table(page, document, Assumed()), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Print the tables at other prices; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.scale_page", description=__doc__)
    for field in fields(Assumed):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=field.default, metavar="N")
    assumed = Assumed(**vars(parser.parse_args(arguments)))
    print(markdown(report.read(report.RESULTS), assumed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

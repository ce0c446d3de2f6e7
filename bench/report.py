"""The table on the terminal, `bench/results.json`, and the table in `docs/performance.md`."""

import json
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.machine import Machine

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- begin: bench/results.json -->", "<!-- end: bench/results.json -->"

HEADER = ("what", "against", "median", "from - to", "target", "met", "baseline", "Timbre", "runs")

Document = dict[str, Any]  # name of a benchmark: its machine, and its figures


def entry(machine: Machine, seconds: float, figures: list[Figure]) -> Document:
    """Return what results.json keeps of one benchmark."""
    return {
        "machine": machine,
        "seconds": round(seconds),
        "figures": [figure.document() for figure in figures],
    }


def merge(old: Document, new: Document) -> Document:
    """Return the results with those benchmarks replaced that ran; the names in order."""
    return dict(sorted({**old, **new}.items()))


def read(path: Path) -> Document:
    """Read results.json; empty before the first run."""
    if not path.is_file():
        return {}
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def write(document: Document, path: Path) -> None:
    """Write results.json as git likes it."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def rows(figures: list[Document]) -> list[list[str]]:
    """Return the table's cells, a row a figure."""
    return [
        [
            figure["name"],
            figure["baseline"] or "",
            _value(figure, "median"),
            f"{_value(figure, 'min')} - {_value(figure, 'max')}",
            _target(figure),
            {True: "yes", False: "no", None: ""}[figure["met"]],
            _rate(figure, "baseline_median"),
            _rate(figure, "ours_median") if figure["baseline"] else "",
            str(figure["pairs"]),
        ]
        for figure in figures
    ]


def plain_table(figures: list[Document]) -> str:
    """Return the table for a terminal."""
    cells = [list(HEADER), *rows(figures)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return "\n".join(lines)


def markdown_table(document: Document) -> str:
    """Return all results for the page: machines first, then the table."""
    if not document:
        return "Not measured yet."
    machines: dict[str, list[str]] = {}
    for name, result in document.items():
        machines.setdefault(_machine(result["machine"]), []).append(name)
    told = [f"{', '.join(names)}: {machine}." for machine, names in machines.items()]
    figures = [figure for result in document.values() for figure in result["figures"]]
    lines = [_line(list(HEADER)), _line(["---"] * len(HEADER)), *map(_line, rows(figures))]
    return "\n\n".join([*told, "\n".join(lines)])


def between(page: str, begin: str, end: str, content: str) -> str:
    """Return the page with `content` between its two markers."""
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def with_table(page: str, document: Document) -> str:
    """Return the page with the results between its two markers."""
    return between(page, BEGIN, END, markdown_table(document))


def update_page(document: Document, path: Path) -> None:
    """Write the results into the page."""
    path.write_text(with_table(path.read_text(encoding="utf-8"), document), encoding="utf-8")


def number(value: float) -> str:
    """Return three digits that count, without an exponent unless it is tiny."""
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _value(figure: Document, key: str) -> str:
    mark = "x" if figure["baseline"] else f" {figure['unit']}".rstrip()
    return number(figure[key]) + mark


def _rate(figure: Document, key: str) -> str:
    return "" if figure[key] is None else f"{number(figure[key])} {figure['unit']}"


def _target(figure: Document) -> str:
    if figure["target"] is None:
        return ""
    return f"{figure['target_is']} {_value(figure, 'target')}"


def _machine(machine: Machine) -> str:
    versions = [f"{name} {version}" for name, version in list(machine.items())[5:]]
    cores = f"{machine['cores']} cores of {machine['cpu']}"
    where = f"{machine['system']}, Python {machine['python']}"
    return f"{cores}, {machine['memory_gb']} GB, {where}, {', '.join(versions)}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

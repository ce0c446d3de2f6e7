"""Draw docs/pictures/pipeline.svg: the stages of dvc.yaml, what each writes, and who reads it.

    python -m docs.pipeline

An arrow to the next row is straight; one that passes rows by goes around at the side.
"""

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "pipeline.svg"
WIDTH, BOX, ROW, HEIGHT = 900, 250, 104, 62  # of the picture, a box, a row and a box, pixels
TOP, BESIDE = 16, 24  # above the first box; between two boxes of a row
OUTER, STEP = BOX + BESIDE / 2 + 34, 30  # how far arrows go around, and more for each row passed
STYLE = (
    ".box{fill:#eef2f7;stroke:#2b6cb0}.name{font:600 15px sans-serif;fill:#1a202c}"
    ".file{font:11px sans-serif;fill:#4a5568}.arrow{fill:none;stroke:#718096;stroke-width:1.4}"
    ".ground{fill:#fff}"
)
Edge = tuple[str, str]


class Place(NamedTuple):
    """A stage's box: its row, the x of its middle, and the side on which arrows go around it."""

    row: int
    x: float
    side: int  # -1 left, 1 right


def stages() -> dict[str, dict[str, Any]]:
    """Return the stages, those of the demo corpus first."""
    return {
        name: stage
        for path in ("data/dvc.yaml", "dvc.yaml")
        for name, stage in yaml.safe_load((ROOT / path).read_text("utf-8"))["stages"].items()
    }


def written(stage: Mapping[str, Any]) -> list[str]:
    """Return the paths that a stage writes."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def edges(described: Mapping[str, Mapping[str, Any]], root: str) -> list[Edge]:
    """Return who reads from whom; `root` is the corpus's folder."""
    made = {path: name for name, stage in described.items() for path in written(stage)}
    read = {
        (made.get(dep.replace("${data.root}", root)), name)
        for name, stage in described.items()
        for dep in stage["deps"]
    }
    return sorted((source, target) for source, target in read if source is not None)


def rows(described: Mapping[str, Any], found: list[Edge]) -> dict[str, int]:
    """Return the row of each stage: one below the lowest that it reads from."""
    placed = dict.fromkeys(described, 0)
    for _ in placed:
        for source, target in found:
            placed[target] = max(placed[target], placed[source] + 1)
    return placed


def places(placed: Mapping[str, int]) -> dict[str, Place]:
    """Put the stages of a row side by side; alternate rows of one send their arrows left, right."""
    found = {}
    for row in sorted(set(placed.values())):
        names = [name for name, own in placed.items() if own == row]
        for number, name in enumerate(names):
            x = WIDTH / 2 + (number - (len(names) - 1) / 2) * (BOX + BESIDE)
            alone = 1 if row % 2 else -1
            found[name] = Place(row, x, alone if len(names) == 1 else 2 * number - 1)
    return found


def picture() -> str:
    """Return the SVG."""
    described = stages()
    root = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["data"]["root"]
    found = edges(described, root)
    put = places(rows(described, found))
    height = TOP * 2 + ROW * max(place.row for place in put.values()) + HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        "<title>The stages of the pipeline</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto">'
        '<path d="M0,0 L9,4.5 L0,9 z" fill="#718096"/></marker></defs>',
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        *(arrow(put[source], put[target]) for source, target in found),
        *(line for name, place in put.items() for line in box(name, place, described[name])),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def arrow(source: Place, target: Place) -> str:
    """Return the arrow from one box to another."""
    below = TOP + source.row * ROW + HEIGHT
    above = TOP + target.row * ROW
    passed = target.row - source.row - 1
    if not passed:
        path = f"M{source.x:g},{below} L{target.x:g},{above - 1}"
    else:
        side = target.side if target.x != WIDTH / 2 else source.side
        start, end = source.x + side * BOX / 2, target.x + side * BOX / 2
        far = WIDTH / 2 + side * (OUTER + STEP * passed)
        from_y, to_y = below - HEIGHT / 2, above + HEIGHT / 2 - 6 * passed
        path = f"M{start:g},{from_y:g} C{far:g},{from_y:g} {far:g},{to_y:g} {end + side:g},{to_y:g}"
    return f'<path class="arrow" d="{path}" marker-end="url(#tip)"/>'


def box(name: str, place: Place, stage: Mapping[str, Any]) -> Iterator[str]:
    """Yield the box of a stage with its name and what it writes."""
    left, top = place.x - BOX / 2, TOP + place.row * ROW
    files = [Path(path).name for path in written(stage) if not path.endswith(".png")]
    yield f'<rect class="box" x="{left:g}" y="{top}" width="{BOX}" height="{HEIGHT}" rx="8"/>'
    middle = f'x="{place.x:g}" text-anchor="middle"'
    yield f'<text class="name" {middle} y="{top + 24}">{html.escape(name)}</text>'
    for number, line in enumerate(two_lines(files)):
        yield f'<text class="file" {middle} y="{top + 40 + 14 * number}">{html.escape(line)}</text>'


def two_lines(files: list[str]) -> list[str]:
    """Return the files as one line or two, about equally long."""
    if len(", ".join(files)) < 42:
        return [", ".join(files)]
    half = (len(files) + 1) // 2
    return [", ".join(files[:half]) + ",", ", ".join(files[half:])]


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(), encoding="utf-8", newline="\n")

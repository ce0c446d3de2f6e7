"""More work for stages that take less than a second for some thousand clips."""

import csv
import shutil
from pathlib import Path

from bench.workshop import Changes, Pipeline


def with_more_rows(pipeline: Pipeline, folder: Path, changes: Changes, times: int) -> Pipeline:
    """Return a pipeline in another folder, on a table of so many times as many clips."""
    larger = Pipeline.make(folder, pipeline.root, changes)
    for name in ("copies.csv", "quarantine.csv"):
        shutil.copyfile(pipeline.folder / "data" / name, folder / "data" / name)
    with (pipeline.folder / "data" / "clips.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    places = [header.index(name) for name in ("clip_id", "group", "sha256")]
    with (folder / "data" / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        for number in range(1, times):  # names that sort before the clips' own
            for row in rows:
                cells = dict(
                    zip(places, (f"{number:02d}/{row[place]}" for place in places), strict=True)
                )
                table.writerow([cells.get(place, cell) for place, cell in enumerate(row)])
        table.writerows(rows)
    return larger


def all_tested(pipeline: Pipeline) -> None:
    """Put all clips into the test split, whatever was trained on: it is about cost alone."""
    path = pipeline.folder / "data" / "splits.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    place = header.index("split")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows([*row[:place], "test", *row[place + 1 :]] for row in rows)

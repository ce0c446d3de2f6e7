"""Put what was measured side by side on one page, which git keeps.

python -m stages.report metrics/split.json metrics/test.json metrics/robustness.json \\
    metrics/report.md plots/report.csv plots/report.png
"""

import json
from pathlib import Path

from timbre import command, report
from timbre.problems import InputError


def main(
    split: Path, test: Path, robustness: Path, page: Path, report_csv: Path, report_png: Path
) -> None:
    """Write the page and its picture from the metrics."""
    metrics = [read_metrics(path) for path in (split, test, robustness)]
    try:
        found, text = report.measures(*metrics), report.markdown(*metrics)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{split}, {test}, {robustness}: one of them is not as its stage wrote it "
            f"({type(error).__name__}: {error}): delete them and run `dvc repro`"
        ) from None
    report.write_page(text, page)
    report.write_rows(found, report_csv)
    report.draw(found, report_png)
    n_doubts = len(report.doubts(*metrics))
    print(f"report: {page}: {len(found)} measures, {n_doubts} doubts; picture in {report_png}")


def read_metrics(path: Path) -> report.Metrics:
    """Read one metrics file; raises InputError if it cannot be read."""
    try:
        found: report.Metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}): run dvc repro") from None
    return found


if __name__ == "__main__":
    command.run(main)

"""Put what was measured side by side on one page, which git keeps.

python -m stages.report metrics/split.json metrics/test.json metrics/robustness.json \\
    metrics/report.md plots/report.csv plots/report.png
"""

from pathlib import Path

from timbre import command, report
from timbre.problems import InputError


def main(
    split: Path, test: Path, robustness: Path, page: Path, report_csv: Path, report_png: Path
) -> None:
    """Write the page and its picture from the metrics."""
    metrics = [report.read_metrics(path) for path in (split, test, robustness)]
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


if __name__ == "__main__":
    command.run(main)

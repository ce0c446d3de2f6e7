"""Put what was measured side by side on one page, and write the model's card; git keeps both.

python -m stages.report models/timbre.safetensors metrics/split.json metrics/test.json \\
    metrics/robustness.json metrics/report.md metrics/model_card.md plots/report.csv \\
    plots/report.png
"""

from pathlib import Path

from timbre import command, model_card, report
from timbre.problems import InputError


def main(
    model: Path,
    split: Path,
    test: Path,
    robustness: Path,
    page: Path,
    card: Path,
    report_csv: Path,
    report_png: Path,
) -> None:
    """Write the page with its picture, and the card, from the metrics and the model."""
    facts = model_card.read_facts(model)
    metrics = [report.read_metrics(path) for path in (split, test, robustness)]
    try:
        found, text = report.measures(*metrics), report.markdown(*metrics)
        doubts = report.doubts(*metrics)
        name, scores = model.as_posix(), report.table(found)
        told = model_card.markdown(name, facts, metrics[0], scores, doubts)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{model}, {split}, {test}, {robustness}: one of them is not as its stage wrote it "
            f"({type(error).__name__}: {error}): delete them and run `dvc repro`"
        ) from None
    report.write_page(text, page)
    report.write_page(told, card)
    report.write_rows(found, report_csv)
    report.draw(found, report_png)
    print(
        f"report: {page}: {len(found)} measures, {len(doubts)} doubts; picture in {report_png}, "
        f"model card in {card}"
    )


if __name__ == "__main__":
    command.run(main)

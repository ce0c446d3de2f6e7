"""Which score tells clips of unknown classes best: `python -m bench.rejection`.

Trains on the reciters with their classes held out in turn, and compares all scores on the same
networks. Writes the table into docs/honest-evaluation.md. Some minutes a fold and seed:

    python -m bench.rejection --folds 4 --seeds 2
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bench import report
from bench.corpora import DIGITS, NoRecordingsError, recordings
from bench.workshop import REPOSITORY, Changes, Pipeline, change_params

PAGE = REPOSITORY / "docs" / "honest-evaluation.md"
BEGIN, END = "<!-- begin: bench/rejection.py -->", "<!-- end: bench/rejection.py -->"
CORPORA: dict[str, tuple[str, Changes]] = {
    "reciters": ("reciters", {"data": {"audio": "Dataset"}}),
    "digits": ("fsdd", {"extract": DIGITS}),
    "speakers": ("fsdd", {"data": {"table": "filespaths_speakers.csv"}, "extract": DIGITS}),
}
HEADER = (
    *("score", "AUROC on validation", "AUROC on test", "worst of these"),
    *("false accepts at 95 % true accepts", "false rejects as shipped", "false accepts as shipped"),
)


@dataclass(frozen=True)
class Rates:
    """What one score achieved in one run; known clips are those of test, where nothing is said."""

    val_auroc: float  # known clips are those of validation: by this the shipped score is chosen
    auroc: float
    false_accepts_at_95: float
    false_rejects: float  # these two with a threshold from validation, as a model ships it
    false_accepts: float


def main(arguments: Sequence[str]) -> int:
    """Run the comparison; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.rejection", description=__doc__)
    parser.add_argument("--corpus", choices=CORPORA, default="reciters")
    parser.add_argument("--folds", type=int, default=4, help="of the classes")
    parser.add_argument("--seeds", type=int, default=2, help="of split and training")
    parser.add_argument("--epochs", type=int, help="default: those of params.yaml")
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    options = parser.parse_args(arguments)
    name, changes = CORPORA[options.corpus]
    try:
        root = recordings() / name
    except NoRecordingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.epochs:
        changes = {**changes, "train": {"epochs": options.epochs}}
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        pipeline = Pipeline.make(Path(folder), root, changes)
        found = compare(pipeline, options.folds, options.seeds)
    text = markdown(found, options.corpus, options.folds, options.seeds)
    print(text)
    if not options.print:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def compare(pipeline: Pipeline, n_folds: int, n_seeds: int) -> dict[str, list[Rates]]:
    """Return what each score achieved, run by run."""
    pipeline.run_needed_by("split")
    found: dict[str, list[Rates]] = {}
    runs = [(fold, seed) for seed in range(n_seeds) for fold in range(n_folds)]
    for fold, seed in tqdm(runs, unit="run", disable=None):
        change_params(
            pipeline.folder / "params.yaml",
            {
                "evaluate": {"unknown_folds": n_folds, "unknown_fold": fold},
                "split": {"seed": seed},
                "train": {"seed": seed},
            },
        )
        for stage in ("split", "train_cnn"):
            pipeline.run(stage)
        for name, rates in rates_of(pipeline.folder).items():
            found.setdefault(name, []).append(rates)
    return found


def rates_of(folder: Path) -> dict[str, Rates]:
    """Return what each score achieves with the network that was trained in `folder`."""
    from timbre import roc
    from timbre.clips import read_splits
    from timbre.dataset import find_windows, map_dataset
    from timbre.model_file import load_model
    from timbre.prediction import ask
    from timbre.rejection import SCORES, threshold_at

    network, card = load_model(folder / "models" / "timbre.safetensors")
    splits = read_splits(folder / "data" / "splits.csv")
    answers = {}
    for name in ("val", "test", "unknown"):
        own = splits[splits["split"] == name]
        windows = find_windows(folder / "data" / "spectrograms", own["clip_id"].tolist())
        dataset = map_dataset(windows, own["target"].to_numpy())
        answers[name] = ask(network, dataset, batch_size=64).of_clips(card.temperature)
    found = {}
    for name, score in SCORES.items():
        val, test, unknown = (score(clips, card.rejection.landmarks) for clips in answers.values())
        threshold = threshold_at(val)
        found[name] = Rates(
            val_auroc=roc.auroc(val, unknown),
            auroc=roc.auroc(test, unknown),
            false_accepts_at_95=roc.false_accepts_at(test, unknown),
            false_rejects=float((test < threshold).mean()),
            false_accepts=roc.false_accepts(unknown, threshold),
        )
    return found


def markdown(found: dict[str, list[Rates]], corpus: str, n_folds: int, n_seeds: int) -> str:
    """Return the table, the best score on validation first."""
    means = {name: np.mean([astuple(run) for run in runs], axis=0) for name, runs in found.items()}
    lines = [
        f"{corpus}, classes held out in {n_folds} folds, seeds: {n_seeds}; means over all runs:",
        "",
        f"| {' | '.join(HEADER)} |",
        f"|{'---|' * len(HEADER)}",
    ]
    for name in sorted(means, key=lambda name: -means[name][0]):
        on_val, auroc, at_95, rejects, accepts = means[name]
        worst = min(run.auroc for run in found[name])
        shares = " | ".join(f"{100 * share:.1f} %" for share in (at_95, rejects, accepts))
        lines.append(f"| `{name}` | {on_val:.4f} | {auroc:.4f} | {worst:.4f} | {shares} |")
    return "\n".join(lines)


def with_table(page: str, text: str) -> str:
    """Return the page with the table between its two markers."""
    return report.between(page, BEGIN, END, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

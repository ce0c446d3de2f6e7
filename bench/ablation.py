"""What each default is worth: `python -m bench.ablation`, some minutes for each training.

Changes one setting at a time, trains the reciters with some folds and seeds, scores each model as
`bench.voice` does, and puts beside it what the defaults achieved with the same folds and seeds.
Those are run here too, so that all rows are of the same code, and of one processor if the commands
all run on it: another one rounds otherwise, which moves a row as another seed does. After a change
to the defaults begin with an empty bench/ablation.json (`{}`).
Writes bench/ablation.json, and from it the table of docs/lab-notes.md:

    python -m bench.ablation --folds 0 --seeds 0
    python -m bench.ablation --folds 1 --seeds 1
    python -m bench.ablation "without noise" resnet --folds 1
"""

import argparse
import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from bench import report, voice
from bench.corpora import NoRecordingsError, recordings
from bench.voice_tasks import TASKS, Run
from bench.workshop import REPOSITORY, Changes, Pipeline, change_params, params
from timbre.channel import IMITATIONS

RESULTS = REPOSITORY / "bench" / "ablation.json"
PAGE = REPOSITORY / "docs" / "lab-notes.md"
BEGIN, END = "<!-- begin: bench/ablation.json -->", "<!-- end: bench/ablation.json -->"
TASK = TASKS["reciters"]
MASKS = ("mask_bands", "mask_frames")
SHIPPED = "none: as shipped"
HEARD: dict[str, dict[str, object]] = {  # of `extract`
    "bands up to 11 kHz": {"fmax": 11_025.0},
    "bands up to 8 kHz": {"fmax": 8000.0},
    "bands up to 4 kHz": {"fmax": 4000.0},
    "bands from 60 Hz": {"fmin": 60.0},
    "64 bands": {"n_mels": 64},
    "spectra of 46 ms": {"n_fft": 1024},
    "64 bands, spectra of 46 ms": {"n_mels": 64, "n_fft": 1024},
    "a spectrum each 10 ms": {"hop_length": 220},
    "floor at 60 dB": {"top_db": 60.0},
    "three windows of 3 s": {
        "window_seconds": 3.0,
        "hop_length": 432,
        "window_hop_seconds": 1.5,
        "windows": "all",
    },
}
TRAINED: dict[str, dict[str, object]] = {  # of `train`
    "nothing imitated": dict.fromkeys(IMITATIONS, 0.0),
    "without masks": dict.fromkeys(MASKS, 0),
    **{f"without {name}": {name: 0.0} for name in (*IMITATIONS, "ramp", "dropout", "view_dropout")},
    "with mixup 0.2": {"mixup": 0.2},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "last block pools over time": {"last_pool": 2},
    "channels 32, 64, 128": {"channels": [32, 64, 128]},
    "resnet": {"model": "resnet"},
}
VARIANTS: dict[str, Changes] = {
    SHIPPED: {},
    **{name: {"extract": changes} for name, changes in HEARD.items()},
    **{name: {"train": changes} for name, changes in TRAINED.items()},
}
COLUMNS = {
    "clean": "clean",
    "conditions": "mean of the conditions",
    "worst": "worst usual condition",
    "telephone": "telephone",
    "re-encoded": "re-encoded, mean over reciters",
    "other recordings": "other recordings, mean over reciters",
}


def main(arguments: Sequence[str]) -> int:
    """Train the variants that are asked for; return the exit code."""
    parser = argparse.ArgumentParser("python -m bench.ablation", description=__doc__)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of training")
    options = parser.parse_args(arguments)
    if unknown := sorted({*options.variants} - {*VARIANTS}):
        parser.error(f"no variant is called {unknown[0]!r}; there are: {', '.join(VARIANTS)}")
    try:
        recordings()
    except NoRecordingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    names = options.variants or list(VARIANTS)
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        for name, run in run_variants(names, Path(folder), options.folds, options.seeds):
            keep(name, run)  # at once: hours of runs outlive a mistake in the last
    return 0


def run_variants(
    names: Sequence[str], folder: Path, folds: Sequence[int], seeds: Sequence[int]
) -> Iterator[tuple[str, Run]]:
    """Train and score each variant with each fold and seed; yield its name and what it achieved."""
    pipeline = Pipeline.make(folder, recordings() / TASK.corpus, TASK.changes)
    pipeline.run_needed_by("split")
    path, extracted = pipeline.folder / "params.yaml", None
    defaults: Changes = {section: params()[section] for section in ("extract", "train")}
    runs = list(itertools.product(folds, names, seeds))
    for fold, name, seed in tqdm(runs, unit="run", disable=None):
        for changes in (defaults, VARIANTS[name], {"train": {"seed": seed}}):
            change_params(path, changes)
        if extracted != (wanted := (fold, HEARD.get(name))):
            pipeline.run("extract_spectrograms")  # copies and so the folds stay those of SHIPPED
            voice.go_to_fold(TASK, pipeline, fold)
            extracted = wanted
        yield name, {"fold": fold, "seed": seed, **voice.train_and_score(TASK, pipeline)}


def keep(name: str, run: Run) -> None:
    """Put a run beside those of other variants, folds and seeds; write the page anew."""
    results = voice.merge(RESULTS, name, [run])
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


def with_table(page: str, results: dict[str, list[Run]]) -> str:
    """Return the page with the table between its two markers."""
    return report.between(page, BEGIN, END, table(results))


def table(results: dict[str, list[Run]]) -> str:
    """Return the means of each variant, and what they gain on the defaults of the same runs."""
    lines = [f"| change | runs | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    shipped = results.get(SHIPPED, [])
    lines += [
        _row(name, results[name], [] if name == SHIPPED else shipped)
        for name in VARIANTS
        if name in results
    ]
    return "\n".join(lines)


def _row(name: str, runs: Sequence[Run], defaults: Sequence[Run]) -> str:
    cells = [name, str(len(runs))]
    beside = {_place(run): run for run in defaults}
    pairs = [(run, beside[_place(run)]) for run in runs if _place(run) in beside]
    for measure in COLUMNS.values():
        cell = f"{100 * statistics.mean(run[measure] for run in runs):.1f}"
        if pairs:
            gain = statistics.mean(run[measure] - other[measure] for run, other in pairs)
            cell += f" ({100 * gain:+.1f})"
        cells.append(cell)
    return f"| {' | '.join(cells)} |"


def _place(run: Run) -> tuple[int, int]:
    return run["fold"], run["seed"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Extraction: clip by clip, as a whole stage, and after one clip of many has changed."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench import baselines, ours
from bench.corpora import reciter_wavs
from bench.figures import Figure, ratio_figure, value_figure
from bench.machine import n_cores
from bench.pairs import Side, compare, untold
from bench.workshop import Pipeline, Workshop

NOTEBOOK, JOBLIB = "notebook, one process", "notebook, joblib on all cores"
KALDI = "kaldi-native-fbank, one process"
LEAST_RATIO = {22_050: 8.0, 44_100: 5.0}  # against the notebook, by the clips' sample rate
LEAST_STAGE_RATIO = 6.0
MOST_DB = 1e-3


def extraction(workshop: Workshop) -> list[Figure]:
    """Compare decoding and log-mel of clips at the target rate and at 44.1 kHz."""
    figures = []
    for sample_rate, target in LEAST_RATIO.items():
        folder = workshop.new_folder(f"extraction-{sample_rate}")
        paths = reciter_wavs(folder, workshop.size(2000, 64), sample_rate)
        figures += compare_rate(workshop, paths, f"extraction from {sample_rate} Hz", target)
    return figures


def compare_rate(
    workshop: Workshop, paths: Sequence[Path], name: str, target: float
) -> list[Figure]:
    """Compare on clips of one sample rate; the slow sides do a part of them."""
    some = paths[: workshop.size(150, 8)]
    n_jobs = n_cores()
    options = baselines.kaldi_options()
    others: list[tuple[str, float | None, Callable[[], object]]] = [
        (NOTEBOOK, target, partial(baselines.notebook_loop, some)),
        (JOBLIB, None, partial(baselines.notebook_joblib, some, n_jobs)),
        (KALDI, None, lambda: [baselines.kaldi_clip(path, options) for path in some]),
    ]
    # Twice over, so that the moment in which only one worker is at work hardly counts.
    twice = [*paths, *paths]
    mine = Side(partial(ours.extract_on_all_cores, twice, baselines.SECONDS), len(twice))
    figures = []
    for baseline, least, run in others:
        found = compare(Side(untold(run), len(some)), mine, workshop.pairs(7))
        figures.append(ratio_figure(name, baseline, found, target=least))
    differences = [difference_db(path) for path in some[: workshop.size(50, 2)]]
    title = f"{name}: largest difference to librosa"
    # The worst clip counts, not the one in the middle.
    return [*figures, value_figure(title, [max(differences)], "dB", target=MOST_DB)]


def difference_db(path: Path) -> float:
    """Return the largest difference between Timbre's values and librosa's, with the same hop."""
    theirs = baselines.notebook_log_mel(path)
    transform = ours.front_end(baselines.HOP_LENGTH)
    return float(np.abs(ours.log_mel(path, transform, baselines.SECONDS) - theirs).max())


def stage(workshop: Workshop) -> list[Figure]:
    """Compare the whole stage, as a process, with the notebook's loop and the file it saves."""
    folder = workshop.new_folder("stage")
    paths = reciter_wavs(folder / "corpus", workshop.size(10_000, 64), 22_050)
    some = paths[: workshop.size(200, 4)]
    pipeline = Pipeline.make(folder / "pipeline", folder / "corpus", {})
    pipeline.run("encode_labels")
    baseline = Side(untold(partial(save_notebook_loop, some)), len(some))
    mine = Side(partial(pipeline.run, "extract_spectrograms"), len(paths))
    found = compare(baseline, mine, workshop.pairs(3))
    name = f"extract_spectrograms, {len(paths)} clips"
    return [ratio_figure(name, NOTEBOOK, found, target=LEAST_STAGE_RATIO)]


def save_notebook_loop(paths: Sequence[Path]) -> None:
    """Do as the notebook: all images in memory, then one file."""
    with tempfile.TemporaryFile() as file:
        np.save(file, baselines.notebook_loop(paths))

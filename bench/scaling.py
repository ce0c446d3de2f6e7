"""How time and memory grow with the corpus: short clips, from a thousand to a hundred thousand.

split is timed with more rows than there are clips, evaluate has all clips for its test split: of
what they take for fewer nothing could be told from the noise of their start.
"""

import shutil
import statistics
from dataclasses import dataclass

from bench.corpora import DIGITS, digit_wavs
from bench.enlarged import all_tested, with_more_rows
from bench.figures import Figure, value_figure
from bench.memory import Usage, run_measured
from bench.workshop import Changes, Pipeline, Workshop, needed_by, stage_environment

MOST_GROWTH = 1.15  # of the time per clip when clips are ten times as many
MEMORY_GB = 0.05  # for training: both larger corpora are streamed
SHORT_SECONDS = 3.0  # a run this short is hidden by what else the machine does
# split takes less than that for some thousand clips: it gets so many times as many rows.
ROWS_A_CLIP = 10
MOST_MB = 250.0  # more than with a hundred clips: two splits, and the tables

# An eighth of the usual spectrogram.
SETTINGS: Changes = {
    "extract": DIGITS,
    "train": {"epochs": 1, "memory_gb": MEMORY_GB},
}


@dataclass(frozen=True)
class Growth:
    """One stage on corpora of several sizes; the smallest shows what the start alone takes."""

    clips: list[int]
    usages: list[Usage]
    rows_a_clip: int = 1  # of the table whose time is told; memory is that of the clips' own

    def rows(self) -> list[int]:
        """Return the sizes whose times are told."""
        return [self.rows_a_clip * n_clips for n_clips in self.clips]

    def per_clip(self) -> list[float]:
        """Return seconds per clip beyond the start, for all sizes but the smallest."""
        (first, *sizes), start = self.rows(), self.usages[0].seconds
        return [
            max(usage.seconds - start, 0.0) / (size - first)
            for size, usage in zip(sizes, self.usages[1:], strict=True)
        ]


def scaling(workshop: Workshop) -> list[Figure]:
    """Measure each stage's seconds per clip and peak memory as the corpus grows."""
    sizes = [100, 200, 400] if workshop.quick else [100, 1000, 10_000, 100_000]
    used = [measure(workshop, size) for size in sizes]
    figures = []
    for number, stage in enumerate(needed_by("evaluate")):
        rows_a_clip = ROWS_A_CLIP if stage == "split" else 1
        growth = Growth(sizes, [usages[number] for usages in used], rows_a_clip)
        figures += stage_figures(stage, growth)
    return figures


def measure(workshop: Workshop, n_clips: int) -> list[Usage]:
    """Run all stages on a corpus of `n_clips`; return what each took, the median of its rounds."""
    folder = workshop.new_folder(f"scaling-{n_clips}")
    digit_wavs(folder / "corpus", n_clips)
    pipeline = Pipeline.make(folder / "pipeline", folder / "corpus", SETTINGS)
    usages = []
    for stage in needed_by("evaluate"):
        if stage == "evaluate":
            all_tested(pipeline)
        usages.append(measure_stage(pipeline, stage, workshop))
        if stage == "split":
            more = with_more_rows(pipeline, folder / "rows", SETTINGS, ROWS_A_CLIP)
            seconds = measure_stage(more, stage, workshop).seconds
            usages[-1] = Usage(seconds, usages[-1].peak_mb)
    shutil.rmtree(folder)
    return usages


def measure_stage(pipeline: Pipeline, stage: str, workshop: Workshop) -> Usage:
    """Run one stage several times; return the median time and the highest peak."""
    rounds: list[Usage] = []
    n_rounds = 1
    while len(rounds) < n_rounds:
        command, folder = pipeline.command(stage), pipeline.folder
        rounds.append(run_measured(command, folder, stage_environment()))
        n_rounds = workshop.pairs(n_rounds_of(rounds[0].seconds))
    seconds = statistics.median(usage.seconds for usage in rounds)
    return Usage(seconds, max(usage.peak_mb for usage in rounds))


def n_rounds_of(seconds: float) -> int:
    """Return how many rounds a stage gets that takes so long: the shorter, the more it swings."""
    if seconds < SHORT_SECONDS:
        return 9
    return 3 if seconds < 10 * SHORT_SECONDS else 1


def stage_figures(stage: str, growth: Growth) -> list[Figure]:
    """Return a stage's times per clip, how they grow at the end, and its memory."""
    per_clip = growth.per_clip()
    figures = [
        value_figure(f"{stage}, {size} clips, per clip", [1000 * seconds], "ms")
        for size, seconds in zip(growth.rows()[1:], per_clip, strict=True)
    ]
    *_, before, last = growth.rows()
    if per_clip[-2] > 0:  # else the start is all that could be seen
        title = f"{stage}, time per clip: {last} clips over {before}"
        times = per_clip[-1] / per_clip[-2]
        figures.append(value_figure(title, [times], "times", target=MOST_GROWTH))
    peaks = [usage.peak_mb for usage in growth.usages]
    title = f"{stage}, peak memory: {growth.clips[-1]} clips more than {growth.clips[0]}"
    return [*figures, value_figure(title, [peaks[-1] - peaks[0]], "MB", target=MOST_MB)]

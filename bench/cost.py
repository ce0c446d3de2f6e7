"""What a clip costs in each stage, fitted at two sizes of a corpus and checked at three others.

Clips are the shared recordings of reciters at many speeds and loudnesses, in the default settings:
about 6 s, of which 5 are a window. Were they copies, more clips would each have more of them. A
stage's cost is taken for a + b n, with n clips, test clips, or windows.
"""

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from bench.corpora import reciter_wavs
from bench.counted import Cost, run_counted
from bench.enlarged import with_more_rows
from bench.figures import Figure, value_figure
from bench.workshop import Changes, Pipeline, Workshop, change_params, needed_by, stage_environment

MOST_ERROR = 15.0  # % of what was measured
CONDITIONS = ("clean", "mp3_64kbps", "white_noise_10db")
SETTINGS: Changes = {"robustness": {"conditions": list(CONDITIONS), "max_clips": 0}}
FEW_EPOCHS, MORE_EPOCHS = 1, 3
TRAINED, TESTED = 0.7, 0.15  # shares of the clips, of params.yaml
ONCE, EPOCH = "train_cnn, once", "train_cnn, an epoch"
# Of what each part's cost is told, and how many of it a clip makes.
UNITS = {
    "extract_conditions": ("test clip and condition", TESTED * len(CONDITIONS)),
    "measure_robustness": ("test clip and condition", TESTED * len(CONDITIONS)),
    "evaluate": ("test clip", TESTED),
    ONCE: ("training window", TRAINED),
    EPOCH: ("training window", TRAINED),
}
CLIP = ("clip", 1.0)
# split takes less than a second for some thousand clips: it gets a table of so many times as many.
ROWS_A_CLIP = 100
SHORT_SECONDS = 1.0  # a run this short is hidden by what else the machine does
QUANTITIES = ("seconds", "bytes read", "bytes written")

Costs = dict[int, Cost]  # by size
Parts = dict[str, Costs]  # by part of a stage
Pipelines = dict[int, Pipeline]  # by size


@dataclass(frozen=True)
class Line:
    """A cost as a + b n."""

    start: float
    per_clip: float

    @classmethod
    def through(cls, sizes: Sequence[int], costs: Sequence[float]) -> "Line":
        """Return the line through two points; no part of it is below 0."""
        slope = max(0.0, (costs[1] - costs[0]) / (sizes[1] - sizes[0]))
        return cls(max(0.0, costs[0] - slope * sizes[0]), slope)

    def at(self, size: int) -> float:
        """Return the cost of so many clips."""
        return self.start + self.per_clip * size


def cost(workshop: Workshop) -> list[Figure]:
    """Measure all stages at five sizes; fit two, check three."""
    fitted = [200, 300] if workshop.quick else [500, 4000]
    checked = [250] if workshop.quick else [1000, 2000, 8000]
    pipelines = {size: corpus(workshop, size) for size in sorted([*fitted, *checked])}
    figures = []
    for stage in [*needed_by("evaluate"), "extract_conditions", "measure_robustness"]:
        times = ROWS_A_CLIP if stage == "split" else 1
        own, others = ([times * size for size in sizes] for sizes in (fitted, checked))
        measured = parts_of(stage, pipelines, workshop.pairs(3))
        for part, costs in measured.items():
            points = [{size: astuple(each)[n] for size, each in costs.items()} for n in range(3)]
            figures += part_figures(part, [points_line(each, own) for each in points])
            seconds = {size: observed(measured, part, size) for size in costs}
            figures.append(error_figure(part, points_line(seconds, own), seconds, others))
    return figures


def corpus(workshop: Workshop, n_clips: int) -> Pipeline:
    """Make a corpus, and a pipeline on it that has run no stage."""
    folder = workshop.new_folder(f"cost-{n_clips}")
    reciter_wavs(folder / "corpus", n_clips, 22_050, no_copies=True)
    return Pipeline.make(folder / "pipeline", folder / "corpus", SETTINGS)


def observed(measured: Parts, part: str, size: int) -> float:
    """Return the seconds of a run; of a training with its epochs, whose parts nobody sees apart."""
    if part not in (ONCE, EPOCH):
        return measured[part][size].seconds
    return measured[ONCE][size].seconds + MORE_EPOCHS * measured[EPOCH][size].seconds


def points_line(points: dict[int, float], fitted: Sequence[int]) -> Line:
    """Return the line through the sizes that are fitted."""
    return Line.through(fitted, [points[size] for size in fitted])


def part_figures(part: str, lines: Sequence[Line]) -> list[Figure]:
    """Return a part's seconds at the start, and its three costs a unit."""
    unit, share = UNITS.get(part, CLIP)
    each = [
        value_figure(f"{part}: {quantity} a {unit}", [line.per_clip / share], unit_of(quantity))
        for quantity, line in zip(QUANTITIES, lines, strict=True)
    ]
    return [value_figure(f"{part}: seconds at the start", [lines[0].start], "s"), *each]


def error_figure(
    part: str, line: Line, seconds: dict[int, float], checked: Sequence[int]
) -> Figure:
    """Return how far the predicted seconds are off, in %, at the size where that is most."""
    errors = [100 * abs(line.at(size) / seconds[size] - 1) for size in checked]
    sizes = ", ".join(map(str, checked))
    title = f"{part}: error of the predicted seconds, the worst of {sizes} clips"
    return value_figure(title, [max(errors)], "%", target=MOST_ERROR)


def unit_of(quantity: str) -> str:
    """Return in what a quantity is told."""
    return "s" if quantity == "seconds" else "bytes"


def parts_of(stage: str, pipelines: Pipelines, n_rounds: int) -> Parts:
    """Run a stage at all sizes, several times; return the costs of its parts."""
    if stage == "train_cnn":
        return training(pipelines, n_rounds)
    if stage == "split":
        for pipeline in pipelines.values():
            pipeline.run(stage)  # of the clips that there are, for the stages to come
        pipelines = {
            ROWS_A_CLIP * size: with_more_rows(
                pipeline, pipeline.folder.with_name("rows"), SETTINGS, ROWS_A_CLIP
            )
            for size, pipeline in pipelines.items()
        }
    return {stage: in_turn(stage, pipelines, n_rounds)}


def training(pipelines: Pipelines, n_rounds: int) -> Parts:
    """Tell what an epoch costs from what comes once, by runs of few and of more."""
    few, more = (
        in_turn("train_cnn", with_epochs(pipelines, n_epochs), n_rounds)
        for n_epochs in (FEW_EPOCHS, MORE_EPOCHS)
    )
    parts: Parts = {ONCE: {}, EPOCH: {}}
    for size in pipelines:
        pairs = list(zip(astuple(few[size]), astuple(more[size]), strict=True))
        epoch = [max(0.0, b - a) / (MORE_EPOCHS - FEW_EPOCHS) for a, b in pairs]
        once = [max(0.0, a - FEW_EPOCHS * each) for (a, _), each in zip(pairs, epoch, strict=True)]
        parts[ONCE][size], parts[EPOCH][size] = Cost(*once), Cost(*epoch)
    return parts


def with_epochs(pipelines: Pipelines, n_epochs: int) -> Pipelines:
    """Set the number of epochs, all of which are trained."""
    for pipeline in pipelines.values():
        changes: Changes = {"train": {"epochs": n_epochs, "patience": 0}}
        change_params(pipeline.folder / "params.yaml", changes)
    return pipelines


def in_turn(stage: str, pipelines: Pipelines, n_rounds: int) -> Costs:
    """Run a stage anew several times, short runs more often; return the median of each cost.

    All sizes run before one runs again: a shared machine is quick one minute and slow the next, and
    that is not to pass for a property of a size.
    """
    rounds: dict[int, list[Cost]] = {size: [] for size in pipelines}
    waiting = dict.fromkeys(pipelines, n_rounds)
    while any(waiting.values()):
        for size in [size for size, n in waiting.items() if n]:
            pipeline = pipelines[size]
            shutil.rmtree(pipeline.folder / ".timbre", ignore_errors=True)  # of a run to resume
            found = run_counted(pipeline.command(stage), pipeline.folder, stage_environment())
            if not rounds[size] and found.seconds < SHORT_SECONDS:
                waiting[size] *= 5
            rounds[size].append(found)
            waiting[size] -= 1
    return {
        size: Cost(*map(statistics.median, zip(*map(astuple, own), strict=True)))
        for size, own in rounds.items()
    }

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

Costs = dict[str, Cost]  # by part


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
    measured = {size: measure(workshop, size) for size in sorted([*fitted, *checked])}
    figures = []
    for part in measured[fitted[0]]:
        times = ROWS_A_CLIP if part == "split" else 1
        own, others = ([times * size for size in sizes] for sizes in (fitted, checked))
        points = [
            {times * size: astuple(costs[part])[n] for size, costs in measured.items()}
            for n in range(3)
        ]
        figures += part_figures(part, [points_line(each, own) for each in points])
        seconds = {times * size: observed(costs, part) for size, costs in measured.items()}
        figures.append(error_figure(part, points_line(seconds, own), seconds, others))
    return figures


def observed(costs: Costs, part: str) -> float:
    """Return the seconds of a run; of a training with its epochs, whose parts nobody sees apart."""
    if part not in (ONCE, EPOCH):
        return costs[part].seconds
    return costs[ONCE].seconds + MORE_EPOCHS * costs[EPOCH].seconds


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


def measure(workshop: Workshop, n_clips: int) -> Costs:
    """Run all stages on a corpus of `n_clips`, several times."""
    folder = workshop.new_folder(f"cost-{n_clips}")
    reciter_wavs(folder / "corpus", n_clips, 22_050, no_copies=True)
    pipeline = Pipeline.make(folder / "pipeline", folder / "corpus", SETTINGS)
    n_rounds = workshop.pairs(3)
    costs: Costs = {}
    for stage in [*needed_by("evaluate"), "extract_conditions", "measure_robustness"]:
        if stage == "train_cnn":
            costs |= training(pipeline, n_rounds)
        elif stage == "split":
            pipeline.run(stage)
            larger = with_more_rows(pipeline, folder / "rows", SETTINGS, ROWS_A_CLIP)
            costs[stage] = repeated(larger, stage, n_rounds)
        else:
            costs[stage] = repeated(pipeline, stage, n_rounds)
    shutil.rmtree(folder)
    return costs


def training(pipeline: Pipeline, n_rounds: int) -> Costs:
    """Tell what an epoch costs from what comes once, by runs of few and of more."""
    few, more = (
        repeated(with_epochs(pipeline, n_epochs), "train_cnn", n_rounds)
        for n_epochs in (FEW_EPOCHS, MORE_EPOCHS)
    )
    pairs = list(zip(astuple(few), astuple(more), strict=True))
    epoch = [max(0.0, b - a) / (MORE_EPOCHS - FEW_EPOCHS) for a, b in pairs]
    once = [max(0.0, a - FEW_EPOCHS * each) for (a, _), each in zip(pairs, epoch, strict=True)]
    return {ONCE: Cost(*once), EPOCH: Cost(*epoch)}


def with_epochs(pipeline: Pipeline, n_epochs: int) -> Pipeline:
    """Set the number of epochs, all of which are trained."""
    change_params(pipeline.folder / "params.yaml", {"train": {"epochs": n_epochs, "patience": 0}})
    return pipeline


def repeated(pipeline: Pipeline, stage: str, n_rounds: int) -> Cost:
    """Run a stage anew several times, short ones more often; return the median of each cost."""
    rounds: list[Cost] = []
    while len(rounds) < n_rounds:
        shutil.rmtree(pipeline.folder / ".timbre", ignore_errors=True)  # what a run left to resume
        rounds.append(run_counted(pipeline.command(stage), pipeline.folder, stage_environment()))
        if len(rounds) == 1 and rounds[0].seconds < SHORT_SECONDS:
            n_rounds *= 5
    return Cost(*map(statistics.median, zip(*map(astuple, rounds), strict=True)))

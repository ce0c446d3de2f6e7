"""What it costs when there is little or nothing to do: DVC, imports, one prediction."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import yaml

from bench import ours
from bench.corpora import digit_wavs, reciter_wavs
from bench.figures import Figure, ratio_figure, value_figure
from bench.pairs import Side, compare, repeat, untold
from bench.repository import Repository, make_clone, make_repository
from bench.spectrograms import open_split, reciters
from bench.workshop import REPOSITORY, Changes, Workshop, run_quietly, stage_environment

MOST_OVER_ONE_STAGE = 1.1
MOST_START_SECONDS = 0.5
MOST_COLD_SECONDS, MOST_WARM_MS = 2.0, 15.0
# The stages that cannot do without torch.
LEARNS = ("train_cnn", "evaluate", "measure_robustness", "inspect_clips")
HEAVY = "import sys, stages.{}; print(len({{'torch', 'librosa'}} & set(sys.modules)))"

# Half a second of sound and few weights: only what comes after the first run is measured.
SMALL: Changes = {
    "extract": {
        "sample_rate": 8000,
        "window_seconds": 0.5,
        "n_fft": 512,
        "hop_length": 128,
        "n_mels": 32,
        "n_shards": 8,
    },
    "train": {"channels": [4, 8], "hidden": [16], "batch_size": 16, "epochs": 1},
}


def startup(workshop: Workshop) -> list[Figure]:
    """Measure `dvc repro` without work, and the start of each stage."""
    folder = workshop.new_folder("startup")
    digit_wavs(folder / "corpus", workshop.size(400, 120))
    whole = make_clone(folder / "whole", folder / "corpus", SMALL)
    whole.run("dvc", "repro")
    simple = one_stage(folder / "simple", folder / "corpus")
    for repository in (whole, simple):
        check_finished(repository)
    baseline, mine = (
        Side(partial(repository.run, "dvc", "repro")) for repository in (simple, whole)
    )
    found = compare(baseline, mine, workshop.pairs(9))
    least = 1 / MOST_OVER_ONE_STAGE
    noop = ratio_figure(
        "dvc repro, nothing to do", "a project of one stage", found, unit="s", target=least
    )
    return [noop, *starts(workshop)]


def check_finished(repository: Repository) -> None:
    """Raise RuntimeError if `dvc repro` finds something to do."""
    told = subprocess.check_output(
        ["dvc", "repro"], cwd=repository.folder, env=repository.environment(), text=True
    )
    if "Running stage" in told:
        raise RuntimeError(f"a finished pipeline ran again:\n{told}")


def one_stage(folder: Path, corpus: Path) -> Repository:
    """Make a DVC project with one stage, which depends on the same corpus, and run it."""
    repository = make_repository(folder)
    command = f"{Path(sys.executable).name} -c \"open('done', 'w').close()\""
    stage = {"cmd": command, "deps": [str(corpus.resolve())], "outs": ["done"]}
    text = yaml.safe_dump({"stages": {"only": stage}})
    (repository.folder / "dvc.yaml").write_text(text, encoding="utf-8")
    repository.run("dvc", "repro")
    repository.commit()
    return repository


def starts(workshop: Workshop) -> list[Figure]:
    """Measure how long each stage takes to import, and whether it imports what it does not need."""
    figures = []
    n_heavy = 0
    for path in sorted((REPOSITORY / "stages").glob("[a-z]*.py")):
        name = path.stem
        command = [sys.executable, "-c", f"import stages.{name}"]
        side = Side(partial(run_quietly, command, REPOSITORY, stage_environment()))
        seconds = repeat(side, workshop.pairs(7))
        target = None if name in LEARNS else MOST_START_SECONDS
        figures.append(value_figure(f"start of {name}", seconds, "s", target=target))
        n_heavy += name not in LEARNS and heavy_imports(name) > 0
    title = "stages that import torch or librosa without need"
    return [*figures, value_figure(title, [n_heavy], "stages", target=0)]


def heavy_imports(stage: str) -> int:
    """Return how many of torch and librosa a stage imports."""
    command = [sys.executable, "-c", HEAVY.format(stage)]
    return int(subprocess.check_output(command, cwd=REPOSITORY, text=True))


def predict(workshop: Workshop) -> list[Figure]:
    """Measure one clip's prediction, from the start of a process and by a loaded classifier."""
    folder = workshop.new_folder("predict")
    pipeline = reciters(workshop, folder / "reciters")
    model = folder / "model.safetensors"
    ours.save_untrained(pipeline.folder, open_split(pipeline, "train"), model)
    clips = reciter_wavs(folder / "clips", workshop.size(60, 6), 44_100)
    command = [sys.executable, "-c", ours.PREDICT, str(model), str(clips[0])]
    cold = Side(partial(run_quietly, command, folder, stage_environment()))
    cold_seconds = repeat(cold, workshop.pairs(7))
    probs = ours.predictor(model)
    warm = Side(untold(lambda: [probs(clip) for clip in clips]), len(clips))
    warm_ms = [1000 * seconds for seconds in repeat(warm, workshop.pairs(9))]
    name = "predict one clip of 6 s, 44.1 kHz"
    return [
        value_figure(f"{name}, cold", cold_seconds, "s", target=MOST_COLD_SECONDS),
        value_figure(f"{name}, warm", warm_ms, "ms", target=MOST_WARM_MS),
    ]

"""Experiments of DVC's queue: one after the other, side by side with a share each, and without."""

import itertools
import subprocess
import time
from functools import partial

from bench.corpora import digit_wavs
from bench.figures import Figure, ratio_figure
from bench.machine import n_cores
from bench.pairs import Side, compare
from bench.repository import Repository, make_clone
from bench.workshop import Changes, Workshop

LOOK_EVERY = 1.0  # seconds
SEEDS = itertools.count()  # each once: DVC would give back what it has seen


def side_by_side(workshop: Workshop) -> list[Figure]:
    """Compare as many jobs as cores, each with its share, with one job, and with no shares."""
    folder = workshop.new_folder("side_by_side")
    digit_wavs(folder / "corpus", workshop.size(3000, 200))
    changes: Changes = {"train": {"epochs": workshop.size(10, 2), "device": "cpu"}}
    repository = make_clone(folder, folder / "corpus", changes)
    repository.run("dvc", "repro", "split")
    repository.commit()
    timbre, dvc = ["python", "-m", "timbre", "queue"], ["dvc", "queue", "start"]
    jobs, n = str(n_cores()), workshop.size(4, 2)
    shared = Side(partial(run_queue, repository, n, [*timbre, "--jobs", jobs]), n)
    found = []
    for title, command in (
        ("one at a time, all cores", [*timbre, "--jobs", "1"]),
        (f"{jobs} at a time, all cores each", [*dvc, "--jobs", jobs]),
    ):
        other = Side(partial(run_queue, repository, n, command), n)
        times = compare(other, shared, workshop.pairs(3), warm_up=False)
        name = f"trainings in the queue, {jobs} at a time, a share of the cores each"
        found.append(ratio_figure(name, title, times, unit="s"))
    return found


def run_queue(repository: Repository, n: int, command: list[str]) -> float:
    """Queue `n` trainings with new seeds and start the queue by `command`; return its seconds."""
    seeds = ",".join(str(next(SEEDS)) for _ in range(n))
    repository.run("dvc", "exp", "run", "--queue", "-S", f"train.seed={seeds}", "train_cnn")
    start = time.perf_counter()
    repository.run(*command)
    wait_until_gone(repository, "Queued", "Running")
    seconds = time.perf_counter() - start
    wait_until_gone(repository, "active", "idle")  # the next workers have another share
    repository.run("dvc", "queue", "remove", "--success")
    return seconds


def wait_until_gone(repository: Repository, *words: str) -> None:
    """Wait until the queue's status holds none of these words. A failed experiment ends it all."""
    while any(word in (status := queue_status(repository)) for word in words):
        time.sleep(LOOK_EVERY)
    if "Failed" in status:
        raise RuntimeError(status)


def queue_status(repository: Repository) -> str:
    """Return what DVC says of the queue; of active and idle workers nothing if there are none."""
    done = subprocess.run(
        ["dvc", "queue", "status"],
        cwd=repository.folder,
        env=repository.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.replace("0 active", "").replace("0 idle", "")

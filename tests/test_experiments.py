"""Experiments in the queue, what DVC shows of them, and runs that broke off."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from clone import REPOSITORY, Clone, wait_for_queue
from safetensors import safe_open

from timbre.clips import read_splits
from timbre.comparison import Comparison, markdown
from timbre.shards import read_index, shard_paths

pytestmark = pytest.mark.pipeline

CHECKPOINT = ".timbre/train_cnn/checkpoint.safetensors"


def lr_of(shown: dict[str, Any]) -> float:
    return float(shown["data"]["params"]["params.yaml"]["data"]["train"]["lr"])


@pytest.fixture
def queue(on_own_corpus: Clone, tmp_path: Path) -> Iterator[Clone]:
    """A finished clone, whose queue is stopped when the test is over."""
    clone = on_own_corpus.copy(tmp_path / "clone")
    yield clone
    clone.run("dvc", "queue", "stop", "--kill")


def test_queued_experiments_run_on_tracked_corpora_and_are_shown_apart(queue: Clone) -> None:
    queue.dvc("exp", "run", "--queue", "-S", "train.lr=1e-3,1e-4")
    queue.dvc("exp", "run", "--queue", "-S", "data.root=data/demo", "-S", "train.lr=1e-2")
    queue.dvc("queue", "start")
    assert wait_for_queue(queue).count("Success") == 3
    baselines = json.loads(queue.dvc("exp", "show", "--json"))
    found = [shown["revs"][0] for line in baselines for shown in line["experiments"] or []]
    assert sorted(lr_of(shown) for shown in found) == [1e-4, 1e-3, 1e-2]
    for shown in found:
        assert 0 <= shown["data"]["metrics"]["metrics/test.json"]["data"]["accuracy"] <= 1


def test_every_fold_is_queued_as_one_experiment(queue: Clone) -> None:
    queue.dvc("exp", "run", "--queue", "-S", "split.n_folds=6", "-S", "split.fold=range(0,6)")
    assert queue.dvc("queue", "status").count("Queued") == 6


def test_experiments_are_summed_up(experiment: tuple[Clone, str]) -> None:
    clone = experiment[0]
    scores = json.loads((clone.folder / "metrics" / "test.json").read_text("utf-8"))
    done = clone.run("python", "-m", "timbre.summary", "--metric", "test.accuracy")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("1 run\n\n")
    assert f"| test.accuracy | {100 * scores['accuracy']:.2f} % |" in done.stdout


def test_a_commit_that_is_not_there_is_named_without_a_traceback(
    experiment: tuple[Clone, str],
) -> None:
    done = experiment[0].run("python", "-m", "timbre.summary", "--rev", "v9")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "error: `dvc exp show --json --rev v9` failed: " in done.stdout
    assert "v9" in done.stdout.split("failed: ")[1]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("metrics show", ["metrics/test.json", "accuracy", "accuracy_low", "leaks.group"]),
        ("metrics diff", ["metrics/train.json", "val_loss", "HEAD", "workspace"]),
        ("params diff", ["train.lr", "0.003", "0.0001"]),
        ("exp show --md", ["train.lr", "0.0001", "accuracy", "val_loss"]),
        ("exp show --drop .* --keep Experiment|accuracy|train.lr", ["train.lr", "0.0001"]),
        ("exp diff", ["train.lr", "val_loss"]),
        ("dag", ["synthesize_demo", "encode_labels", "split", "train_cnn", "evaluate"]),
        ("stage list", ["extract_spectrograms", "Score the model on the test split"]),
        ("stage list data/dvc.yaml", ["synthesize_demo", "Speak the demo corpus"]),
    ],
)
def test_dvc_shows_what_an_experiment_changed(
    command: str, shown: list[str], experiment: tuple[Clone, str]
) -> None:
    output = experiment[0].dvc(*command.split())
    assert [word for word in shown if word not in output] == []


def pairs(page: str) -> dict[str, list[str]]:
    """Return what a page shows: the last command of a block, and the lines printed below it."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.M | re.S)
    return {above.splitlines()[-1]: below.splitlines() for above, below in found}


def leads(lines: list[str]) -> set[str]:
    """Return how the lines begin, up to the first number, or the first two words."""
    return {" ".join(re.split(r"\d", line)[0].split()[:2]) for line in lines} - {"", "..."}


def test_pages_show_lines_that_a_run_prints(
    first_run: tuple[Clone, str], experiment: tuple[Clone, str]
) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("## What you see")[1]
    of_a_run = re.findall(r"^```text\n(.*?)^```$", readme, re.M | re.S)[0].splitlines()
    # The first run is of a smaller demo, whose windows have a length of their own.
    elsewhere = ("curves:", "warning:", "as the clips need them")  # from make, of doubt, of windows
    lines = [line for line in of_a_run if not any(part in line for part in elsewhere)]
    assert leads(lines) <= leads(first_run[1].splitlines())
    (shown,) = (
        lines
        for command, lines in pairs("docs/experiments.md").items()
        if command.startswith("dvc exp run --name")
    )
    assert leads(shown) <= leads(experiment[1].splitlines())


@pytest.mark.parametrize("start", ["dvc params diff", "dvc metrics diff", "dvc exp show"])
def test_tables_on_the_page_have_the_columns_that_dvc_prints(
    start: str, experiment: tuple[Clone, str]
) -> None:
    ((command, lines),) = (
        (command, lines)
        for command, lines in pairs("docs/experiments.md").items()
        if command.startswith(start)
    )
    printed = experiment[0].dvc(*shlex.split(command)[1:])
    assert leads(columns(lines)) == leads(columns(printed.splitlines()))


def columns(lines: list[str]) -> list[str]:
    """Return the cells of the first line that has any."""
    header = next(line for line in lines if re.search(r"\w", line))
    return re.split(r"\s{2,}", header.strip())


def test_the_verdict_on_the_page_is_worded_as_the_gates() -> None:
    (lines,) = (
        lines
        for command, lines in pairs("docs/experiments.md").items()
        if command.startswith("python -m timbre gate")
    )
    told = markdown(Comparison(56, 47 / 56, 50 / 56, 4, 1, 2, 0, 1.0), 0.0)
    assert "\n".join(lines) + "\n" == told


@pytest.mark.parametrize(
    ("command", "revisions"), [("show", {"workspace"}), ("diff", {"HEAD", "workspace"})]
)
def test_the_plots_hold_curves_and_confusion_matrix(
    command: str, revisions: set[str], experiment: tuple[Clone, str], tmp_path: Path
) -> None:
    clone, _ = experiment
    clone.dvc("plots", command, "-o", str(tmp_path / "html"))
    page = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    curves = (clone.folder / "plots" / "learning_curves.csv").read_text(encoding="utf-8")
    val_loss = curves.splitlines()[1].split(",")[2]
    for text in ("Loss", "Accuracy", "Confusion", "cross-entropy (nats)", val_loss, *revisions):
        assert text in page
    pictures = {path.stem for path in (tmp_path / "html").rglob("*.png")}
    shown = ("report", "learning_curves", "confusion", "reliability", "robustness")
    assert pictures == {f"{revision}_plots_{name}" for revision in revisions for name in shown}


def test_training_on_a_damaged_shard_ends_with_its_name(finished: Clone, tmp_path: Path) -> None:
    clone = finished.copy(tmp_path / "clone")
    splits = read_splits(clone.folder / "data" / "splits.csv")
    trained_on = set(splits.clip_id[splits.split == "train"])
    shard, row = next(
        (path, row)
        for path in shard_paths(clone.folder / "data" / "spectrograms")
        for row, clip_id in enumerate(read_index(path).clip_ids)
        if clip_id in trained_on
    )
    flip_byte(shard, row)
    done = clone.stage("train_cnn")
    assert done.returncode == 1
    assert f"error: data/spectrograms/{shard.name}: damaged" in done.stdout
    assert "Traceback" not in done.stdout


def flip_byte(shard: Path, row: int) -> None:
    """Change one bit in the window of that row."""
    with h5py.File(shard) as file:
        place = file["log_mel"].id.get_chunk_info(row).byte_offset
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)


def test_a_run_killed_twice_ends_with_the_bytes_of_an_uninterrupted_one(
    finished: Clone, tmp_path: Path
) -> None:
    whole, killed = (finished.copy(tmp_path / name) for name in ("whole", "killed"))
    for clone in (whole, killed):
        clone.set_params({"train": {"epochs": 6}})
    curves = "plots/learning_curves.csv"
    made = (curves, "plots/learning_curves.png", "metrics/train.json", "models")
    assert whole.stage("train_cnn").returncode == 0
    assert len((whole.folder / curves).read_text(encoding="utf-8").splitlines()) == 1 + 6
    first = train_until_checkpoint(killed)
    # A run that began anew would write a checkpoint of one epoch, and never get farther than that.
    second = train_until_checkpoint(killed)
    assert 1 <= first < second < 6
    assert killed.stage("train_cnn").returncode == 0
    assert killed.digests(*made) == whole.digests(*made)
    assert not (killed.folder / ".timbre" / "train_cnn").exists()


def train_until_checkpoint(clone: Clone) -> int:
    """Train, kill the process when a new checkpoint is there; return the epochs in it."""
    path = clone.folder / CHECKPOINT
    before = stamp(path)
    with subprocess.Popen(
        clone.command("train_cnn"), cwd=clone.folder, env=clone.environment()
    ) as run:
        while run.poll() is None and stamp(path) == before:
            time.sleep(0.002)
        run.kill()
    with safe_open(path, framework="pt") as file:
        return len(json.loads(file.metadata()["checkpoint"])["progress"])


def stamp(path: Path) -> tuple[int, int]:
    """Return what tells one version of a file from the next; zeros without the file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns

"""One clip of many has changed: how long the stage takes, and what it leaves alone."""

import hashlib
import shutil
from functools import partial
from pathlib import Path

import yaml

from bench.corpora import change_clip, reciter_oggs, reciter_wavs
from bench.figures import Figure, ratio_figure, value_figure
from bench.pairs import Side, compare
from bench.repository import Repository, make_clone
from bench.workshop import Pipeline, Workshop

LEAST_RATIO = 30.0
SHARDS = Path("data/spectrograms")


def incremental(workshop: Workshop) -> list[Figure]:
    """Compare a full run of the stage with one after one clip has changed, for two kinds."""
    n_clips = workshop.size(10_000, 100)
    folder = workshop.new_folder("incremental-wav")
    wavs = reciter_wavs(folder / "corpus", n_clips, 22_050)
    figures = one_changed_clip(folder, wavs, "WAV, 22050 Hz", workshop.pairs(3))
    folder = workshop.new_folder("incremental-ogg")
    oggs = reciter_oggs(folder / "corpus", n_clips)
    return figures + one_changed_clip(folder, oggs, "Ogg Vorbis, 16000 Hz", workshop.pairs(3))


def one_changed_clip(folder: Path, paths: list[Path], kind: str, n_pairs: int) -> list[Figure]:
    """Measure on a corpus, and count the shards that get other bytes."""
    repository = make_clone(folder, folder / "corpus", {})
    repository.run("dvc", "repro", "extract_spectrograms")
    pipeline = Pipeline(repository.folder, (folder / "corpus").resolve())
    before = digests(repository)
    n_changed: list[float] = []

    def one_changed() -> float:
        change_clip(paths[0], 0.9)
        pipeline.run("encode_labels")
        seconds = run_stage(repository, pipeline)
        after = digests(repository)
        n_changed.append(sum(after[name] != digest for name, digest in before.items()))
        return seconds

    full = partial(without_record, repository, partial(run_stage, repository, pipeline))
    found = compare(Side(full), Side(one_changed), n_pairs)
    name = f"extract_spectrograms, 1 of {len(paths)} clips changed, {kind}"
    title = f"{name}: shards with other bytes"
    return [
        ratio_figure(name, "all clips computed", found, unit="s", target=LEAST_RATIO),
        value_figure(title, [max(n_changed)], "shards", target=1),
    ]


def run_stage(repository: Repository, pipeline: Pipeline) -> float:
    """Delete the stage's output as DVC does, run its command; return the command's seconds."""
    shutil.rmtree(repository.folder / SHARDS)
    return pipeline.run("extract_spectrograms")


def without_record(repository: Repository, run: partial[float]) -> float:
    """Run as if the stage had never run: DVC's record knows no older shards."""
    lock = repository.folder / "dvc.lock"
    recorded = lock.read_text(encoding="utf-8")
    document = yaml.safe_load(recorded)
    del document["stages"]["extract_spectrograms"]
    lock.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        return run()
    finally:
        lock.write_text(recorded, encoding="utf-8")


def digests(repository: Repository) -> dict[str, str]:
    """Return the SHA-256 of each shard."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((repository.folder / SHARDS).iterdir())
    }

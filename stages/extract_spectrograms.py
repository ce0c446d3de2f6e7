"""Turn every clip into log-mel spectrograms, kept in HDF5 shards; recompute only what changed.

Reads the clips' table, those that encode_labels left out, and the audio; writes one folder of
shards, and the table of all clips that are left out:

    python -m stages.extract_spectrograms data/demo data/clips.csv data/bad_headers.csv \\
        data/spectrograms data/quarantine.csv

DVC empties the output folder before it runs this stage. So the shards of the last run are read from
DVC's cache, and finished shards wait in a staging folder until all are there: a run that was killed
goes on where it was.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy
import soundfile
import soxr
from pydantic import Field, model_validator
from tqdm import tqdm

from timbre import command
from timbre.cached_output import publish
from timbre.extraction import ShardResult, ShardTask, fill_shard, without_clip
from timbre.features import LARGEST_WINDOW, n_frames
from timbre.handover import deliver
from timbre.log_mel import LogMel
from timbre.mel_filters import empty_bands
from timbre.params import Section, read_section
from timbre.problems import InputError
from timbre.quarantine import (
    WAY_OUT,
    BadAudio,
    Unusable,
    read_unusable,
    too_many,
    write_unusable,
)
from timbre.shard_plan import deal, earlier_shards, plan
from timbre.shards import Attributes
from timbre.sources import read_sources
from timbre.windows import Windowing
from timbre.workers import get_ready, map_unordered, n_cores

STAGING = Path(".timbre/extract_spectrograms")
OUTPUT = Path("data/spectrograms")
WORKER_MODULES = ("timbre.extraction", "timbre.log_mel")  # imported once, before the workers fork
VALUE_MODULES = ("timbre.audio", "timbre.windows", "timbre.mel_filters", "timbre.log_mel")
FEW_CLIPS = 64  # computed by one worker before others have started

Fill = Callable[[ShardTask], ShardResult]


class Extract(Section):
    """The section `extract` of params.yaml."""

    sample_rate: int = Field(ge=1000, le=384_000)  # Hz; clips are resampled to it
    window_seconds: float = Field(gt=0, le=600)  # length of one network input
    windows: Literal["first", "all"]  # of a long clip
    window_hop_seconds: float = Field(gt=0, le=600)  # between the windows of a long clip
    n_fft: int = Field(ge=32, le=65_536)  # samples a spectrum
    hop_length: int = Field(ge=1, le=65_536)  # samples between two spectra
    n_mels: int = Field(ge=4, le=1024)  # bands
    fmin: float = Field(ge=0)  # Hz, lower edge of the lowest band
    fmax: float | None  # Hz, upper edge of the highest; null: half the sample rate
    top_db: float = Field(gt=0, le=200)  # dB between the loudest cell and the floor
    n_shards: int = Field(ge=1, le=4096)  # files; more of them: finer reuse, more overhead

    @model_validator(mode="after")
    def _possible(self) -> "Extract":
        fmax = self.fmax_hz()
        if fmax > self.sample_rate / 2:
            raise ValueError(f"fmax {fmax:g} Hz is above half the sample_rate {self.sample_rate}")
        if self.fmin >= fmax:
            raise ValueError(f"fmin {self.fmin:g} Hz is not below fmax {fmax:g} Hz")
        if self.window_seconds * self.sample_rate < self.hop_length:
            raise ValueError("window_seconds is shorter than hop_length")
        if round(self.window_hop_seconds * self.sample_rate) < 1:
            raise ValueError("window_hop_seconds is shorter than a sample")
        n_samples = round(self.window_seconds * self.sample_rate)
        n_cells = self.n_mels * n_frames(n_samples, self.hop_length)
        if max(n_samples, n_cells) > LARGEST_WINDOW:
            raise ValueError(f"a window would have {n_samples} samples and {n_cells} cells")
        return self

    def fmax_hz(self) -> float:
        """Return the upper edge of the highest band in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax


def main(root: Path, clips: Path, bad_headers: Path, spectrograms: Path, quarantine: Path) -> None:
    """Fill `spectrograms` with the shards of all clips below `root`; list the others."""
    params = read_section("extract", Extract)
    policy = read_section("data", BadAudio, own_keys=True)
    get_ready(WORKER_MODULES)
    front_end = LogMel(
        sample_rate=params.sample_rate,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        n_mels=params.n_mels,
        fmin=params.fmin,
        fmax=params.fmax_hz(),
        top_db=params.top_db,
    )
    _check_bands(front_end)
    kept = Windowing(params.window_seconds, params.window_hop_seconds, params.windows == "all")
    attributes = describe(params)
    staging = STAGING / hashlib.sha256(json.dumps(attributes).encode()).hexdigest()[:16]
    shape = (params.n_mels, n_frames(kept.samples(params.sample_rate), params.hop_length))
    dealt = deal(read_sources(clips), params.n_shards)
    earlier = earlier_shards(OUTPUT, STAGING / "previous", clips, dealt, attributes)
    finished, tasks = plan(dealt, earlier, staging, shape, attributes)
    fill = partial(
        fill_shard,
        root=root,
        attributes=attributes,
        front_end=front_end,
        sample_rate=params.sample_rate,
        kept=kept,
    )
    n_clips = sum(map(len, dealt))
    results = run_tasks(tasks, n_clips, fill)
    unusable = left_out(results, root, n_clips, read_unusable(bad_headers), policy)
    publish(finished | {task.target.name: task.target for task in tasks}, spectrograms)
    write_unusable(unusable, quarantine)
    deliver(STAGING)
    report(results, n_clips, unusable, quarantine)


def describe(params: Extract) -> Attributes:
    """Return all that decides the values in a shard: two equal descriptions, two equal shards."""
    code = hashlib.sha256()
    for module in VALUE_MODULES:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        code.update(Path(spec.origin).read_bytes())
    settings = params.model_dump(exclude={"n_shards"}) | {"fmax": params.fmax_hz()}
    return {
        **settings,
        "numpy": numpy.__version__,
        "opencv": cv2.__version__,
        "soxr": soxr.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "code": code.hexdigest(),
    }


def run_tasks(tasks: list[ShardTask], n_clips: int, fill: Fill) -> list[ShardResult]:
    """Fill the shards, on all cores if that is worth it, with progress in clips."""
    n_todo = sum(len(task.sources) for task in tasks)
    n_new = sum(s.sha256 not in task.stored for task in tasks for s in task.sources)
    n_processes = n_cores() if n_new > FEW_CLIPS else 1
    results = []
    with tqdm(
        total=n_clips, initial=n_clips - n_todo, unit="clip", desc="extract", disable=None
    ) as bar:
        for result in map_unordered(fill, tasks, n_processes, WORKER_MODULES, without_clip):
            n_bad = len(result.unusable) + len(result.problems)
            bar.update(result.n_computed + result.n_copied + n_bad)
            results.append(result)
    return results


def left_out(
    results: list[ShardResult],
    root: Path,
    n_clips: int,
    bad_headers: list[Unusable],
    policy: BadAudio,
) -> list[Unusable]:
    """Return all clips that are left out, with those that encode_labels found.

    Raises InputError, which names every clip that cannot be used, if that may not be.
    """
    unusable = [clip for result in results for clip in result.unusable]
    problems = [problem for result in results for problem in result.problems]
    named = sorted([*problems, *(f"{root / clip.path}: {clip.reason}" for clip in unusable)])
    total = f"{len(named)} of {n_clips} clips cannot be used"
    if problems:
        raise InputError([*named, total])
    if unusable and policy.bad_audio == "fail":
        raise InputError([*named, f"{total}: {WAY_OUT}"])
    n_all = n_clips + len(bad_headers)
    if over := too_many(len(unusable) + len(bad_headers), n_all, policy.max_quarantined):
        raise InputError([*named, *over])
    return [*bad_headers, *unusable]


def report(
    results: list[ShardResult], n_clips: int, unusable: list[Unusable], quarantine: Path
) -> None:
    """Say what was done, and which clips are left out."""
    computed = sum(result.n_computed for result in results)
    n_bad = sum(len(result.unusable) for result in results)
    if unusable:
        print(
            f"warning: {len(unusable)} clips cannot be used and are left out, such as "
            f"{unusable[-1].path} ({unusable[-1].reason}): {quarantine} lists all",
            file=sys.stderr,
        )
    found = f"{n_clips} clips: {computed} computed, {n_clips - computed - n_bad} reused"
    print(f"extract_spectrograms: {found}{f', {n_bad} left out' if n_bad else ''}")


def _check_bands(front_end: LogMel) -> None:
    if empty := empty_bands(front_end.filters()):
        raise InputError(
            f"params.yaml: extract.n_mels: {len(empty)} of {front_end.n_mels} mel bands are "
            "narrower than the spectrum's resolution and hear nothing "
            f"(the first is band {empty[0]}): lower n_mels, raise n_fft, or narrow fmin to fmax"
        )


if __name__ == "__main__":
    command.run(main)

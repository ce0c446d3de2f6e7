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
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator
from tqdm import tqdm

from timbre import command
from timbre.cached_output import publish
from timbre.extraction import ShardResult, ShardTask, fill_piece, fill_shard, without_clip
from timbre.features import LARGEST_WINDOW, n_frames
from timbre.handover import deliver
from timbre.log_mel import LogMel
from timbre.made_by import versions
from timbre.mel_filters import empty_bands
from timbre.params import Section, read_section
from timbre.problems import InputError
from timbre.quarantine import BadAudio, Unusable, left_out, read_unusable, write_unusable
from timbre.shard_plan import deal, earlier_shards, plan
from timbre.shards import Attributes
from timbre.sources import read_headers, read_sources
from timbre.window_sizes import (
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    fitting_fmax,
    fitting_hop,
    fitting_seconds,
)
from timbre.windows import Windowing
from timbre.workers import get_ready, map_unordered, n_cores

STAGING = Path(".timbre/extract_spectrograms")
OUTPUT = Path("data/spectrograms")
WORKER_MODULES = ("timbre.extraction", "timbre.log_mel")  # imported once, before the workers fork
SCHEDULER = "DASK_SCHEDULER_ADDRESS"  # the variable in which Dask's own tools look for it
FEW_CLIPS = 64  # computed by one worker before others have started

Fill = Callable[[ShardTask], ShardResult]


class Extract(Section):
    """The section `extract` of params.yaml."""

    sample_rate: int = Field(ge=1000, le=384_000)  # Hz; clips are resampled to it
    window_seconds: float | None = Field(gt=0, le=600)  # of one network input; null: as the clips
    windows: Literal["first", "all"]  # of a long clip
    window_hop_seconds: float = Field(gt=0, le=600)  # between the windows of a long clip
    n_fft: int = Field(ge=32, le=65_536)  # samples a spectrum
    hop_length: int | None = Field(ge=1, le=65_536)  # samples between spectra; null: by the window
    n_mels: int = Field(ge=4, le=1024)  # bands
    fmin: float = Field(ge=0)  # Hz, lower edge of the lowest band
    fmax: float | None  # Hz, upper edge of the highest; null: as the clips
    top_db: float = Field(gt=0, le=200)  # dB between the loudest cell and the floor
    n_shards: int = Field(ge=1, le=4096)  # files; more of them: finer reuse, more overhead
    scheduler: str  # Dask's, such as tcp://host:8786; "": DASK_SCHEDULER_ADDRESS, or no cluster
    audio_url: str  # of a folder like data.root, read through fsspec; "": data.root itself

    @model_validator(mode="after")
    def _possible(self) -> "Extract":
        fmax = self.fmax_hz()
        if fmax > self.sample_rate / 2:
            raise ValueError(f"fmax {fmax:g} Hz is above half the sample_rate {self.sample_rate}")
        if self.fmin >= fmax:
            raise ValueError(f"fmin {self.fmin:g} Hz is not below fmax {fmax:g} Hz")
        shortest = self.window_seconds or SHORTEST_SECONDS
        if shortest * self.sample_rate < self.hop(shortest):
            raise ValueError("window_seconds is shorter than hop_length")
        if round(self.window_hop_seconds * self.sample_rate) < 1:
            raise ValueError("window_hop_seconds is shorter than a sample")
        longest = self.window_seconds or LONGEST_SECONDS
        n_samples = round(longest * self.sample_rate)
        n_cells = self.n_mels * n_frames(n_samples, self.hop(longest))
        if max(n_samples, n_cells) > LARGEST_WINDOW:
            raise ValueError(f"a window would have {n_samples} samples and {n_cells} cells")
        return self

    @model_validator(mode="after")
    def _addresses(self) -> "Extract":
        for key, like in (("scheduler", "tcp://host:8786"), ("audio_url", "s3://bucket/folder")):
            if (value := getattr(self, key)) and not all(value.partition("://")):
                raise ValueError(f"{key} must be empty or an address like {like}, not {value!r}")
        return self

    def hop(self, window_seconds: float) -> int:
        """Return how many samples lie between the spectra of a window of that length."""
        return self.hop_length or fitting_hop(window_seconds, self.sample_rate)

    def fmax_hz(self) -> float:
        """Return the upper edge of the highest band in Hz, the highest possible if clips decide."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax


class Fitted(NamedTuple):
    """What the clips decide where params.yaml leaves it to them; names as there."""

    window_seconds: float
    window_hop_seconds: float
    hop_length: int
    fmax: float


def main(root: Path, clips: Path, bad_headers: Path, spectrograms: Path, quarantine: Path) -> None:
    """Fill `spectrograms` with the shards of all clips below `root`; list the others."""
    params = read_section("extract", Extract)
    policy = read_section("data", BadAudio, own_keys=True)
    get_ready(WORKER_MODULES)
    front_end = LogMel(
        sample_rate=params.sample_rate,
        n_fft=params.n_fft,
        hop_length=params.hop(LONGEST_SECONDS),
        n_mels=params.n_mels,
        fmin=params.fmin,
        fmax=params.fmax_hz(),
        top_db=params.top_db,
    )
    _check_bands(front_end)  # what no clips can mend is told before they are looked at
    fitted = fit(params, clips)
    front_end = replace(front_end, hop_length=fitted.hop_length, fmax=fitted.fmax)
    _check_bands(front_end)
    kept = Windowing(
        fitted.window_seconds, fitted.window_hop_seconds, keep_all=params.windows == "all"
    )
    attributes = describe(params, fitted)
    tell(params, fitted)
    staging = STAGING / hashlib.sha256(json.dumps(attributes).encode()).hexdigest()[:16]
    shape = (params.n_mels, n_frames(kept.samples(params.sample_rate), front_end.hop_length))
    dealt = deal(read_sources(clips), params.n_shards)
    earlier = earlier_shards(OUTPUT, STAGING / "previous", clips, dealt, attributes)
    finished, tasks = plan(dealt, earlier, staging, shape, attributes)
    rate = params.sample_rate
    heard: dict[str, Any] = {"front_end": front_end, "sample_rate": rate, "kept": kept}
    fill = partial(fill_shard, attributes=attributes, **heard)
    n_clips = sum(map(len, dealt))
    if (address := scheduler(params)) and n_new(tasks):
        from timbre.cluster_shards import estimated_windows, fill_shards  # here: it takes long

        there = params.audio_url or root.absolute()
        write, compute = partial(fill, root=there), partial(fill_piece, root=there, **heard)
        n_windows = estimated_windows(clips, kept)
        found = fill_shards(tasks, address, attributes, write, compute, n_windows)
    else:
        found = on_this_machine(tasks, partial(fill, root=params.audio_url or root))
    results = with_progress(found, tasks, n_clips)
    problems = [str(unread) for result in results for unread in result.unread]
    bad = [clip for result in results for clip in result.unusable]
    unusable = left_out(problems, bad, root, n_clips, read_unusable(bad_headers), policy)
    publish(finished | {task.target.name: task.target for task in tasks}, spectrograms)
    write_unusable(unusable, quarantine)
    deliver(STAGING)
    report(results, n_clips, unusable, quarantine)


def scheduler(params: Extract) -> str:
    """Return the address of Dask's scheduler, "" for no cluster."""
    return params.scheduler or os.environ.get(SCHEDULER, "")


def fit(params: Extract, clips: Path) -> Fitted:
    """Return what is asked for, or what the clips need where nothing is.

    Raises InputError if their bands would end below `fmin`.
    """
    seconds, hop, fmax = params.window_seconds, params.window_hop_seconds, params.fmax
    headers = [*read_headers(clips).values()] if seconds is None or fmax is None else []
    if seconds is None:
        seconds = fitting_seconds(np.array([header.seconds for header in headers]))
        hop = min(hop, seconds)  # between windows further apart some of a clip would go unheard
    if fmax is None:
        rates = np.array([header.sample_rate for header in headers], np.int64)
        fmax = fitting_fmax(rates, params.sample_rate)
        if params.fmin >= fmax:
            raise InputError(
                f"params.yaml: extract.fmin: {params.fmin:g} Hz is not below {fmax:g} Hz, where "
                "the bands end as the clips do: lower it, or set extract.fmax"
            )
    return Fitted(seconds, hop, params.hop(seconds), fmax)


def tell(params: Extract, fitted: Fitted) -> None:
    """Say what the clips decided."""
    decided = []
    if params.window_seconds is None:
        decided.append(f"windows of {fitted.window_seconds:g} s")
    if fitted.fmax < params.fmax_hz():
        decided.append(f"bands up to {fitted.fmax:g} Hz")
    if decided:
        print(f"extract_spectrograms: {' and '.join(decided)}, as the clips need them")


def describe(params: Extract, fitted: Fitted) -> Attributes:
    """Return all that decides the values in a shard: two equal descriptions, two equal shards."""
    settings = params.model_dump(exclude={"n_shards", "scheduler", "audio_url"})
    return settings | fitted._asdict() | versions()


def n_new(tasks: list[ShardTask]) -> int:
    """Return how many clips must be computed."""
    return sum(s.sha256 not in task.stored for task in tasks for s in task.sources)


def on_this_machine(tasks: list[ShardTask], fill: Fill) -> Iterator[ShardResult]:
    """Fill the shards, on all cores if that is worth it."""
    n_processes = n_cores() if n_new(tasks) > FEW_CLIPS else 1
    return map_unordered(fill, tasks, n_processes, WORKER_MODULES, without_clip)


def with_progress(
    found: Iterator[ShardResult], tasks: list[ShardTask], n_clips: int
) -> list[ShardResult]:
    """Return all results, showing progress in clips."""
    n_todo = sum(len(task.sources) for task in tasks)
    results = []
    with tqdm(
        total=n_clips, initial=n_clips - n_todo, unit="clip", desc="extract", disable=None
    ) as bar:
        for result in found:
            n_bad = len(result.unusable) + len(result.unread)
            bar.update(result.n_computed + result.n_copied + n_bad)
            results.append(result)
    return results


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
            f"(the first is band {empty[0]}): lower n_mels, raise n_fft, or set fmin or fmax "
            f"(now {front_end.fmin:g} and {front_end.fmax:g} Hz) further up"
        )


if __name__ == "__main__":
    command.run(main)

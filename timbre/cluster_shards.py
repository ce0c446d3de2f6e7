"""Shards on a cluster: Dask's workers write them where they see this machine's folder.

Elsewhere they compute the windows only, and this process writes them.
"""

import itertools
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from timbre.cluster import Cluster, connected
from timbre.cluster_worker import Answer
from timbre.extraction import (
    Outcome,
    Piece,
    ShardResult,
    ShardTask,
    Unread,
    without_clip,
    write_task,
)
from timbre.problems import InputError
from timbre.shards import Attributes
from timbre.sources import Source, read_headers
from timbre.windows import Windowing

PIECE_BYTES = 8 << 20  # of windows: work for a good part of a second, and little for any memory
PIECE_CLIPS = 256
ROUGHLY = 1000  # Hz, to count windows with


def fill_shards(
    tasks: Sequence[ShardTask],
    address: str,
    attributes: Attributes,
    write: Callable[[ShardTask], ShardResult],
    compute: Callable[[Piece], list[Outcome]],
    n_windows: Callable[[Source], int],
) -> Iterator[ShardResult]:
    """Write the shards of all tasks, in order, on the cluster, or of windows that it computes.

    If all workers see the shards' folder they `write`, if not they `compute`; `n_windows` estimates
    how many a clip has. Raises InputError where scheduler or workers are gone, differ from this
    process, or do not find the audio.
    """
    with connected(address) as cluster, _sign(tasks, cluster.token) as sign:
        if cluster.sees(sign):
            yield from _written_there(tasks, cluster, write, sign)
        else:
            yield from _written_here(tasks, cluster, attributes, compute, n_windows)


@contextmanager
def _sign(tasks: Sequence[ShardTask], token: str) -> Iterator[Path]:
    """Put a file beside the shards by which a worker tells their folder from any other."""
    sign = tasks[0].target.absolute().with_name(f".{token}")
    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.touch()
    try:
        yield sign
    finally:
        sign.unlink(missing_ok=True)


def _written_there(
    tasks: Sequence[ShardTask],
    cluster: Cluster,
    write: Callable[[ShardTask], ShardResult],
    sign: Path,
) -> Iterator[ShardResult]:
    work = partial(_write, write=write, sign=sign)
    for answer in cluster.map(work, map(_from_anywhere, tasks), without_clip):
        result: ShardResult = answer.result
        for unread in result.unread:
            _check_reach(unread, answer.host)
        yield result


def _write(task: ShardTask, write: Callable[[ShardTask], ShardResult], sign: Path) -> ShardResult:
    """Write a shard on a worker. Raises InputError if it came later and sees another folder."""
    if not sign.exists():
        raise InputError(
            f"worker on {socket.gethostname()}: does not see {sign.parent}, and those "
            "before it do: share that folder, or end this worker; then run `dvc repro`"
        )
    return write(task)


def _from_anywhere(task: ShardTask) -> ShardTask:
    """Return the task for a process that runs in another folder."""
    stored = {
        sha256: replace(old, shard=old.shard.absolute()) for sha256, old in task.stored.items()
    }
    return replace(task, target=task.target.absolute(), stored=stored)


def _written_here(
    tasks: Sequence[ShardTask],
    cluster: Cluster,
    attributes: Attributes,
    compute: Callable[[Piece], list[Outcome]],
    n_windows: Callable[[Source], int],
) -> Iterator[ShardResult]:
    """Write shards of windows from the cluster; what can be copied from older shards stays here."""
    sources = (s for task in tasks for s in task.sources if s.sha256 not in task.stored)
    most = max(1, PIECE_BYTES // (2 * tasks[0].shape[0] * tasks[0].shape[1]))
    answers = cluster.map(compute, pieces(sources, most, n_windows), without_clip)
    outcomes = itertools.chain.from_iterable(map(_reached, answers))
    for task in tasks:
        yield write_task(task, attributes, _Next(task, outcomes, compute))


class _Next:
    """Finds the windows of one task's clips among those that come from the cluster in order."""

    def __init__(
        self,
        task: ShardTask,
        outcomes: Iterator[Outcome],
        fill: Callable[[Piece], list[Outcome]],
    ) -> None:
        self._task, self._outcomes, self._fill = task, outcomes, fill

    def __call__(self, source: Source) -> Outcome:
        if source.sha256 in self._task.stored:  # its old windows are damaged
            return self._fill(Piece([source]))[0]
        outcome = next(self._outcomes, None)
        if outcome is None:
            raise AssertionError("the cluster gave fewer clips than it was asked for")
        return outcome


def pieces(
    sources: Iterable[Source], most: int, n_windows: Callable[[Source], int]
) -> Iterator[Piece]:
    """Cut the clips into pieces of `most` windows, or of one clip that has more."""
    own: list[Source] = []
    n_own = 0
    for source in sources:
        n_more = n_windows(source)
        if own and (n_own + n_more > most or len(own) == PIECE_CLIPS):
            yield Piece(own)
            own, n_own = [], 0
        own.append(source)
        n_own += n_more
    if own:
        yield Piece(own)


def estimated_windows(clips: Path, kept: Windowing) -> Callable[[Source], int]:
    """Return how many windows a clip gives, going by the headers listed in clips.csv."""
    if not kept.keep_all:
        return lambda _: 1
    headers = read_headers(clips)

    def n_windows(source: Source) -> int:
        n_samples = round(headers[source.clip_id].seconds * ROUGHLY)
        return len(kept.starts(n_samples, ROUGHLY))

    return n_windows


def _reached(answer: Answer) -> list[Outcome]:
    """Return the outcomes. Raises InputError if the audio is there for this machine only."""
    outcomes: list[Outcome] = answer.result
    for outcome in outcomes:
        if isinstance(outcome, Unread):
            _check_reach(outcome, answer.host)
    return outcomes


def _check_reach(unread: Unread, host: str) -> None:
    if unread.is_reached:
        return
    if isinstance(unread.place, str):
        raise InputError(
            f"{unread}, says the worker on {host}: look after extract.audio_url, and after the "
            "workers' credentials and packages (s3fs for s3://)"
        )
    if Path(unread.place).exists():
        raise InputError(
            f"{unread}, says the worker on {host}, and this machine can: share the folder under "
            "the same path, or name in extract.audio_url where workers find the audio"
        )

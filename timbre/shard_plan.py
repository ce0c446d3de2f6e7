"""Which shards of the last run are taken as they are, and which are made anew."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from timbre.cached_output import EarlierInput, cached_files
from timbre.extraction import ShardTask, read_indexes, stored_rows
from timbre.problems import InputError
from timbre.shards import Attributes, read_index, shard_name, shard_number
from timbre.sources import Source, read_sources


def deal(sources: list[Source], n_shards: int) -> list[list[Source]]:
    """Return the clips of each shard."""
    dealt: list[list[Source]] = [[] for _ in range(n_shards)]
    for source in sources:
        dealt[shard_number(source.clip_id, n_shards)].append(source)
    return dealt


def earlier_shards(
    output: Path, folder: Path, clips: Path, dealt: list[list[Source]], attributes: Attributes
) -> list[Path]:
    """Return local paths to the last run's shards in `output`; they may have other attributes.

    Of a remote, only those are fetched (see `cached_files` for `folder`) that hold audio of the
    clips `dealt`. What they hold, the table `clips` tells as it was then.
    """
    wanted = {source.sha256 for own in dealt for source in own}

    def choose(names: Sequence[str], earlier: EarlierInput) -> list[str]:
        return shards_with(wanted, read_sources(earlier(clips)), names)

    def fits(path: Path) -> bool:
        with suppress(InputError):  # a damaged one says nothing of the others
            return read_index(path).attributes == attributes
        return True

    return cached_files(output, folder, choose, fits)


def shards_with(
    wanted: Collection[str], sources: Iterable[Source], names: Sequence[str]
) -> list[str]:
    """Return those of the shards `names`, all of a run on `sources`, with audio that is wanted.

    Audio is told by its SHA-256.
    """
    numbers = {shard_number(s.clip_id, len(names)) for s in sources if s.sha256 in wanted}
    chosen = set(map(shard_name, numbers))
    return [name for name in names if name in chosen]


def plan(
    dealt: list[list[Source]],
    earlier: list[Path],
    staging: Path,
    shape: tuple[int, int],
    attributes: Attributes,
) -> tuple[dict[str, Path], list[ShardTask]]:
    """Return the shards that are there as they are to be, by name, and tasks for the others."""
    cached = read_indexes(earlier, attributes)
    whole = {index.content(): path for path, index in cached.items()}
    # Of staging a shard is taken under its own name only: the others are overwritten by the tasks.
    staged = read_indexes(sorted(staging.glob("shard-*.h5")), attributes)
    stored = stored_rows(cached)
    finished, tasks = {}, []
    for number, own in enumerate(dealt):
        name, target = shard_name(number), staging / shard_name(number)
        content = tuple((source.clip_id, source.sha256) for source in own)
        if target in staged and staged[target].content() == content:
            finished[name] = target
        elif content in whole:
            finished[name] = whole[content]
        else:
            reusable = {s.sha256: stored[s.sha256] for s in own if s.sha256 in stored}
            tasks.append(ShardTask(target, shape, own, reusable))
    return finished, tasks

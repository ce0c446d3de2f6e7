"""What the last run left of the test clips under conditions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from timbre.cached_output import EarlierInput, cached_files
from timbre.condition_shards import Clip, check_windows, content
from timbre.problems import InputError
from timbre.shards import Attributes, read_index


def earlier_shards(
    output: Path,
    folder: Path,
    attributes: Mapping[str, Attributes],
    test: list[Clip],
    tested: Callable[[EarlierInput], list[Clip]],
) -> dict[str, Path]:
    """Return the shards in `output` that hold some clips of `test` as they are to be, by condition.

    Of a remote, only conditions in `attributes` are fetched (see `cached_files` for `folder`), and
    none if the clips that were `tested` then are others.
    """

    def choose(names: Sequence[str], earlier: EarlierInput) -> list[str]:
        if set(content(test)).isdisjoint(content(tested(earlier))):
            return []
        return [name for name in names if Path(name).parts[0] in attributes]

    def fits(path: Path) -> bool:
        with suppress(InputError):  # a damaged one says nothing of the others
            return _made_alike(read_index(path).attributes, attributes)
        return True

    found = {}
    for path in cached_files(output, folder, choose, fits):
        with suppress(InputError):  # a damaged one is computed again
            index = read_index(path)
            name = str(index.attributes.get("condition"))
            if index.attributes == attributes.get(name):
                if index.content() != content(test):
                    check_windows(path)
                found[name] = path
    return found


def missing_clips(test: list[Clip], earlier: Path | None) -> tuple[Clip, ...]:
    """Return the clips that are not in an earlier shard."""
    there = set(read_index(earlier).content()) if earlier else set()
    return tuple(clip for clip in test if (clip.clip_id, clip.sha256) not in there)


def _made_alike(found: Attributes, attributes: Mapping[str, Attributes]) -> bool:
    """Tell whether what all conditions have in common made this shard too."""
    wanted = attributes.get(str(found.get("condition")), {})
    return all(found.get(key) == value for key, value in wanted.items() if key != "voices")

"""Log-mels of clips under conditions, one shard a condition.

Parts of a few clips are computed in any order, by any process: a clip is decoded once for all
conditions. Then the parts of each condition, and what an earlier run left of it, are joined in the
order of clip_id.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from timbre.audio import AudioError, Waveform, load
from timbre.condition_names import Condition, parse
from timbre.conditions import apply_condition, generator, source_seconds
from timbre.extraction import check_bytes, log_mels, read_indexes
from timbre.log_mel import LogMel
from timbre.problems import InputError
from timbre.shards import Attributes, Half, OpenShards, StoredClip, read_index, write_shard
from timbre.windows import Windowing
from timbre.worker_process import note

PART_CLIPS = 8  # some seconds of work: no core idles long at the end
PART_SECONDS = 600.0  # of audio; its waveforms lie in memory together
READ_WINDOWS = 64  # at a time
MOST_VOICES = 64  # clips that babble is made of; each process keeps them decoded
VOICE_SECONDS = 10.0  # of each


class Clip(NamedTuple):
    """A clip to be heard under conditions."""

    clip_id: str
    path: Path
    sha256: str  # of the file's bytes
    label: str
    seconds: float


@dataclass(frozen=True)
class Recipe:
    """What is the same for all parts."""

    attributes: Mapping[str, Attributes]  # by the names of the conditions
    seed: int
    voices: Sequence[Clip]  # what babble is made of
    front_end: LogMel
    kept: Windowing
    shape: tuple[int, int]  # (n_mels, n_frames)


@dataclass(frozen=True)
class Part:
    """What one worker does at a time: some clips under all conditions."""

    folder: Path  # will hold one shard a condition
    clips: Sequence[Clip]  # in the order of clip_id
    fatal: Mapping[str, str] = field(default_factory=dict)  # reasons, by the paths of bad files


@dataclass(frozen=True)
class PartResult:
    """What became of a part; with problems, not all of its shards are there."""

    n_clips: int
    problems: list[str]


def without_file(part: Part, path: str, reason: str) -> Part:
    """Return the part with a file whose decoding ends the process, in any way."""
    return replace(part, fatal={**part.fatal, path: reason})


def deal_parts(clips: Sequence[Clip], folder: Path) -> list[Part]:
    """Cut `clips`, which are in the order of clip_id, into parts of a bearable size."""
    parts: list[list[Clip]] = []
    seconds = 0.0
    for clip in clips:
        if not parts or len(parts[-1]) >= PART_CLIPS or seconds + clip.seconds > PART_SECONDS:
            parts.append([])
            seconds = 0.0
        parts[-1].append(clip)
        seconds += clip.seconds
    return [Part(folder / f"part-{number:05d}", own) for number, own in enumerate(parts)]


def choose_clips(clips: Sequence[Clip], most: int, seed: int) -> list[Clip]:
    """Return `most` of the clips, 0 for all, in their order; a hash of seed and id chooses."""
    ranked = sorted(clips, key=lambda clip: _hash(seed, clip.clip_id))
    chosen = {clip.clip_id for clip in ranked[: most or None]}
    return [clip for clip in clips if clip.clip_id in chosen]


def choose_voices(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """Return MOST_VOICES of the clips, or all: of each class in turn, by a hash of seed and id."""
    ranked = sorted(clips, key=lambda clip: _hash(seed, clip.clip_id))
    turns: Counter[str] = Counter()
    by_turn = []
    for clip in ranked:
        by_turn.append((turns[clip.label], clip))
        turns[clip.label] += 1
    return [clip for _, clip in sorted(by_turn, key=lambda item: item[0])][:MOST_VOICES]


def voices_for(clip: Clip, voices: Sequence[Clip]) -> list[Clip]:
    """Return the voices of other classes than the clip's; of a lone class, those of other clips.

    A voice of the same class would speak for the right answer, and noise must not help.
    """
    strangers = [voice for voice in voices if voice.label != clip.label]
    return strangers or [voice for voice in voices if voice.sha256 != clip.sha256]


def fill_part(part: Part, recipe: Recipe) -> PartResult:
    """Write the part's shards, one a condition. All unusable clips are named in the result."""
    problems = [f"{path}: {reason}" for path, reason in part.fatal.items()]
    problems += [problem for clip in part.clips if (problem := _problem(clip))]
    if problems:
        return PartResult(len(part.clips), problems)
    waveforms = Waveforms(recipe.front_end.sample_rate, recipe.kept.heard_seconds())
    try:
        for name, attributes in recipe.attributes.items():
            target = part.folder / f"{name}.h5"
            if not _is_there(target, part.clips, attributes):
                stored = _stored(parse(name), part.clips, recipe, waveforms)
                write_shard(target, attributes, recipe.shape, stored)
    except InputError as error:
        problems = error.problems
    return PartResult(len(part.clips), problems)


def join(
    sources: Sequence[Path],
    clips: Sequence[Clip],
    attributes: Attributes,
    shape: tuple[int, int],
    target: Path,
) -> None:
    """Write one condition's shard of `clips`, each of which lies in one of the shards `sources`.

    In several of them it is the same. Raises InputError for a damaged one.
    """
    indexes = {path: read_index(path) for path in sources}
    places = {
        content: (path, slice(rows.start, rows.stop))
        for path, index in indexes.items()
        for content, rows in zip(index.content(), index.rows(), strict=True)
    }
    with OpenShards() as shards:
        write_shard(target, attributes, shape, (_found(clip, places, shards) for clip in clips))


def content(clips: Sequence[Clip]) -> tuple[tuple[str, str], ...]:
    """Return id and audio of each clip, as an index of shards has them."""
    return tuple((clip.clip_id, clip.sha256) for clip in clips)


def check_windows(path: Path) -> None:
    """Read all windows of a shard. Raises InputError if a checksum does not fit."""
    n_windows = sum(read_index(path).n_windows)
    with OpenShards() as shards:
        for start in range(0, n_windows, READ_WINDOWS):
            shards.read(path, slice(start, start + READ_WINDOWS))


class Waveforms:
    """The waveforms of a part's clips, each decoded when it is first asked for."""

    def __init__(self, sample_rate: int, heard: float | None) -> None:
        """Decode nothing yet; `heard` seconds, None for all, are known to be good."""
        self._sample_rate = sample_rate
        self._heard = heard
        self._decoded: dict[tuple[Path, float | None], Waveform] = {}

    def get(self, path: Path, seconds: float | None) -> Waveform:
        """Return the file's first `seconds`, None for all. Raises InputError, which names it."""
        key = (path, seconds)
        if key not in self._decoded:
            self._decoded[key] = _load(path, self._sample_rate, seconds, self._heard)
        return self._decoded[key]


def _stored(
    condition: Condition, clips: Sequence[Clip], recipe: Recipe, waveforms: Waveforms
) -> Iterator[StoredClip]:
    for clip in clips:
        yield StoredClip(clip.clip_id, clip.sha256, _compute(condition, clip, recipe, waveforms))


def _compute(condition: Condition, clip: Clip, recipe: Recipe, waveforms: Waveforms) -> Half:
    rate, heard = recipe.front_end.sample_rate, recipe.kept.heard_seconds()
    needed = None if heard is None else source_seconds(condition, heard)
    waveform = waveforms.get(clip.path, needed)
    others: list[Waveform] = []
    if condition.kind.needs_others:
        others = [_voice(voice, rate, heard) for voice in voices_for(clip, recipe.voices)]
    note(str(clip.path))
    rng = generator(recipe.seed, condition.name, clip.clip_id)
    changed = apply_condition(condition, waveform, rate, rng, others)
    return log_mels(changed, recipe.front_end, rate, recipe.kept)


def _found(
    clip: Clip, places: Mapping[tuple[str, str], tuple[Path, slice]], shards: OpenShards
) -> StoredClip:
    path, rows = places[clip.clip_id, clip.sha256]
    return StoredClip(clip.clip_id, clip.sha256, shards.read(path, rows))


def _problem(clip: Clip) -> str | None:
    try:
        check_bytes(clip.path, clip.sha256)
    except AudioError as error:
        return f"{clip.path}: {error}"
    return None


def _is_there(target: Path, clips: Sequence[Clip], attributes: Attributes) -> bool:
    """Tell whether a run that was killed left this shard."""
    found = read_indexes([target], attributes)
    return target in found and found[target].content() == content(clips)


@functools.lru_cache(MOST_VOICES)
def _voice(clip: Clip, sample_rate: int, heard: float | None) -> Waveform:
    if problem := _problem(clip):
        raise InputError(problem)
    return _load(clip.path, sample_rate, VOICE_SECONDS, heard)


def _load(path: Path, sample_rate: int, seconds: float | None, heard: float | None) -> Waveform:
    note(str(path))
    try:
        return load(path, sample_rate, seconds)
    except AudioError as error:
        # Damage beyond what extraction heard is no reason to lose the clip: it ends there.
        if heard is not None and seconds is not None and seconds > heard:
            return _load(path, sample_rate, heard, heard)
        raise InputError(f"{path}: {error}") from None


def _hash(seed: int, clip_id: str) -> str:
    return hashlib.sha256(f"{seed}:{clip_id}".encode()).hexdigest()

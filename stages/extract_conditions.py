"""Turn the test clips into log-mel spectrograms under noise, rooms, codecs and other conditions.

Reads the clips' table, the audio, the split, and the shards of the clean clips for their settings;
writes one folder with one shard a condition:

    python -m stages.extract_conditions data/demo data/clips.csv data/splits.csv \\
        data/spectrograms data/conditions

No model is read: another training computes nothing here. What was computed before for the same clip
and condition is taken from DVC's cache.
"""

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path

from pydantic import Field
from tqdm import tqdm

from timbre import command
from timbre.cached_output import publish
from timbre.condition_names import Condition, parse_all
from timbre.condition_shards import (
    Clip,
    Part,
    Recipe,
    choose_clips,
    choose_voices,
    content,
    deal_parts,
    fill_part,
    join,
    without_file,
)
from timbre.earlier_conditions import earlier_shards, missing_clips
from timbre.features import Features, read_features
from timbre.handover import deliver
from timbre.params import Section, read_section
from timbre.problems import InputError, unusable
from timbre.shards import Attributes, ShardIndex, read_index, shard_name, shard_paths
from timbre.sources import read_columns
from timbre.workers import map_unordered, n_cores

STAGING = Path(".timbre/extract_conditions")
OUTPUT = Path("data/conditions")
WORKER_MODULES = ("timbre.condition_shards", "scipy.fft")  # imported once, before they fork
VALUE_MODULES = tuple(
    f"timbre.{name}"
    for name in (
        *("codecs", "condition_names", "condition_shards", "conditions", "filters"),
        *("levels", "noise", "rooms", "tempo"),
    )
)
CLIP_COLUMNS = ("clip_id", "path", "sha256", "label", "n_samples", "sample_rate")
KEY = "params.yaml: robustness.conditions"
FEW_CLIPS = 2  # computed by one worker before others have started


class Robustness(Section):
    """The section `robustness` of params.yaml."""

    conditions: list[str]  # names; none of them: nothing is measured
    max_clips: int = Field(ge=0)  # of the test split, chosen by a hash of their id; 0: all
    seed: int = Field(ge=0)  # of noise, rooms and all other chance


def main(root: Path, clips: Path, splits: Path, spectrograms: Path, conditions: Path) -> None:
    """Fill `conditions` with one shard a condition of the test clips below `root`."""
    params = read_section("robustness", Robustness)
    wanted = known(params.conditions)
    first = shard_paths(spectrograms)[0]
    index = read_index(first)
    features = features_of(first, index)
    test = choose_clips(list_test_clips(root, clips, splits), params.max_clips, params.seed)
    check_voices(wanted, test)
    voices = choose_voices(test, params.seed)
    attributes = {
        condition.name: describe(condition, index.attributes, params.seed, test, voices)
        for condition in wanted
    }
    recipe = Recipe(
        attributes=attributes,
        seed=params.seed,
        voices=voices,
        front_end=features.front_end,
        kept=features,
        shape=index.shape,
    )
    earlier = earlier_shards(
        OUTPUT,
        STAGING / "previous",
        attributes,
        test,
        lambda earlier: list_test_clips(root, earlier(clips), earlier(splits)),
    )
    missing = {name: missing_clips(test, earlier.get(name)) for name in attributes}
    parts = compute_all(recipe, missing)
    shards = {
        name: finish(name, test, recipe, earlier.get(name), parts[name]) for name in attributes
    }
    publish({f"{name}/{shard_name(0)}": path for name, path in shards.items()}, conditions)
    deliver(STAGING)
    n_computed = sum(map(len, missing.values()))
    print(
        f"extract_conditions: {len(test)} test clips under {len(attributes)} conditions: "
        f"{n_computed} computed, {len(test) * len(attributes) - n_computed} reused"
    )


def known(names: list[str]) -> list[Condition]:
    """Return the conditions of these names. Raises InputError with one line a problem."""
    try:
        return parse_all(names)
    except InputError as error:
        raise InputError([f"{KEY}: {problem}" for problem in error.problems]) from None


def list_test_clips(root: Path, clips: Path, splits: Path) -> list[Clip]:
    """Return the clips of the test split, in the order of clip_id."""
    chosen = {row[0] for row in read_columns(splits, ("clip_id", "split")) if row[1] == "test"}
    rows = {row[0]: row for row in read_columns(clips, CLIP_COLUMNS) if row[0] in chosen}
    if missing := sorted(chosen - rows.keys()):
        raise InputError(f"{splits}: {missing[0]} is not in {clips}: run `dvc repro`")
    try:
        return [_clip(root, *row) for _, row in sorted(rows.items())]
    except (ValueError, ArithmeticError) as error:
        raise InputError(unusable(clips, error)) from None


def _clip(
    root: Path, clip_id: str, file: str, sha256: str, label: str, n_samples: str, sample_rate: str
) -> Clip:
    return Clip(clip_id, root / file, sha256, label, int(n_samples) / int(sample_rate))


def check_voices(wanted: list[Condition], test: list[Clip]) -> None:
    """Raise InputError if babble is asked for and there is nobody to babble."""
    babble = [condition.name for condition in wanted if condition.kind.needs_others]
    if babble and len({clip.sha256 for clip in test}) < 2:
        raise InputError(
            f"{KEY}: '{babble[0]}' is made of other test clips, and there are none: remove it, or "
            "enlarge the test split"
        )


def describe(
    condition: Condition, features: Attributes, seed: int, test: list[Clip], voices: list[Clip]
) -> Attributes:
    """Return all that decides the values in a condition's shard, beside its clips."""
    code = hashlib.sha256()
    for module in VALUE_MODULES:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        code.update(Path(spec.origin).read_bytes())
    own: Attributes = {
        "condition": condition.name,
        "condition_seed": seed,
        "condition_code": code.hexdigest(),
        "scipy": metadata.version("scipy"),  # asked so, it is not imported
    }
    if condition.kind.needs_others:
        labels = [(clip.clip_id, clip.label) for clip in test]
        who = json.dumps([[(voice.clip_id, voice.sha256) for voice in voices], labels])
        own["voices"] = hashlib.sha256(who.encode()).hexdigest()
    return features | own


def features_of(shard: Path, index: ShardIndex) -> Features:
    """Return how the clean clips became shards. Raises InputError if `shard` does not say it."""
    try:
        features = read_features(index.attributes)
    except InputError as error:
        told = "; ".join(error.problems)
        raise InputError(f"{shard}: {told}: delete it and run `dvc repro`") from None
    if features.shape() != index.shape:
        raise InputError(
            f"{shard}: its windows are {index.shape}, and its features make {features.shape()}: "
            "delete it and run `dvc repro`"
        )
    return features


def compute_all(recipe: Recipe, missing: Mapping[str, tuple[Clip, ...]]) -> dict[str, list[Path]]:
    """Compute what is missing, by condition, and return the shards that hold it.

    Conditions that lack the same clips share their decoding. Raises InputError with every clip that
    cannot be used.
    """
    done: dict[str, list[Path]] = {}
    # The longest list first: a clip that cannot be used is in it, if it is in any.
    for clips in sorted(set(missing.values()), key=len, reverse=True):
        names = [name for name, own in missing.items() if own == clips]
        own = replace(recipe, attributes={name: recipe.attributes[name] for name in names})
        parts = deal_parts(clips, STAGING / "parts" / names[0])
        compute(own, parts, len(clips))
        done |= {name: [part.folder / f"{name}.h5" for part in parts] for name in names}
    return done


def compute(recipe: Recipe, parts: list[Part], n_clips: int) -> None:
    """Fill the parts on all cores. Raises InputError with every clip that cannot be used."""
    n_processes = n_cores() if n_clips > FEW_CLIPS else 1
    problems: set[str] = set()
    with tqdm(total=n_clips, unit="clip", desc="conditions", disable=None) as bar:
        fill = partial(fill_part, recipe=recipe)
        for result in map_unordered(fill, parts, n_processes, WORKER_MODULES, without_file):
            problems |= set(result.problems)
            bar.update(result.n_clips)
    if problems:
        raise InputError([*sorted(problems), f"{len(problems)} test clips cannot be used"])


def finish(
    name: str, test: list[Clip], recipe: Recipe, earlier: Path | None, computed: list[Path]
) -> Path:
    """Return a condition's shard of all test clips: the earlier one, or a new one in staging."""
    if earlier and read_index(earlier).content() == content(test):
        return earlier
    target = STAGING / "joined" / f"{name}.h5"
    sources = [earlier, *computed] if earlier else computed
    join(sources, test, recipe.attributes[name], recipe.shape, target)
    return target


if __name__ == "__main__":
    command.run(main)

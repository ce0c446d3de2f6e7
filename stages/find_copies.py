"""Find clips that hold the same recording: re-encoded, louder, cleaned, cut or shifted.

Reads data/spectrograms and data/clips.csv; writes data/copies.csv and metrics/copies.json:
python -m stages.find_copies data/spectrograms data/clips.csv data/copies.csv metrics/copies.json
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from timbre import command
from timbre.atomic import write_json
from timbre.clips import read_clips
from timbre.copies import Copy, Index, clip_pairs
from timbre.copy_table import COPY_COLUMNS, write_copies
from timbre.problems import InputError
from timbre.shards import OpenShards, read_index, shard_paths
from timbre.subfingerprints import Fingerprints, Listening, listening

BATCH = 64  # windows
MOST_NAMED = 5


def main(spectrograms: Path, clips: Path, copies: Path, metrics: Path) -> None:
    """Write the pairs of copies to `copies` and their numbers to `metrics`."""
    table = read_clips(clips)
    paths = shard_paths(spectrograms)
    clip_ids = [clip_id for path in paths for clip_id in windows_of(path)]
    index = read_index(paths[0])
    try:
        method = listening(index.attributes, *index.shape)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise InputError(f"{paths[0]}: unusable features ({error}): run `dvc repro`") from None
    pairs = pd.DataFrame({name: [] for name in COPY_COLUMNS})
    heard: set[str] = set()
    if method:
        found = Index(fingerprints(paths, method))
        heard = {name for name, ok in zip(clip_ids, found.is_heard(), strict=True) if ok}
        pairs = clip_pairs(search(found, paths, method), clip_ids, method.frame_seconds)
    write_copies(pairs, copies)
    labels = table.set_index("clip_id")["label"]
    mislabelled = pairs[pairs["one"].map(labels) != pairs["other"].map(labels)]
    counts = {
        "clips": len(table),
        "compared": len(heard),
        "copies": len({*pairs["one"], *pairs["other"]}),
        "pairs": len(pairs),
        "pairs_with_two_labels": len(mislabelled),
    }
    write_json(counts, metrics)
    if len(mislabelled):
        print(label_warning(mislabelled, labels), file=sys.stderr)
    print(
        f"find_copies: {len(table)} clips, {len(heard)} long and loud enough to compare: "
        f"{counts['copies']} hold what another one holds, in {len(pairs)} pairs"
    )


def windows_of(path: Path) -> list[str]:
    """Return the clip of each window of a shard."""
    index = read_index(path)
    rows = zip(index.clip_ids, index.n_windows, strict=True)
    return [clip_id for clip_id, n_windows in rows for _ in range(n_windows)]


def fingerprints(paths: list[Path], method: Listening) -> Iterator[Fingerprints]:
    """Make the fingerprints of all windows, a batch at a time."""
    with OpenShards() as opened:
        for path in paths:
            n_windows = sum(read_index(path).n_windows)
            for start in range(0, n_windows, BATCH):
                log_mel = opened.read(path, slice(start, min(start + BATCH, n_windows)))
                yield method.fingerprints(log_mel)


def search(index: Index, paths: list[Path], method: Listening) -> Iterator[Copy]:
    """Ask the index about each window."""
    first = 0
    with tqdm(total=len(index.words), unit="window", disable=None) as bar:
        for part in fingerprints(paths, method):
            yield from index.copies(part, first)
            first += len(part.words)
            bar.update(len(part.words))


def label_warning(pairs: pd.DataFrame, labels: "pd.Series[str]") -> str:
    """Name clips that are copies of each other and have different labels."""
    lines = [
        f"  {one} ({labels[one]}) and {other} ({labels[other]})"
        for one, other in zip(pairs["one"], pairs["other"], strict=True)
    ][:MOST_NAMED]
    more = f"\n  and {len(pairs) - MOST_NAMED} more" if len(pairs) > MOST_NAMED else ""
    return (
        f"warning: {len(pairs)} pairs hold the same recording under two labels; one is wrong, or "
        "both sound in it: see data/copies.csv\n" + "\n".join(lines) + more
    )


if __name__ == "__main__":
    command.run(main)

"""List the clips: check the table and every audio file, number the classes, merge the groups."""

import os
import sys
from pathlib import Path

import pandas as pd
from pydantic import StrictBool

from timbre import command
from timbre.atomic import write_json
from timbre.audio_header import AudioHeader, HeaderError, UnreadableError
from timbre.clips import write_clips
from timbre.corpus import (
    disagreements,
    hash_files,
    rare_classes,
    resolve_paths,
    whole_groups,
)
from timbre.headers import WORKER_MODULES, read_headers
from timbre.params import read_section
from timbre.problems import InputError, capped
from timbre.quarantine import (
    WAY_OUT,
    BadAudio,
    Unusable,
    lost_classes,
    too_many,
    write_unusable,
)
from timbre.table import find_table, read_table
from timbre.workers import get_ready


class DataSection(BadAudio):
    """Where the corpus is, and what becomes of clips that cannot be used."""

    root: str  # folder with filespaths.csv; dvc.yaml hands it over on the command line
    table: str  # name of the table in root; "" for filespaths.csv or files_paths.csv
    audio: str  # folder in root that FilePath is relative to; "" for root itself
    allow_outside: StrictBool  # whether files outside the corpus may be listed


def main(root: Path, clips: Path, labels: Path, bad_headers: Path) -> None:
    """Read the table in `root`; write the table of `clips`, and the classes as JSON to `labels`.

    Clips that are left out because of their headers are listed in `bad_headers`.
    """
    section = read_section("data", DataSection)
    get_ready(WORKER_MODULES)
    table = read_table(find_table(root, section.table))
    found = resolve_paths(table.rows, root, section.audio, section.allow_outside)
    _warn(table.warnings + found.warnings)
    rows, unusable = _read_audio(found.rows, root, section)
    counts = rows["label"].value_counts()
    n_clips = {str(label): int(counts[label]) for label in sorted(counts.index)}
    listed = _list_clips(rows, list(n_clips))
    n_duplicates = len(listed) - listed["sha256"].nunique()
    _warn(capped(rare_classes(n_clips)) + _duplicates(listed, n_duplicates))
    write_clips(listed, clips)
    write_unusable(unusable, bad_headers)
    summary = {"classes": list(n_clips), "n_clips": n_clips, "n_duplicates": n_duplicates}
    write_json(summary, labels)
    n_groups = listed["group"].nunique()
    print(
        f"encode_labels: {len(listed)} clips, {len(n_clips)} classes, "
        f"{n_groups} groups, {n_duplicates} duplicates"
        + (f"; {len(unusable)} left out, see {bad_headers}" if unusable else "")
    )


def _read_audio(
    rows: pd.DataFrame, root: Path, section: BadAudio
) -> tuple[pd.DataFrame, list[Unusable]]:
    """Add sha256 and the header's fields, and tell the clips that are left out.

    Raises InputError naming all bad files, if they may not be left out.
    """
    paths = [os.path.join(root, path) for path in rows["path"]]  # noqa: PTH118 (see places.py)
    headers = read_headers(paths)
    is_bad = pd.Series([isinstance(header, HeaderError) for header in headers], index=rows.index)
    errors = [header for header in headers if isinstance(header, HeaderError)]
    good = [header for header in headers if isinstance(header, AudioHeader)]
    sha256 = hash_files([path for path, bad in zip(paths, is_bad, strict=True) if not bad])
    read = rows[~is_bad].assign(
        sha256=sha256,
        sample_rate=[header.sample_rate for header in good],
        n_channels=[header.n_channels for header in good],
        n_samples=[header.n_samples for header in good],
    )
    problems = _bad_headers(rows[is_bad], errors, len(rows), section)
    if section.bad_audio == "quarantine":
        problems += lost_classes(rows["label"], read["label"])
    problems += disagreements(read, "sha256")
    if problems:
        raise InputError(problems)
    named = zip(rows[is_bad]["clip_id"], rows[is_bad]["path"], errors, strict=True)
    return read, [Unusable(clip_id, path, str(error)) for clip_id, path, error in named]


def _bad_headers(
    bad: pd.DataFrame, errors: list[HeaderError], n_clips: int, section: BadAudio
) -> list[str]:
    """Return what cannot be gone on with; warn of the clips that are left out."""
    named = zip(bad["row"], bad["file_path"], errors, strict=True)
    lines = [(f"row {row}: {name!r} {error}", error) for row, name, error in named]
    if section.bad_audio == "fail":
        told = capped([line for line, _ in lines])
        return [*told, f"{len(bad)} of {n_clips} clips cannot be used: {WAY_OUT}"] if told else []
    _warn(capped([f"{line}: it is left out" for line, _ in lines]))
    unreadable = [line for line, error in lines if isinstance(error, UnreadableError)]
    return capped(unreadable) + too_many(len(bad), n_clips, section.max_quarantined)


def _list_clips(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    targets = {label: target for target, label in enumerate(classes)}
    return rows.assign(
        target=rows["label"].map(targets),
        table_group=rows["group"],
        group=whole_groups(rows),
    )


def _duplicates(listed: pd.DataFrame, n_duplicates: int) -> list[str]:
    if not n_duplicates:
        return []
    repeat = listed[listed.duplicated("sha256")].iloc[0]
    return [
        f"{n_duplicates} clips have the same audio as another, such as {repeat['clip_id']!r}: "
        "such clips stay in one split"
    ]


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)

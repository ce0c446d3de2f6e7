"""The clips that a corpus lists, by its table or its folders, and all that is wrong with that."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from timbre.audio_tree import list_tree
from timbre.corpus import audio_folder, find_clips
from timbre.findings import Finding, Item, finding
from timbre.index import index_rows, path_problems
from timbre.places import nfc
from timbre.problems import InputError
from timbre.table import TABLE_NAMES, Examined, examine_table, examine_text, find_table

NO_ROWS = pd.DataFrame(columns=["clip_id", "path", "label", "group", "split", "row"])


@dataclass(frozen=True)
class Listing:
    """What a corpus lists."""

    root: Path
    table: Path | None  # None: the classes are folders
    rows: pd.DataFrame  # as `find_clips` gives them
    findings: list[Finding]


def list_corpus(place: Path, table: str, audio: str, allow_outside: bool) -> Listing:
    """List the corpus in the folder `place`, or that of the table `place`.

    `table` is the name of a table in it, `audio` the subfolder that paths start from, both "" for
    the usual. Without a table, classes are folders, as for `timbre index`. Raises InputError if
    there is no such place.
    """
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    root, name = (place, table) if place.is_dir() else (place.parent, place.name)
    path = root / (name or TABLE_NAMES[0])
    rows = NO_ROWS
    findings: list[Finding] = []
    try:
        by_table = bool(name) or any((root / usual).is_file() for usual in TABLE_NAMES)
        if by_table:
            path = find_table(root, name)
            examined = examine_table(path)
        else:
            examined, findings = _of_folders(audio_folder(root, audio), path)
        findings += finding("table", [line for kind in examined.problems for line in kind])
        findings += finding("labels", examined.warnings)
        if not examined.rows.empty:
            found = find_clips(examined.rows, root, audio, allow_outside)
            rows = found.rows
            findings += finding("files", [line for kind in found.problems for line in kind])
            findings += finding("labels", found.warnings)
        if by_table and not any(each.severity == "error" for each in findings):
            findings += _unlisted(audio_folder(root, audio), rows)
    except InputError as error:
        findings += finding("table", error.problems)
    return Listing(root, path if path.is_file() else None, rows, findings)


def _of_folders(folder: Path, path: Path) -> tuple[Examined, list[Finding]]:
    """Return the rows that `timbre index` would write for the files that it can take."""
    tree = list_tree(folder)
    bad = {name: found for name in tree.audio if (found := path_problems(name))}
    findings = finding("table", dict.fromkeys(line for told in bad.values() for line in told))
    findings += finding("skipped", [Item(name, "is passed over") for name in tree.skipped])
    fitting = [name for name in tree.audio if name not in bad]
    if not fitting:
        there = f"{TABLE_NAMES[0]} is missing, and no folder in it holds audio"
        findings += finding("table", [f"{folder}: {there}"])
        return Examined(NO_ROWS, [], []), findings
    text = io.StringIO(newline="")
    csv.writer(text).writerows(index_rows(fitting))
    return examine_text(text, path), findings


def _unlisted(folder: Path, rows: pd.DataFrame) -> list[Finding]:
    listed = set(rows["clip_id"])
    others = [name for name in list_tree(folder).audio if nfc(name) not in listed]
    return finding("unlisted", [Item(name, "has no row") for name in others])

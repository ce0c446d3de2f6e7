"""The audit of a corpus before anything is trained on it."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from timbre.clip_checks import clip_findings
from timbre.copy_checks import NO_COPIES, copy_findings, find_copies
from timbre.copy_table import merged_groups
from timbre.corpus import contradictions, whole_groups
from timbre.corpus_checks import (
    class_findings,
    group_findings,
    length_findings,
    recording_findings,
    split_findings,
)
from timbre.findings import Finding, Item, finding, ordered
from timbre.fingerprint_spool import Spool
from timbre.giveaway import Giveaway, measure_giveaway
from timbre.listing import Listing, list_corpus
from timbre.problems import InputError
from timbre.quarantine import lost_classes
from timbre.sound_facts import SoundFacts
from timbre.survey import Heard, Unheard, ear, survey


@dataclass(frozen=True)
class Audit:
    """What is known of a corpus."""

    listing: Listing
    clips: pd.DataFrame  # with usable audio: the listing's columns, group merged, SoundFacts
    findings: list[Finding]  # one of a kind, the worst first
    giveaway: Giveaway | None  # None where there is too little to measure it
    n_compared: int  # clips that were long and loud enough to look for copies of them

    def is_sound(self) -> bool:
        """Tell whether nothing was found that ends the pipeline or spoils the score."""
        return not any(found.severity == "error" for found in self.findings)


def audit(place: Path, table: str, audio: str, allow_outside: bool, n_processes: int) -> Audit:
    """Examine the corpus in the folder or of the table `place`; see `list_corpus`."""
    listing = list_corpus(place, table, audio, allow_outside)
    with Spool() as spool:
        clips, findings = _listen(listing, spool, n_processes)
        findings += listing.findings
        if clips.empty:
            return Audit(listing, clips, ordered(findings), None, 0)
        copies, n_compared, told = _copies(clips, spool)
    grouped = clips.assign(group=merged_groups(clips, copies).tolist())
    giveaway = measure_giveaway(grouped)
    findings += [
        *told,
        *clip_findings(clips),
        *copy_findings(clips, copies),
        *class_findings(clips),
        *group_findings(grouped),
        *split_findings(clips),
        *length_findings(clips),
        *recording_findings(clips, giveaway),
    ]
    return Audit(listing, grouped, ordered(findings), giveaway, n_compared)


def _listen(listing: Listing, spool: Spool, n_processes: int) -> tuple[pd.DataFrame, list[Finding]]:
    """Return the rows with usable audio and what is known of it, and what is wrong with others."""
    rows = listing.rows.reset_index(drop=True)
    heard: dict[int, Heard] = {}
    unheard: dict[int, Unheard] = {}
    paths = [str(listing.root / path) for path in rows["path"]]
    for place, found in survey(paths, n_processes):
        if isinstance(found, Unheard):
            unheard[place] = found
            continue
        if found.fingerprints is not None:
            spool.add(place, found.fingerprints)
        heard[place] = found._replace(fingerprints=None)
    kept = rows.loc[sorted(heard)]
    facts = pd.DataFrame(
        [heard[place].facts for place in kept.index], index=kept.index, columns=SoundFacts._fields
    )
    clips = kept.join(facts).assign(
        sha256=[heard[place].sha256 for place in kept.index],
        missing=[heard[place].missing for place in kept.index],
    )
    bad = [Item(rows["clip_id"][place], found.reason) for place, found in sorted(unheard.items())]
    findings = finding("audio", bad)
    findings += finding("lost_class", lost_classes(rows["label"], clips["label"]))
    told = [line for kind in contradictions(clips, "sha256") for line in kind]
    findings += finding("contradiction", told)
    groups = whole_groups(clips)
    return clips.assign(table_group=clips["group"], group=groups), findings


def _copies(clips: pd.DataFrame, spool: Spool) -> tuple[pd.DataFrame, int, list[Finding]]:
    """Return the pairs of copies, how many clips were compared, and why none were."""
    try:
        copies = find_copies(spool, clips["clip_id"], ear().frame_seconds)
    except InputError as error:
        return NO_COPIES, 0, finding("uncompared", error.problems)
    return copies, len(set(spool.clips())), []

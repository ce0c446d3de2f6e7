"""An audit as lines for a terminal and as JSON."""

from dataclasses import asdict
from typing import Any

from timbre.audit import Audit
from timbre.class_facts import class_facts, formats, rounded
from timbre.corpus_checks import grouped_split
from timbre.finding_kinds import KINDS, SEVERITIES
from timbre.findings import Finding
from timbre.window_sizes import fitting_seconds

MOST_ITEMS = 5  # of a kind, in a terminal
MOST_FORMATS = 3


def text(audit: Audit) -> str:
    """Return the corpus in a few lines, then the findings, the worst first, then their numbers."""
    lines = [*_corpus(audit), ""]
    for found in audit.findings:
        lines += [*_finding(found), ""]
    return "\n".join([*lines, verdict(audit)])


def verdict(audit: Audit) -> str:
    """Say how many kinds of findings there are."""
    if not audit.findings:
        return "nothing to mend"
    numbers = [
        sum(found.severity == severity for found in audit.findings) for severity in SEVERITIES
    ]
    told = [_count(n, name) for n, name in zip(numbers, SEVERITIES, strict=True) if n]
    return ", ".join(told)


def document(audit: Audit) -> dict[str, Any]:
    """Return all that is known as what JSON can hold; every file that has a finding is named."""
    giveaway = asdict(audit.giveaway) if audit.giveaway else None
    return {
        "corpus": str(audit.listing.root),
        "table": audit.listing.table.name if audit.listing.table else None,
        "clips": len(audit.clips),
        "sound": audit.is_sound(),
        "findings": [_document_of(found) for found in audit.findings],
        "classes": [rounded(each) for each in class_facts(audit.clips, audit.giveaway)],
        "told_by_the_recording": giveaway,
        "compared_for_copies": audit.n_compared,
    }


def heading(found: Finding) -> str:
    """Return the kind, and how many there are where each is a file."""
    title, n = KINDS[found.kind].title, len(found.items)
    return f"{title}: {n}" if n > 1 or found.items[0].file else title


def corpus_line(audit: Audit) -> str:
    """Say how large the corpus is."""
    clips = audit.clips
    if clips.empty:
        return "no clip with usable audio"
    named = (clips["table_group"] != "").any()
    groups = f"{_count(clips['group'].nunique(), 'group')}, " if named else ""
    minutes = clips["seconds"].sum() / 60
    classes = _count(clips["label"].nunique(), "class", "es")
    return f"{_count(len(clips), 'clip')}, {classes}, {groups}{minutes:.1f} minutes"


def corpus_facts(audit: Audit) -> dict[str, str]:
    """Return lengths, formats, split, copies and what the recording tells, a line for each name."""
    clips = audit.clips
    if clips.empty:
        return {}
    seconds, sizes = clips["seconds"], clips["label"].value_counts()
    window = fitting_seconds(seconds.to_numpy())
    longer = (seconds > window).mean()
    ways = formats(clips)
    stored = ", ".join(f"{name} ({n})" for name, n in ways.iloc[:MOST_FORMATS].items())
    more = f" and {len(ways) - MOST_FORMATS} more" if len(ways) > MOST_FORMATS else ""
    sounding = clips["bandwidth"].median() / 1000
    facts = {
        "length": f"{seconds.min():.3g} to {seconds.max():.3g} s, median {seconds.median():.3g} s; "
        f"{longer:.0%} of the clips are longer than a window of {window:g} s",
        "stored as": f"{stored}{more}; sound up to {sounding:.1f} kHz (median)",
        "class sizes": f"{sizes.min()} to {sizes.max()} clips",
        "split.method grouped": grouped_split(clips) or "is not possible",
        "copies": f"looked for among {audit.n_compared} clips that are long and loud enough",
    }
    if audit.giveaway:
        share, chance = audit.giveaway.shares["recording"], audit.giveaway.chance
        told = f"format and levels alone tell {share:.0%} of the clips ({chance:.0%} by chance)"
        over = "" if audit.giveaway.over_groups else "; over clips, as groups are too few"
        facts["the recording"] = f"{told}{over}"
    return facts


def shown(name: str) -> str:
    """Return a name as it is, or quoted where it would do something to the terminal."""
    return name if name.isprintable() else repr(name)


def _corpus(audit: Audit) -> list[str]:
    source = audit.listing.table or audit.listing.root
    by = "" if audit.listing.table else " (no table: classes are the folders)"
    facts = [f"  {name}: {told}" for name, told in corpus_facts(audit).items()]
    return [f"{shown(str(source))}{by}: {corpus_line(audit)}", *facts]


def _finding(found: Finding) -> list[str]:
    kind = KINDS[found.kind]
    items = [
        f"  {shown(item.file)}: {shown(item.told)}" if item.file else f"  {shown(item.told)}"
        for item in found.items[:MOST_ITEMS]
    ]
    more = len(found.items) - MOST_ITEMS
    return [
        f"{kind.severity}: {heading(found)}",
        *items,
        *([f"  ... and {more} more (see --html or --json)"] if more > 0 else []),
        f"  why: {kind.why}",
        f"  do: {kind.way_out}",
    ]


def _document_of(found: Finding) -> dict[str, Any]:
    kind = KINDS[found.kind]
    items = [item._asdict() for item in found.items]
    return {"kind": found.kind, **kind._asdict(), "n": len(items), "items": items}


def _count(n: int, noun: str, ending: str = "s") -> str:
    return f"{n} {noun}{'' if n == 1 else ending}"

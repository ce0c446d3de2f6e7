"""An audit as a page: one file, without a server, for light and dark."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from timbre.atomic import replacing
from timbre.audit import Audit
from timbre.audit_text import corpus_facts, corpus_line, heading, verdict
from timbre.class_facts import ClassFacts, class_facts
from timbre.finding_kinds import KINDS, SEVERITIES
from timbre.findings import Finding, Item, valid
from timbre.giveaway import Giveaway
from timbre.page import render
from timbre.problems import InputError
from timbre.window_sizes import fitting_seconds

MOST_ITEMS = 5  # of a kind, in its box
MOST_ROWS = 2000  # of a kind, in the table: a browser sorts ten thousand rows at once
N_BARS = 40
QUOTED = re.compile(r"""(['"])((?:(?!\1)[^\\]|\\.)*)\1""")  # as repr writes a name
SOFTEST = -60.0  # dBFS, the left end of a picture of levels


def write_page(audit: Audit, path: Path) -> None:
    """Write the page to `path`. Raises InputError if it cannot be written there."""
    text = page(audit)
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def page(audit: Audit) -> str:
    """Return the page."""
    classes = class_facts(audit.clips, audit.giveaway) if not audit.clips.empty else []
    name = valid(str(audit.listing.table or audit.listing.root))
    return render(
        "check.html",
        "check.css",
        "check.js",
        corpus=name,
        place=isolated(name),
        size=corpus_line(audit),
        verdict=verdict(audit),
        worst=audit.findings[0].severity if audit.findings else "good",
        facts=corpus_facts(audit),
        kinds=[_box(found) for found in audit.findings],
        rows=[row for found in audit.findings for row in _rows(found)],
        left_out=[line for found in audit.findings for line in _left_out(found)],
        told=_told(audit.giveaway) if audit.giveaway else None,
        classes=[_class_row(each, classes) for each in classes],
        lengths=_lengths(audit.clips["seconds"]) if classes else None,
    )


def _box(found: Finding) -> dict[str, Any]:
    return {
        **KINDS[found.kind]._asdict(),
        "heading": heading(found),
        "first": [_shown(item) for item in found.items[:MOST_ITEMS]],
        "more": max(0, len(found.items) - MOST_ITEMS),
    }


def _rows(found: Finding) -> list[dict[str, Any]]:
    kind = KINDS[found.kind]
    rank = SEVERITIES.index(kind.severity)
    return [
        {"severity": kind.severity, "rank": rank, "kind": kind.title, **_shown(item)}
        for item in found.items[:MOST_ROWS]
    ]


def isolated(name: str) -> Markup:
    """Return a path each part of which has a direction of its own, escaped.

    Else a number beside an Arabic name would change its place.
    """
    return Markup("/").join(Markup("<bdi>{}</bdi>").format(part) for part in name.split("/"))


def with_names(text: str) -> Markup:
    """Return a message, escaped; what stands in quotation marks in it is a name."""
    parts = QUOTED.split(text)  # every third one, from the third on, is quoted by the one before it
    told = [Markup("{}").format(parts[0])]
    for mark, name, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        told.append(Markup("{0}{1}{0}{2}").format(mark, isolated(name), after))
    return Markup("").join(told)


def _shown(item: Item) -> dict[str, Markup]:
    return {"file": isolated(item.file) if item.file else Markup(), "told": with_names(item.told)}


def _left_out(found: Finding) -> list[str]:
    more = len(found.items) - MOST_ROWS
    return [f"{more} more {KINDS[found.kind].title}: --json has all."] if more > 0 else []


def _told(giveaway: Giveaway) -> dict[str, Any]:
    """Return the bars of how well the class is guessed, those of single facts by their size."""
    together = ["recording", "format", "levels"]
    alone = sorted(set(giveaway.shares) - {*together}, key=lambda name: -giveaway.shares[name])
    names = {
        "recording": "format and levels",
        "format": "all of the format",
        "levels": "all levels",
    }
    bars = [
        {
            "name": names.get(name, f"{name} alone"),
            "share": f"{giveaway.shares[name]:.0%}",
            "width": round(100 * giveaway.shares[name], 1),
        }
        for name in together + alone
    ]
    over = "groups that it had not seen" if giveaway.over_groups else "groups that it had seen"
    return {"bars": bars, "chance": round(100 * giveaway.chance, 1), "over": over}


def _class_row(facts: ClassFacts, everyone: list[ClassFacts]) -> dict[str, Any]:
    low, middle, high = (
        round(100 * min(1.0, max(0.0, 1 - level / SOFTEST)), 1)
        for level in (facts.level_low, facts.level, facts.level_high)
    )
    largest = max(each.clips for each in everyone)
    return {
        **vars(facts),
        "width": round(100 * facts.clips / largest, 1),
        "low": low,
        "range": round(max(1.0, high - low), 1),
        "middle": middle,
    }


def _lengths(seconds: "pd.Series[float]") -> dict[str, Any]:
    """Return the bars of a histogram of lengths, and where a window ends in it."""
    last = float(seconds.max())
    counts, edges = np.histogram(seconds, bins=N_BARS, range=(0.0, last))
    bars = [
        {
            "height": round(100 * n / counts.max(), 1),
            "told": f"{low:.2f} to {high:.2f} s: {n} clips",
        }
        for n, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
    window = fitting_seconds(seconds.to_numpy())
    mark = round(window / last * N_BARS, 2) if last > window else None
    reach = "the line is where the first window ends" if mark is not None else "none is longer"
    told = f"The highest bar is {counts.max()} clips; a window has {window:g} s: {reach}."
    return {"bars": bars, "last": f"{last:.3g} s", "mark": mark, "told": told}

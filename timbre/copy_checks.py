"""What can be wrong with a corpus in which a recording is there twice."""

import pandas as pd
from tqdm import tqdm

from timbre.copies import Copy, Index, clip_pairs
from timbre.copy_table import COPY_COLUMNS
from timbre.findings import Finding, Item, finding
from timbre.fingerprint_spool import Spool

NO_COPIES = pd.DataFrame({name: [] for name in COPY_COLUMNS})


def find_copies(spool: Spool, clip_ids: "pd.Series[str]", frame_seconds: float) -> pd.DataFrame:
    """Return the pairs of copies among the clips of `spool`, columns as in COPY_COLUMNS.

    A clip's number in the spool is its label in `clip_ids`. Raises InputError if they are too many.
    """
    windows = clip_ids.loc[spool.clips()].to_list()
    if not windows:
        return NO_COPIES
    index = Index(spool.parts())
    found: list[Copy] = []
    first = 0
    with tqdm(total=len(windows), unit=" windows", desc="looking for copies", disable=None) as bar:
        for part in spool.parts():
            found += index.copies(part, first)
            first += len(part.words)
            bar.update(len(part.words))
    return clip_pairs(found, windows, frame_seconds)


def copy_findings(clips: pd.DataFrame, copies: pd.DataFrame) -> list[Finding]:
    """Tell of identical files, of other copies, and of labels and splits that differ in a pair.

    Pairs with most bits in common come first.
    """
    evidence = copies["overlap"] * (0.5 - copies["error_rate"])
    copies = copies.loc[evidence.sort_values(ascending=False, kind="stable").index]
    copies = copies.reset_index(drop=True)
    first = clips.drop_duplicates("sha256").set_index("sha256")["clip_id"]
    repeats = clips[clips.duplicated("sha256")]
    by_id = clips.set_index("clip_id")
    one, other = (by_id.loc[copies[side]].reset_index() for side in ("one", "other"))
    recoded = one["sha256"] != other["sha256"]
    two_labels = recoded & (one["label"] != other["label"])
    leaking = recoded & (one["split"] != other["split"])
    return [
        *finding(
            "identical",
            [
                Item(clip_id, f"the same bytes as {first[sha256]!r}")
                for clip_id, sha256 in zip(repeats["clip_id"], repeats["sha256"], strict=True)
            ],
        ),
        *finding("copies", _pairs(copies[recoded & ~two_labels & ~leaking])),
        *finding("two_labels", _pairs(copies[two_labels], one["label"], other["label"])),
        *finding("leak_copies", _pairs(copies[leaking], one["split"], other["split"])),
    ]


def _pairs(
    copies: pd.DataFrame,
    mine: "pd.Series[str] | None" = None,
    yours: "pd.Series[str] | None" = None,
) -> list[Item]:
    items = []
    for place, pair in zip(copies.index.to_list(), copies.itertuples(), strict=True):
        both = "" if mine is None or yours is None else f" ({mine[place]!r} and {yours[place]!r})"
        same = f"{pair.overlap:.1f} s in common, {pair.error_rate:.0%} of the bits differ"
        items.append(Item(str(pair.one), f"and {pair.other!r}{both}: {same}"))
    return items

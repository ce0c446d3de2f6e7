"""What is heard in a long recording, from when to when."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np

from timbre.answers import Integers

DIGITS = 3  # of seconds: a millisecond is finer than any window
Timelines = Mapping[str, Sequence["Segment"]]  # by the names of the recordings


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording with one label."""

    start: float  # s
    end: float  # s
    label: str  # "unknown" for what looks like none of the classes
    confidence: float  # calibrated probability of the likeliest class, mean over the stretch


def cells(starts: Sequence[int], window: int) -> tuple[Integers, Integers]:
    """Return pairs of cell and window `(n_pairs,)` each, so that the window hears the cell's start.

    A cell reaches from one window's start to the next one's. Ascending by cell; lengths in samples.
    """
    begin = np.asarray(starts)
    first = np.searchsorted(begin, begin - window, side="right")
    counts = np.arange(len(begin)) - first + 1
    cell = np.repeat(np.arange(len(begin)), counts)
    within = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    return cell, np.repeat(first, counts) + within


def merge(pieces: Sequence[Segment]) -> list[Segment]:
    """Join neighbours with the same label; their confidence is weighed by their length."""
    merged = []
    for label, group in groupby(pieces, key=lambda piece: piece.label):
        own = list(group)
        seconds = sum(piece.end - piece.start for piece in own)
        heard = sum(piece.confidence * (piece.end - piece.start) for piece in own)
        merged.append(Segment(own[0].start, own[-1].end, label, heard / seconds))
    return merged


def as_csv(timelines: Timelines) -> str:
    """Return a table with a row a segment."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "start", "end", "label", "confidence"])
    for name, segments in timelines.items():
        for s in segments:
            writer.writerow([name, *_times(s), s.label, f"{s.confidence:.4f}"])
    return text.getvalue()


def as_json(timelines: Timelines) -> str:
    """Return a list of recordings, each with its segments."""
    found = [
        {"file": name, "segments": [asdict(segment) for segment in segments]}
        for name, segments in timelines.items()
    ]
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def as_audacity(timelines: Timelines) -> str:
    """Return labels as Audacity imports them, for one recording.

    Format: manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    (segments,) = timelines.values()
    lines = ["\t".join([*_times(s), " ".join(s.label.split())]) for s in segments]
    return "".join(f"{line}\n" for line in lines)


def _times(segment: Segment) -> tuple[str, str]:
    return f"{segment.start:.{DIGITS}f}", f"{segment.end:.{DIGITS}f}"


FORMATS: dict[str, Callable[[Timelines], str]] = {
    "csv": as_csv,
    "json": as_json,
    "audacity": as_audacity,
}

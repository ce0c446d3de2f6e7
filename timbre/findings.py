"""What was found in a corpus."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from timbre.finding_kinds import KINDS, Severity


class Item(NamedTuple):
    """One thing that was found."""

    file: str  # the clip, "" for what is about the whole table or a class
    told: str


@dataclass(frozen=True)
class Finding:
    """All findings of one kind; at least one."""

    kind: str  # a key of KINDS
    items: list[Item]

    @property
    def severity(self) -> Severity:
        """Return how bad they are."""
        return KINDS[self.kind].severity


def finding(kind: str, items: Iterable[Item | str]) -> list[Finding]:
    """Return the finding as a list, empty without items. A str is an item about no single file."""
    told = [Item("", item) if isinstance(item, str) else item for item in items]
    assert kind in KINDS, kind
    return [Finding(kind, [Item(*map(valid, item)) for item in told])] if told else []


def valid(text: str) -> str:
    """Return `text` so that it can be written: names of files may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding for each kind that there is, the worst first."""
    items: dict[str, list[Item]] = {}
    for found in findings:
        items.setdefault(found.kind, []).extend(found.items)
    return [Finding(kind, items[kind]) for kind in KINDS if kind in items]

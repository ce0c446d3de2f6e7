"""The names of the conditions that a recording may come under.

A name holds its parameter, as in `white_noise_10db`: a kind of condition and its value.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from timbre.problems import InputError

NUMBER = r"[+-]?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Kind:
    """Conditions that differ in one value."""

    prefix: str
    unit: str  # follows the value in a name
    family: str  # kinds that belong together
    limits: tuple[float, float] | None  # of the value; None: it takes none, and its value is 0
    values: tuple[float, ...] = ()  # the only ones there are; none named: all within the limits
    signed: bool = False  # its sign is always written
    needs_others: bool = False  # it is made of other clips
    extreme: float | None = None  # from this value down few listeners would answer

    def name(self, value: float) -> str:
        """Return the one name that the condition with this value has."""
        if self.limits is None:
            return self.prefix
        return f"{self.prefix}{value:{'+' if self.signed else ''}g}{self.unit}"

    def problem(self, name: str, value: float) -> str | None:
        """Return why `name` is no name of the condition with this value, None if it is."""
        low, high = self.limits or (0, 0)
        if not low <= value <= high:
            return f"'{name}': {value:g} is not between {low:g} and {high:g}"
        if self.values and value not in self.values:
            return f"'{name}': {value:g} is not one of {', '.join(f'{v:g}' for v in self.values)}"
        if name != self.name(value):
            return f"'{name}': write it as '{self.name(value)}'"
        return None


@dataclass(frozen=True)
class Condition:
    """A kind and its value."""

    kind: Kind
    value: float

    @property
    def name(self) -> str:
        """Return its name."""
        return self.kind.name(self.value)

    @property
    def extreme(self) -> bool:
        """Tell whether it is so hard that the worst condition is told with and without it."""
        return self.kind.extreme is not None and self.value <= self.kind.extreme


MP3_KBPS = (16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # those of MPEG-2 layer III

KINDS = (
    Kind("clean", "", "clean", None),
    Kind("gain_", "db", "level", (-60, 60), signed=True),
    Kind("clipping_", "db", "level", (0, 60)),
    Kind("mp3_", "kbps", "codec", (16, 160), MP3_KBPS),
    Kind("vorbis_q", "", "codec", (0, 10)),
    Kind("opus_", "kbps", "codec", (6, 256)),
    Kind("telephone", "", "line", None),
    Kind("low_pass_", "khz", "line", (0.1, 100)),
    Kind("random_eq_", "db", "line", (0, 40)),
    Kind("reverb_", "ms", "room", (50, 5000)),
    Kind("white_noise_", "db", "noise", (-20, 80), extreme=0),
    Kind("babble_", "db", "noise", (-20, 80), needs_others=True, extreme=0),
    Kind("speed_", "%", "time", (-50, 100), signed=True),
    Kind("pitch_", "semitones", "time", (-12, 12), signed=True),
    Kind("shift_", "ms", "time", (0, 60_000)),
    Kind("short_", "s", "time", (0.1, 600), extreme=1),
)

FAMILIES = tuple(dict.fromkeys(kind.family for kind in KINDS))

# What a mistaken name may be near to: the usual ones.
EXAMPLES = (
    "clean",
    *("gain_-12db", "gain_+6db", "clipping_10db"),
    *("mp3_64kbps", "mp3_32kbps", "vorbis_q0", "opus_16kbps"),
    *("telephone", "low_pass_4khz", "low_pass_2khz", "random_eq_10db"),
    *("reverb_400ms", "reverb_800ms"),
    *("white_noise_20db", "white_noise_10db", "white_noise_5db", "white_noise_0db"),
    *("babble_20db", "babble_10db", "babble_5db", "babble_0db"),
    *("speed_-4%", "speed_+4%", "pitch_-0.5semitones", "pitch_+0.5semitones"),
    *("shift_500ms", "short_3s", "short_2s", "short_1s"),
)


def parse(name: str) -> Condition:
    """Return the condition of that name.

    Raises InputError: for an unknown name with the nearest that there is, for a value out of its
    limits with these.
    """
    for kind in KINDS:
        value = _value(name, kind)
        if value is None:
            continue
        if problem := kind.problem(name, value):
            raise InputError(problem)
        return Condition(kind, value)
    near = difflib.get_close_matches(name, EXAMPLES, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(EXAMPLES)}"
    raise InputError(f"'{name}': unknown condition: {hint}")


def parse_all(names: Iterable[str]) -> list[Condition]:
    """Return the conditions of these names. Raises InputError with all problems, repeats too."""
    found: list[Condition] = []
    problems: list[str] = []
    for name in names:
        try:
            condition = parse(name)
        except InputError as error:
            problems += error.problems
            continue
        if condition in found:
            problems.append(f"'{name}': is there twice: remove one")
        found.append(condition)
    if problems:
        raise InputError(problems)
    return found


def _value(name: str, kind: Kind) -> float | None:
    if kind.limits is None:
        return 0.0 if name == kind.prefix else None
    match = re.fullmatch(f"{re.escape(kind.prefix)}({NUMBER}){re.escape(kind.unit)}", name)
    return float(match[1]) + 0.0 if match else None  # the sum makes 0 of -0

"""Which test clips deserve to be listened to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timbre.label_doubt import confidently_others, label_doubt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

LEAST_SURE = 10  # shown where no answer is wrong or unsure
LIKELIEST = 3  # classes that are told of a clip


@dataclass(frozen=True)
class Said:
    """What the model says of the test clips; parallel arrays, one entry a clip."""

    probs: Floats  # (n_clips, n_classes), calibrated
    targets: Integers
    known: Floats  # the rejection's scores
    accepted: Booleans  # whether it is taken for a known class

    def predicted(self) -> Integers:
        """Return the likeliest class of each clip."""
        return np.asarray(self.probs.argmax(axis=1), np.int64)

    def wrong(self) -> Booleans:
        """Tell whose likeliest class is not its label."""
        return np.asarray(self.predicted() != self.targets)

    def unsure(self, below: float) -> Booleans:
        """Tell which right answers have less confidence than `below`, or were rejected."""
        return np.asarray(~self.wrong() & ((self.probs.max(axis=1) < below) | ~self.accepted))

    def agrees_with(self, n_clips: int, accuracy: float) -> bool:
        """Tell whether this is what was scored; one clip may hang on a last bit."""
        n_right = int((~self.wrong()).sum())
        return n_clips == len(self.targets) and abs(n_clips * accuracy - n_right) < 1.5

    def doubt(self) -> Floats:
        """Return how likely each label is wrong, 0 to 1."""
        return label_doubt(self.probs, self.targets)

    def of_another(self) -> Booleans:
        """Tell of which clips the model is as sure of another class as it usually is of that."""
        return confidently_others(self.probs, self.targets)

    def likeliest(self, clip: int) -> list[int]:
        """Return the classes to be told of a clip: the likeliest, the answer first; and its own."""
        found = np.argsort(-self.probs[clip], kind="stable")[:LIKELIEST].tolist()
        own = int(self.targets[clip])
        return found if own in found else [*found, own]


@dataclass(frozen=True)
class Choice:
    """The clips of the page, and how many there were to choose from."""

    clips: list[int]  # places among the test clips; the label that is most in doubt first
    kinds: list[str]  # of these: wrong, unsure or right
    n_wrong: int
    n_unsure: int

    @property
    def n_left_out(self) -> int:
        """Return how many wrong or unsure clips are not on the page."""
        return max(0, self.n_wrong + self.n_unsure - len(self.clips))


def choose(said: Said, below: float, most: int) -> Choice:
    """Choose `most` of the clips that are wrong or unsure; without any, the least sure ones.

    Wrong ones come first: their doubt is at least one half, that of right answers at most.
    """
    wrong, unsure = said.wrong(), said.unsure(below)
    order = np.lexsort((~wrong, -said.doubt()))
    found = order[(wrong | unsure)[order]][:most]
    if not len(found):
        found = np.argsort(said.probs.max(axis=1), kind="stable")[: min(most, LEAST_SURE)]
    kinds = np.where(wrong, "wrong", np.where(unsure, "unsure", "right"))[found]
    return Choice(found.tolist(), kinds.tolist(), int(wrong.sum()), int(unsure.sum()))

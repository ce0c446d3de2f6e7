"""What a page tells of one clip, and how much room its sounds and pictures take there."""

import base64
from dataclasses import dataclass

LEFT_OUT = "left out, as the page would grow beyond inspect.max_mb"


class Budget:
    """How many bytes sounds and pictures may still take on the page."""

    def __init__(self, most: float) -> None:
        """Begin with `most` bytes."""
        self._left = most
        self.n_refused = 0

    def url(self, media: bytes, kind: str) -> str | None:
        """Return an URL that holds `media`, of the MIME type `kind`; None if there is no room.

        Smaller ones may still find some.
        """
        found = f"data:{kind};base64,{base64.b64encode(media).decode()}"
        if len(found) > self._left:
            self.n_refused += 1
            return None
        self._left -= len(found)
        return found


@dataclass(frozen=True)
class Sound:
    """A player, or why there is none."""

    url: str | None
    problem: str = ""


@dataclass(frozen=True)
class Near:
    """A training clip that lies near a test clip."""

    clip_id: str
    label: str
    group: str
    similarity: float  # cosine of the embeddings
    sound: Sound


@dataclass(frozen=True)
class Card:
    """All that is told of one test clip."""

    clip_id: str
    group: str
    actual: int  # target
    predicted: int
    probs: list[tuple[int, float]]  # targets and their probabilities, the answer first
    kind: str  # wrong, unsure or right
    accepted: bool  # taken for a known class
    known: float  # the rejection's score
    doubt: float  # of the label, 0 to 1
    of_another: bool  # the label is confidently another one
    window: int  # the one that is shown, from 1
    n_windows: int
    picture: str | None  # URL of its spectrogram
    looked: list[tuple[int, str | None]]  # targets, and pictures of what speaks for them
    sound: Sound
    near: list[Near]

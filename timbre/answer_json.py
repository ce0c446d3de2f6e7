"""An answer as JSON has it, on the command line and from the server."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbre.predict import Answer

DIGITS = 6


def as_object(answer: "Answer", classes: list[str]) -> dict[str, Any]:
    """Return the answer with the probability of each of `classes`."""
    return {
        "label": answer.label,
        "known": answer.is_known,
        "likeliest": answer.likeliest,
        "confidence": round(float(answer.probs.max()), DIGITS),
        "score": round(answer.score, DIGITS),
        "probs": {
            label: round(float(prob), DIGITS)
            for label, prob in zip(classes, answer.probs, strict=True)
        },
    }

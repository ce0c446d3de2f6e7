"""A model's card: a page that tells what it is, what it was made of, and what to expect of it."""

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbre.problems import InputError
from timbre.tensor_header import TensorFileError, read_document

KEY = "timbre"  # under which a model file has its document (timbre/model_file.py)
SPLITS = ("train", "val", "test")
# Of the training's record, what came out of it: told in sentences, not among the settings.
FOUND = (
    *("on", "parameters", "temperature", "epochs", "best_epoch", "stopped_early"),
    *("train_loss", "train_accuracy", "val_loss", "val_accuracy", "overfitting_from"),
)
MARKS = re.compile(r"([\\`*_\[\]|~$])")  # what Markdown takes for more than a letter in a table


@dataclass(frozen=True)
class Facts:
    """What a model file says of itself."""

    sha256: str  # of the file
    classes: list[str]
    features: Mapping[str, Any]
    trained: Mapping[str, Any]
    fingerprint: str  # over all that the training read
    threshold: float  # of knownness


def read_facts(path: Path) -> Facts:
    """Read the facts of a model. Raises InputError for a file that has none."""
    try:
        document = read_document(path, KEY)
        return Facts(
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            classes=[str(name) for name in document["classes"]],
            features=dict(document["features"]),
            trained=dict(document["trained"]),
            fingerprint=str(document["fingerprint"]),
            threshold=float(document["rejection"]["threshold"]),
        )
    except (OSError, TensorFileError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: no usable Timbre model ({reason}): retrain") from None


def markdown(
    name: str, facts: Facts, split: Mapping[str, Any], scores: Sequence[str], doubts: Sequence[str]
) -> str:
    """Return the card of the model file `name`.

    `split` is the content of split.json, `scores` are table rows and `doubts` sentences of the
    report's page.
    """
    parts = [
        f"# Model card: {name}",
        "Written by the stage `report`. Its numbers are those of [the report](report.md); how each "
        "is made:\n[honest evaluation](../docs/honest-evaluation.md).",
        what_it_is(facts),
        f"## Classes\n\n{one_cell('class', facts.classes)}",
        f"## Training data\n\n{data(split)}",
        "\n".join(["## Scores\n", *scores]),
        "\n".join(["## Limits\n", *limits(facts, doubts)]),
        f"## Use\n\n```sh\ntimbre predict {name} clip.wav\n```",
        f"## Settings\n\n{settings(facts)}",
        f"## Identity\n\n- SHA-256 of the file: `{facts.sha256}`\n"
        f"- fingerprint of all that it was trained on: `{facts.fingerprint}`",
    ]
    return "\n\n".join(parts) + "\n"


def what_it_is(facts: Facts) -> str:
    """Say in a few sentences what the model does."""
    features, trained = facts.features, facts.trained
    return (
        f"A classifier of audio clips, of {len(facts.classes)} classes. It hears windows of "
        f"{features['window_seconds']:g} s at {features['sample_rate']} Hz as "
        f"{features['n_mels']} mel bands.\nIts network is a `{trained['model']}` of "
        f"{trained['parameters']:,} parameters, trained on `{trained['on']}`; of "
        f"{trained['epochs']} epochs\nthe one kept is {trained['best_epoch']}, with "
        f"{trained['val_accuracy']:.1%} of the validation windows right."
    )


def one_cell(title: str, texts: Sequence[str]) -> str:
    """Return a table of one cell: in a table, no text can be a heading, a list or a quotation."""
    return f"| {title} |\n|---|\n| {', '.join(map(plain, texts))} |"


def data(split: Mapping[str, Any]) -> str:
    """Return the table of clips and groups that it was trained, chosen and tested on."""
    rows = [
        f"| {name} | {split[name]['clips']} | {split[name]['groups']} | {split[name]['classes']} |"
        for name in SPLITS
    ]
    left_out = f"{split['quarantined']} clips could not be used. " if split["quarantined"] else ""
    return "\n".join(
        [
            "| split | clips | groups | classes |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{left_out}Method of the split: `{split['method']}`.",
        ]
    )


def limits(facts: Facts, doubts: Sequence[str]) -> list[str]:
    """Return what the model cannot do, as lines of a list."""
    told = [
        f"It knows its {len(facts.classes)} classes and no other. A clip whose knownness is below "
        f"{facts.threshold:.4g} is called unknown, any other by its likeliest class, right or not",
        "It was measured on clips of one corpus. Other microphones, rooms and codecs are imitated, "
        "not recorded",
        *doubts,
    ]
    return [f"- {line[0].upper()}{line[1:]}." for line in told]


def settings(facts: Facts) -> str:
    """Return a table of all that made the spectrograms and the weights."""
    named = {f"extract.{key}": value for key, value in facts.features.items()}
    named |= {f"train.{key}": value for key, value in facts.trained.items() if key not in FOUND}
    rows = [f"| {shown(key)} | {shown(str(value))} |" for key, value in sorted(named.items())]
    return "\n".join(["| setting | value |", "|---|---|", *rows])


def shown(text: str) -> str:
    """Return a name or value as code where it is a plain one, as it nearly always is."""
    return f"`{text}`" if re.fullmatch(r"[\w. ,\[\]-]+", text) else plain(text)


def plain(text: str) -> str:
    """Return user text so that Markdown shows its letters and takes none of them for a mark.

    Line breaks and other signs that cannot be seen are written as Python writes them.
    """
    visible = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return MARKS.sub(r"\\\1", html.escape(visible, quote=False))

"""`timbre predict`: what a model hears in clips and recordings."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from timbre.problems import InputError

if TYPE_CHECKING:
    from timbre.predict import Answer, Classifier

EXAMPLES = """\b
Examples:
  timbre predict models/timbre.safetensors clip.wav folder/
  timbre predict models/timbre.safetensors --json clip.wav
  timbre predict models/timbre.safetensors --timeline audacity radio.mp3 > labels.txt
  ffmpeg -i film.mkv -f wav - | timbre predict models/timbre.safetensors -
"""


@click.command(epilog=EXAMPLES)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="An object a line for each clip.")
@click.option(
    "--timeline",
    type=click.Choice(["csv", "json", "audacity"]),
    help="What is heard from when to when, in recordings of any length.",
)
@click.option("--hop", type=float, help="Seconds between a timeline's windows.  [half a window]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps or auto.")
def predict(
    model: Path,
    inputs: Sequence[str],
    as_json: bool,
    timeline: str | None,
    hop: float | None,
    device: str,
) -> int:
    """Say what MODEL hears in INPUTS: files, folders, or - for standard input.

    What looks like none of its classes is called "unknown". Files without usable audio are named
    on stderr; the others are answered all the same, and the exit code is 1.
    """
    if hop is not None and not timeline:
        raise click.UsageError("--hop is for --timeline")
    if as_json and timeline:
        raise click.UsageError("--json is for clips: --timeline json gives the same for timelines")
    from timbre.inputs import audio_files
    from timbre.predict import Classifier

    classifier = Classifier.load(model, device)
    with audio_files(inputs) as files:
        if timeline == "audacity" and len(files) > 1:
            raise click.UsageError("--timeline audacity: labels are of one recording, not several")
        if timeline:
            return _timelines(classifier, files, timeline, hop)
        return _clips(classifier, files, as_json)


def _clips(classifier: "Classifier", files: dict[str, Path], as_json: bool) -> int:
    from timbre.answer_json import as_object

    code = n_longer = 0
    for name, path in files.items():
        try:
            answer = classifier.answer(path)
        except InputError as error:
            error.show()
            code = 1
            continue
        found = {"file": name, **as_object(answer, classifier.classes)}
        told = json.dumps(found, ensure_ascii=False)
        print(told if as_json else _line(name, answer), flush=True)
        n_longer += classifier.hears_part_of(path)
    if n_longer:
        seconds = classifier.features.window_seconds
        print(
            f"note: {n_longer} of the files are longer than the {seconds:g} s at their start that "
            "this model hears of a clip: --timeline hears all",
            file=sys.stderr,
        )
    return code


def _line(name: str, answer: "Answer") -> str:
    share = f"{answer.probs.max():.1%}"
    if answer.is_known:
        return f"{name}: {answer.label} ({share})"
    return f"{name}: unknown (most like {answer.likeliest}, {share})"


def _timelines(
    classifier: "Classifier", files: dict[str, Path], kind: str, hop: float | None
) -> int:
    from tqdm import tqdm

    from timbre.timeline import FORMATS, Segment

    found: dict[str, list[Segment]] = {}
    code = 0
    for name, path in tqdm(files.items(), unit="recording", disable=None):
        try:
            found[name] = classifier.timeline(path, hop)
        except InputError as error:
            error.show()
            code = 1
    if found:
        print(FORMATS[kind](found), end="")
    return code

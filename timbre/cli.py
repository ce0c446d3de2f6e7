"""The command `timbre`: what one does with a model or a corpus outside the pipeline.

Each command imports what it needs itself, so that `--help` and a wrong option answer at once.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timbre.problems import InputError

if TYPE_CHECKING:
    from timbre.predict import Answer, Classifier

INTERRUPTED = 130  # the shell's exit code for SIGINT
PATH = click.Path(path_type=Path)
PREDICTIONS = "data/predictions.csv"

PREDICT_EXAMPLES = """\b
Examples:
  timbre predict models/timbre.safetensors clip.wav folder/
  timbre predict models/timbre.safetensors --json clip.wav
  timbre predict models/timbre.safetensors --timeline audacity radio.mp3 > labels.txt
  ffmpeg -i film.mkv -f wav - | timbre predict models/timbre.safetensors -
"""
INDEX_EXAMPLES = """\b
Examples:
  timbre index data/mine
      data/mine/cat/a.wav and data/mine/dog/b.wav make the classes cat and dog
      in data/mine/filespaths.csv; data/mine/cat/tom/a.wav also has the group tom
      where every file has such a second folder
  timbre index data/mine/Dataset --output data/mine/filespaths.csv
      for a table beside the audio folder, with data.audio: Dataset in params.yaml
  timbre index data/mine --pattern '{split}/{group}_*_{class}.wav'
      train/anna_07_yes.wav has the class yes, the group anna and the split train
"""
GATE_EXAMPLES = """\b
Examples:
  timbre gate main
  timbre gate HEAD~1 --tolerance 1 >> "$GITHUB_STEP_SUMMARY"
  timbre gate before.csv --now after.csv
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    0: done. 1: problems that the user can mend, on stderr. 2: a wrong command. 130: interrupted.
    """
    try:
        code = timbre.main(arguments, prog_name="timbre", standalone_mode=False)
    except InputError as error:
        error.show()
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return int(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def timbre() -> None:
    """Classify audio with a trained model; prepare and mend a corpus and its pipeline."""


@timbre.command(epilog=PREDICT_EXAMPLES)
@click.argument("model", type=PATH)
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


@timbre.command(epilog=INDEX_EXAMPLES)
@click.argument("folder", type=PATH)
@click.option("--output", type=PATH, help="The table.  [filespaths.csv in FOLDER]")
@click.option("--force", is_flag=True, help="Replace a table that is there.")
@click.option("--pattern", help="How paths below FOLDER are built.  [one folder per class]")
def index(folder: Path, output: Path | None, force: bool, pattern: str | None) -> None:
    """Write filespaths.csv for audio files that lie in one folder per class.

    With --pattern it is the paths that tell: {class}, {group} and {split} stand for columns, * for
    anything within a name, ** for any folders.
    """
    from timbre.index import write_index
    from timbre.table import TABLE_NAMES

    print(write_index(folder, output or folder / TABLE_NAMES[0], force, pattern))


@timbre.command()
@click.option("--repair", is_flag=True, help="Repair what is found.")
def doctor(repair: bool) -> int:
    """Find what a kill or a bad disk left broken in this DVC repository."""
    from timbre.doctor import main as examine

    return examine(["--repair"] if repair else [])


@timbre.command(epilog=GATE_EXAMPLES)
@click.argument("before")
@click.option(
    "--now",
    type=PATH,
    default=Path(PREDICTIONS),
    show_default=True,
    help="The newer predictions.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    help="Points of accuracy that may be lost.",
)
def gate(before: str, now: Path, tolerance: float) -> int:
    """Fail, with exit code 1, if test accuracy became really worse: not by chance.

    BEFORE is a file of predictions, or a git revision whose predictions DVC has. Both models are
    compared clip by clip, and groups are what chance exchanges. Prints Markdown for a pull request.
    """
    from timbre.comparison import compare, markdown, read_test_clips
    from timbre.runs import file_or_revision

    with file_or_revision(before, PREDICTIONS) as path:
        found = compare(read_test_clips(path), read_test_clips(now))
    print(markdown(found, tolerance / 100), end="")
    return int(found.is_worse(tolerance / 100))


def _clips(classifier: "Classifier", files: dict[str, Path], as_json: bool) -> int:
    code = n_longer = 0
    for name, path in files.items():
        try:
            answer = classifier.answer(path)
        except InputError as error:
            error.show()
            code = 1
            continue
        told = json.dumps(_object(name, answer, classifier.classes), ensure_ascii=False)
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


def _object(name: str, answer: "Answer", classes: list[str]) -> dict[str, Any]:
    return {
        "file": name,
        "label": answer.label,
        "known": answer.is_known,
        "likeliest": answer.likeliest,
        "confidence": round(float(answer.probs.max()), 6),
        "score": round(answer.score, 6),
        "probs": {
            label: round(float(prob), 6) for label, prob in zip(classes, answer.probs, strict=True)
        },
    }


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

"""`timbre demo`: a corpus to try Timbre with, spoken on this machine."""

import shlex
from pathlib import Path

import click

FOLDER = Path("timbre-demo")
REPOSITORY = ("dvc.yaml", "params.yaml", "stages/synthesize_demo.py")  # by which it is known
EXAMPLES = """\b
Examples:
  timbre demo
      in Timbre's repository: says what to run; elsewhere: speaks into timbre-demo
  timbre demo /recordings/robots
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def demo(folder: Path | None) -> None:
    """Let eight synthetic voices speak a small corpus into FOLDER, and say what to do with it.

    Nothing is downloaded. The corpus is the one that the pipeline makes for itself in data/demo.
    """
    if folder is None and all(Path(name).is_file() for name in REPOSITORY):
        print("This is Timbre's repository. The pipeline speaks the demo corpus by itself:")
        _say("dvc", "repro")
        _say_what_then(Path("data/demo"))
        return
    from timbre.demo_corpus import speak_demo

    place = folder or FOLDER
    print(f"{place}: {speak_demo(place)}")
    print("Train on it, in a copy of Timbre's repository:")
    _say("dvc", "exp", "run", "-S", f"data.root={place.resolve()}")
    _say_what_then(place.resolve())


def _say_what_then(corpus: Path) -> None:
    model = "models/timbre.safetensors"
    print("Then ask the model, here or in a browser:")
    _say("timbre", "predict", model, str(corpus / "high-clear" / "001.wav"))
    _say("timbre", "serve", model)


def _say(*words: str) -> None:
    print(f"  {shlex.join(words)}")

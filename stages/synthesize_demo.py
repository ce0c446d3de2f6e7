"""Stage: make a small corpus of robot voices, so that the pipeline runs without a download."""

from pathlib import Path

from timbre import command
from timbre.demo_corpus import speak_demo


def main(folder: Path) -> None:
    """Write the demo corpus to `folder`: filespaths.csv and one WAV a speaker and utterance."""
    print(f"synthesize_demo: {speak_demo(folder)}")


if __name__ == "__main__":
    command.run(main)

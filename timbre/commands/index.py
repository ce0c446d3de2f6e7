"""`timbre index`: the table of a corpus from its folders."""

from pathlib import Path

import click

EXAMPLES = """\b
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
PATH = click.Path(path_type=Path)


@click.command(epilog=EXAMPLES)
@click.argument("folder", type=PATH)
@click.option("--output", type=PATH, help="The table.  [filespaths.csv in FOLDER]")
@click.option("--force", is_flag=True, help="Replace a table that is there.")
@click.option("--pattern", help="How paths below FOLDER are built.  [one folder per class]")
def index(folder: Path, output: Path | None, force: bool, pattern: str | None) -> None:
    """Write filespaths.csv for audio files that lie in one folder per class.

    With --pattern it is the paths that tell: {class}, {group}, {split} and {fold} stand for
    columns, * for anything within a name, ** for any folders.
    """
    from timbre.index import write_index
    from timbre.table import TABLE_NAMES

    print(write_index(folder, output or folder / TABLE_NAMES[0], force, pattern))

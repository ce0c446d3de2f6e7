"""`timbre check`: what is wrong with a corpus, before anything is trained on it."""

import json
from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  timbre check data/mine
  timbre check data/mine --html check.html
  timbre check data/mine/speakers.csv
  timbre check data/mine --audio Dataset --json | jq '.findings[] | {kind, n}'
"""
PATH = click.Path(path_type=Path)


@click.command(epilog=EXAMPLES)
@click.argument("place", type=PATH, default=".", metavar="[FOLDER_OR_TABLE]")
@click.option("--html", type=PATH, help="Write a page that says it all; it needs no server.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON, in place of the lines.")
@click.option("--table", default="", help="The table in FOLDER.  [filespaths.csv]")
@click.option("--audio", default="", metavar="SUBFOLDER", help="Where its paths start from.")
@click.option("--allow-outside", is_flag=True, help="The table may name files outside FOLDER.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [one for each core]")
def check(
    place: Path,
    html: Path | None,
    as_json: bool,
    table: str,
    audio: str,
    allow_outside: bool,
    jobs: int | None,
) -> int:
    """Examine a corpus: its table, each file, copies, leaks, balance, and what gives classes away.

    Without a table the classes are the folders, as for `timbre index`. Nothing is changed and
    nothing is trained. The exit code is 1 if something would end the pipeline or spoil the score.
    """
    from timbre.audit import audit as examine
    from timbre.audit_text import document, text
    from timbre.survey import WORKER_MODULES
    from timbre.workers import get_ready, n_cores

    get_ready(WORKER_MODULES)
    found = examine(place, table, audio, allow_outside, jobs or n_cores())
    if html is not None:
        from timbre.audit_page import write_page

        write_page(found, html)
    print(json.dumps(document(found), indent=1) if as_json else text(found))
    return 0 if found.is_sound() else 1

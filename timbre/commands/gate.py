"""`timbre gate`: whether a score became worse, for a pull request."""

from pathlib import Path

import click

PREDICTIONS = "data/predictions.csv"
EXAMPLES = """\b
Examples:
  timbre gate main
  timbre gate HEAD~1 --tolerance 1 >> "$GITHUB_STEP_SUMMARY"
  timbre gate before.csv --now after.csv
"""


@click.command(epilog=EXAMPLES)
@click.argument("before")
@click.option(
    "--now",
    type=click.Path(path_type=Path),
    help=f"The newer predictions.  [the repository's {PREDICTIONS}]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    help="Points of accuracy that may be lost.",
)
def gate(before: str, now: Path | None, tolerance: float) -> int:
    """Fail, with exit code 1, if test accuracy became really worse: not by chance.

    BEFORE is a file of predictions, or a git revision whose predictions DVC has. Both models are
    compared clip by clip, and groups are what chance exchanges. Prints Markdown for a pull request.
    """
    from timbre.comparison import compare, markdown, read_test_clips
    from timbre.repository import find_root
    from timbre.runs import file_or_revision

    newer = now or find_root() / PREDICTIONS
    with file_or_revision(before, PREDICTIONS) as path:
        found = compare(read_test_clips(path), read_test_clips(newer))
    print(markdown(found, tolerance / 100), end="")
    return int(found.is_worse(tolerance / 100))

"""The command `timbre`: what one does with a model or a corpus outside the pipeline.

Each command is a module of `timbre.commands`. It imports what it needs when it runs, so that
`--help` and a wrong option answer at once.
"""

import sys
from collections.abc import Sequence

import click

from timbre.commands.check import check
from timbre.commands.demo import demo
from timbre.commands.doctor import doctor
from timbre.commands.export import export
from timbre.commands.gate import gate
from timbre.commands.index import index
from timbre.commands.predict import predict
from timbre.commands.queue import queue
from timbre.commands.serve import serve
from timbre.problems import InputError

INTERRUPTED = 130  # the shell's exit code for SIGINT
COMMANDS = (predict, serve, export, demo, index, check, queue, gate, doctor)  # as --help lists them


class InOrder(click.Group):
    """A group whose help lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names of the commands."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def timbre() -> None:
    """Classify audio with a trained model; prepare and mend a corpus and its pipeline."""


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

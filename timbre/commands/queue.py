"""`timbre queue`: the experiments in DVC's queue, several at a time, that share the machine."""

import click

EXAMPLES = """\b
Examples:
  dvc exp run --queue -S split.n_folds=6 -S 'split.fold=range(0,6)' -S train.seed=0,1
  timbre queue --jobs 2
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Experiments at a time; each takes its share of the cores.",
)
def queue(jobs: int) -> int:
    """Start DVC's queue, as `dvc queue start` does, without a fight over cores.

    Each experiment computes in as many threads and worker processes as its share of the cores, and
    trains on a GPU of its own, if there are as many. Returns at once: `dvc queue status` tells how
    far they are.
    """
    import os
    import subprocess
    import sys

    from timbre.job_share import share
    from timbre.repository import find_root

    command = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", str(jobs)]
    bounds = share(jobs)
    told = ", ".join(f"{name}={value}" for name, value in bounds.items())
    print(f"each of {jobs}: {told}", flush=True)
    return subprocess.run(command, cwd=find_root(), env={**os.environ, **bounds}).returncode

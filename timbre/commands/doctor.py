"""`timbre doctor`: what is broken in a repository, and its repair."""

import click


@click.command()
@click.option("--repair", is_flag=True, help="Repair what is found.")
def doctor(repair: bool) -> int:
    """Find what a kill or a bad disk left broken in this DVC repository."""
    from timbre.doctor import main as examine

    return examine(["--repair"] if repair else [])

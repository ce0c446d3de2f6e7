"""What each of several experiments at a time may take of this machine."""

import os

from timbre.problems import InputError
from timbre.workers import n_cores

THREADS, PROCESSES = "OMP_NUM_THREADS", "TIMBRE_JOBS"


def share(jobs: int) -> dict[str, str]:
    """Return the variables by which each of `jobs` experiments takes its share of the cores.

    A lower number of threads that is set already stays. Raises InputError for more jobs than cores.
    """
    cores = n_cores()
    if jobs > cores:
        raise InputError(
            f"--jobs {jobs}: there are {cores} cores to share ({PROCESSES}, or what this process "
            f"may use): run {cores} at a time"
        )
    own = cores // jobs
    given = os.environ.get(THREADS, "")
    threads = min(own, int(given)) if given.isdecimal() and int(given) else own
    return {PROCESSES: str(own), THREADS: str(threads)}

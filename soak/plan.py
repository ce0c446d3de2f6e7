"""What is done to a run, drawn from a number: equal seeds and equal code give equal plans."""

import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from soak.ground import Ground

EVERYTHING = "everything"  # nothing is in the cache: all stages run
KILLS = ("SIGKILL", "SIGTERM", "SIGINT")
ERRORS = ("ENOSPC", "EIO")
CAN_FAIL = ("open", "fsync", "rename", "link", "mkdir")
PLACES = (".timbre", "data", "models", "plots", "metrics", ".dvc")
SHELLS = [shell for shell in ("/bin/sh", "/bin/bash") if Path(shell).exists()]
LIMITS = (0, 100, 2000, 5000)  # bytes
# How often each is drawn.
FAULTS = {"time": 5, "event": 4, "error": 4, "limit": 1, "full": 1, "read-only": 1, "twice": 1}


@dataclass(frozen=True)
class Strike:
    """One fault, and where it comes: in which process, at which of its events or when."""

    fault: str  # a key of FAULTS
    stage: str  # the first that has to run; what the others make lies in the cache
    role: str = ""  # of the process that is struck: dvc, worker, or a stage
    event: int = 0  # it comes at the process's event of this number; 0: it comes by the clock
    kind: str = ""  # of the events that are counted
    path: str = ""  # some of the path that they concern
    seconds: float = 0.0  # since that process began
    do: str = ""  # a signal, an error, or LIMIT
    to: str = "self"  # of a signal: self, dvc or group
    bytes: int = 0  # LIMIT: no file grows beyond; full: the disk's free bytes
    place: str = ""  # read-only: this folder
    jobs: int = 1
    shell: str = "/bin/sh"  # that DVC runs its commands with: dash stays, bash becomes the stage

    def hook(self) -> dict[str, Any] | None:
        """Return what the processes have to know of it."""
        if not self.role:
            return None
        own = asdict(self)
        unused = {"event"} if not self.event else {"seconds"}
        return {name: value for name, value in own.items() if name not in unused}

    def told(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        default = asdict(Strike(self.fault, self.stage))
        required = ("fault", "stage")
        return {k: v for k, v in asdict(self).items() if k in required or v != default[k]}

    def where(self) -> str:
        """Name the moment for a summary."""
        return self.role or self.place or "anywhere"


def draw(seed: int, ground: Ground) -> Strike:
    """Return the plan of a seed."""
    rng = random.Random(f"soak {seed}")  # noqa: S311 (a plan, no secret)
    fault = rng.choices(list(FAULTS), list(FAULTS.values()))[0]
    stage = rng.choice([*ground.stages, *ground.stages, EVERYTHING])
    strike = (
        DRAWS[fault](rng, ground, stage) if fault in DRAWS else _without_process(fault, rng, stage)
    )
    return replace(strike, shell=rng.choice(SHELLS))


def _role(rng: random.Random, ground: Ground, stage: str) -> str:
    own = rng.choice(ground.stages) if stage == EVERYTHING else stage
    roles = [own, own, "dvc"]
    if own in ("extract_spectrograms", "extract_conditions"):
        roles.append("worker")
    return rng.choice(roles)


def _to(rng: random.Random, role: str) -> str:
    return rng.choice(("self", "group")) if role == "dvc" else rng.choice(("self", "group", "dvc"))


def _kill_by_clock(rng: random.Random, ground: Ground, stage: str) -> Strike:
    role = _role(rng, ground, stage)
    # Of a worker's time nothing is known but that it is short.
    longest = 0.5 if role == "worker" else ground.seconds(role)
    if role == "dvc" and stage != EVERYTHING:
        longest = 4 + ground.seconds(stage)
    seconds = round(rng.uniform(0, longest), 3)
    do, to = rng.choice(KILLS), _to(rng, role)
    jobs = 2 if role == "worker" else rng.choice((1, 2))
    return Strike("time", stage, role, seconds=seconds, do=do, to=to, jobs=jobs)


def _event(
    rng: random.Random, ground: Ground, stage: str, kinds: tuple[str, ...]
) -> tuple[str, int]:
    role = rng.choice([stage, stage, stage, "dvc"]) if stage != EVERYTHING else "dvc"
    own = [e for e in ground.events if e.role == role and (not kinds or e.kind in kinds)]
    return role, rng.choice(own).number


def _kill_at_event(rng: random.Random, ground: Ground, stage: str) -> Strike:
    role, event = _event(rng, ground, stage, ())
    return Strike("event", stage, role, event, do=rng.choice(KILLS), to=_to(rng, role))


def _error(rng: random.Random, ground: Ground, stage: str) -> Strike:
    role, event = _event(rng, ground, stage, CAN_FAIL)
    return Strike("error", stage, role, event, do=rng.choice(ERRORS))


def _limit(rng: random.Random, ground: Ground, stage: str) -> Strike:
    role, event = _event(rng, ground, stage, ("open", "mkdir"))
    return Strike("limit", stage, role, event, do="LIMIT", bytes=rng.choice(LIMITS))


def _without_process(fault: str, rng: random.Random, stage: str) -> Strike:
    return Strike(
        fault,
        stage,
        seconds=round(rng.uniform(0, 6), 3) if fault == "twice" else 0.0,
        bytes=rng.randrange(300_000) if fault == "full" else 0,
        place=rng.choice(PLACES) if fault == "read-only" else "",
    )


DRAWS = {
    "time": _kill_by_clock,
    "event": _kill_at_event,
    "error": _error,
    "limit": _limit,
}

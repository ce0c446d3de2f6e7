"""One trial: disturb a run, run again, and compare with what an undisturbed run leaves."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from bench.repository import Repository
from soak.disk import full_disk, own_disk, read_only
from soak.ground import (
    N_CLIPS,
    RESULTS,
    Done,
    Ground,
    alive,
    copy,
    finish,
    repro,
    start,
    wait_for_group,
)
from soak.plan import EVERYTHING, Strike
from timbre.problems import InputError
from timbre.shards import read_index

ORPHANS_END = 15.0  # seconds in which whatever a killed run left must have ended
RAN = re.compile(r"^Running stage '([^']+)':", re.MULTILINE)
COMPUTED = re.compile(r"^extract_spectrograms: \d+ clips: (\d+) computed", re.MULTILINE)
GOES_ON = re.compile(r"goes on after epoch (\d+)")
STAGE_FAILED = ("error: ", "Traceback", "failed to run: ")
DVCS_PIECE = re.compile(r"\.[\w-]{22}\.tmp")  # how it calls a file that it is about to rename


@dataclass
class Outcome:
    """What came of a trial. No faults: it went as it must."""

    strike: Strike
    struck: bool = False
    faults: list[str] = field(default_factory=list)
    hung: bool = False  # the DVC that was struck never ended by itself
    doctor: str = ""  # what timbre.doctor mended, where DVC had broken its own files
    output: str = ""  # of both runs

    def word(self) -> str:
        """Name it for a summary."""
        if self.faults:
            return "FAULT"
        if self.hung:
            return "same bytes, DVC hung"
        if self.doctor:
            return "same bytes after doctor"
        return "same bytes" if self.struck else "same bytes, not struck"


def run(strike: Strike, ground: Ground, folder: Path) -> Outcome:
    """Run one trial in a new folder, which it removes."""
    outcome = Outcome(strike)
    try:
        with own_disk(strike, folder):
            repository = copy(ground.fresh, folder)
            lay_cache(strike.stage, ground, repository)
            first = _disturbed(strike, repository, outcome)
            done_before = finished_work(repository)
            second = _again(repository, outcome)
            outcome.output = f"{first.output}\n--- again ---\n{second.output}"
            judge(outcome, first, second, ground, repository, done_before)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def lay_cache(stage: str, ground: Ground, repository: Repository) -> None:
    """Give the repository DVC's cache of the finished run, but of `stage` no run."""
    if stage == EVERYTHING:
        return
    cache = repository.folder / ".dvc" / "cache"
    shutil.copytree(ground.finished.folder / ".dvc" / "cache", cache)
    for path in (cache / "runs").glob("*/*/*"):
        if f"stages.{stage} " in path.read_text(encoding="utf-8"):
            shutil.rmtree(path.parent)  # an empty folder would make DVC fail


def _disturbed(strike: Strike, repository: Repository, outcome: Outcome) -> Done:
    struck = repository.folder.parent / "struck"
    variables = {
        "SOAK_ROOT": str(repository.folder),
        "SOAK_STRUCK": str(struck),
        "SOAK_STRIKE": json.dumps(strike.hook()),
        "TIMBRE_JOBS": str(strike.jobs),
        "SHELL": strike.shell,
    }
    with full_disk(strike, repository), read_only(strike, repository):
        process = start(repository, variables, ["dvc", "repro"])
        beside = ""
        if strike.fault == "twice":
            time.sleep(strike.seconds)
            beside = repro(repository, {}).output
        done = finish(process)
        if not wait_for_group(process.pid, ORPHANS_END):
            names = [_command(number) for number in alive(process.pid)]
            outcome.faults.append(f"processes go on after the run ended: {names}")
            os.killpg(process.pid, signal.SIGKILL)
    outcome.struck = struck.exists() or (not strike.role and bool(done.returncode or beside))
    # DVC's notes lie in an SQLite file, which it tries to write to for ever: its own to mend.
    outcome.hung = done.hung and strike.role == "dvc"
    if done.hung and not outcome.hung:
        outcome.faults.append("the struck run did not end")
    return Done(done.returncode, done.output + beside)


def _again(repository: Repository, outcome: Outcome) -> Done:
    """Run `dvc repro`; what DVC has broken for itself, let the doctor mend."""
    done = repro(repository, {})
    tripped = done.returncode and not any(sign in done.output for sign in STAGE_FAILED)
    if not tripped and not any(DVCS_PIECE.search(name) for name in digests(repository)):
        return done
    mended = subprocess.run(
        [sys.executable, "-m", "timbre.doctor", "--repair"],
        cwd=repository.folder,
        env=repository.environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    outcome.doctor = mended.stdout + mended.stderr
    again = repro(repository, {})
    return Done(again.returncode, f"{done.output}\n{outcome.doctor}\n{again.output}")


def judge(
    outcome: Outcome,
    first: Done,
    second: Done,
    ground: Ground,
    repository: Repository,
    before: dict[str, int],
) -> None:
    """Note all that is not as it must be."""
    faults = outcome.faults
    if second.returncode:
        faults.append("the run after it fails")
    else:
        faults += differences(repository, ground)
        if not outcome.doctor:
            faults += redone(before, second)
    if "Traceback" in second.output:
        faults.append("the run after it shows a traceback")
    if "Traceback" in first.output and "KeyboardInterrupt" not in first.output:
        faults.append("the struck run shows a traceback")


def differences(repository: Repository, ground: Ground) -> list[str]:
    """Name the results that are not those of the undisturbed run, byte for byte."""
    wanted, found = digests(ground.finished), digests(repository)
    names = [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]
    told = [f"other bytes, or too many or few files: {sorted(names)}"] if names else []
    if lock(repository) != lock(ground.finished):
        told.append("another dvc.lock")
    return told


def digests(repository: Repository) -> dict[str, str]:
    """Return the SHA-256 of each result, and of all that lies beside them."""
    return {
        str(path.relative_to(repository.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in RESULTS
        for path in (repository.folder / name).rglob("*")
        if path.is_file()
    }


def lock(repository: Repository) -> Any:  # noqa: ANN401 (YAML)
    """Return dvc.lock, or None."""
    try:
        return yaml.safe_load((repository.folder / "dvc.lock").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None


def finished_work(repository: Repository) -> dict[str, int]:
    """Return what a killed run left that must not be done again: clips, epochs, stages."""
    staging = repository.folder / ".timbre"
    clips = 0
    for path in staging.glob("extract_spectrograms/*/shard-*.h5"):
        try:
            clips += len(read_index(path).clip_ids)
        except InputError:
            continue  # of a disk that was full
    recorded = (lock(repository) or {}).get("stages", {})
    epochs = epochs_in(staging / "train_cnn" / "checkpoint.safetensors")
    return {"clips": clips, "epochs": epochs, **dict.fromkeys(recorded, 1)}


def epochs_in(checkpoint: Path) -> int:
    """Return the number of epochs that a checkpoint holds."""
    try:
        with safe_open(checkpoint, framework="np") as file:
            return len(json.loads(file.metadata()["checkpoint"])["progress"])
    except (OSError, SafetensorError):
        return 0


def redone(before: dict[str, int], second: Done) -> list[str]:
    """Name finished work that the second run did again."""
    ran_again = RAN.findall(second.output)
    faults = [f"stage {name} was recorded and ran again" for name in ran_again if name in before]
    if (found := COMPUTED.search(second.output)) and before["clips"]:
        faults += [] if before["clips"] + int(found[1]) <= N_CLIPS else ["finished shards redone"]
    if "train_cnn" in ran_again and before["epochs"]:
        found = GOES_ON.search(second.output)
        if not found or int(found[1]) != before["epochs"]:
            faults.append(f"{before['epochs']} finished epochs redone")
    return faults


def _command(number: int) -> str:
    try:
        raw = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return "?"
    return raw.replace(b"\0", b" ").decode(errors="replace")[:90]

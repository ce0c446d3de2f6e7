"""The staging folder of a stage that has ended, kept until DVC has recorded what it made.

DVC hashes and stores outputs when their stage has ended, which takes minutes if they are large. If
it is killed meanwhile, it runs the stage again, and that finds its work in the staging folder.
"""

import os
import shutil
from pathlib import Path

from timbre.atomic import replacing
from timbre.parent import STAGE
from timbre.recorded import LOCK

STAGING, MARK = Path(".timbre"), "delivered"


def deliver(staging: Path) -> None:
    """Mark the staging folder of a stage that is done; remove it where no DVC runs the stage."""
    if STAGE in os.environ:
        with replacing(staging / MARK) as mark:  # half a mark would have the work removed
            mark.write_text(_state(), encoding="utf-8")
    else:
        shutil.rmtree(staging, ignore_errors=True)


def clear_recorded() -> None:
    """Remove the marked folders if DVC has written its record since; the others are in use again.

    Without its mark a folder is that of a run that was killed.
    """
    for mark in STAGING.glob(f"*/{MARK}"):
        if mark.read_text(encoding="utf-8") == _state():
            mark.unlink()
        else:
            shutil.rmtree(mark.parent, ignore_errors=True)


def _state() -> str:
    # DVC writes the file anew also if nothing in it changes.
    return str(LOCK.stat().st_mtime_ns) if LOCK.exists() else ""

"""Work that DVC has not recorded is kept; what it has recorded is not kept twice."""

import errno
import os
from pathlib import Path

import pytest

from timbre.handover import clear_recorded, deliver

STAGE = Path(".timbre/train_cnn")
WORK = STAGE / "deep" / "work"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that DVC runs has done its work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train_cnn")
    WORK.parent.mkdir(parents=True)
    WORK.write_text("work")


def record() -> None:
    """Write dvc.lock as DVC does: in place, whether or not anything changed."""
    lock = Path("dvc.lock")
    before = lock.stat().st_mtime_ns if lock.exists() else 0
    lock.write_text("stages: {}\n")
    os.utime(lock, ns=(before + 1, before + 1))


@pytest.mark.parametrize("recorded_earlier", [False, True])
def test_work_is_kept_until_dvc_has_written_its_record(recorded_earlier: bool) -> None:
    if recorded_earlier:
        record()
    deliver(STAGE)
    clear_recorded()
    assert WORK.read_text() == "work"
    deliver(STAGE)
    record()
    clear_recorded()
    assert not STAGE.exists()


def test_work_that_is_taken_up_again_is_that_of_a_run_that_was_killed() -> None:
    deliver(STAGE)
    clear_recorded()
    record()
    clear_recorded()
    assert WORK.read_text() == "work"


def test_without_dvc_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")
    deliver(STAGE)
    assert not STAGE.exists()
    deliver(STAGE)


def test_a_stage_without_staging_can_deliver() -> None:
    deliver(Path(".timbre/other"))
    record()
    clear_recorded()
    assert not Path(".timbre/other").exists()
    assert WORK.exists()


def test_a_mark_that_could_not_be_written_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        path.touch()
        raise OSError(errno.EFBIG, "File too large")

    record()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fail)
        with pytest.raises(OSError, match="File too large"):
            deliver(STAGE)
    clear_recorded()
    assert WORK.read_text() == "work"

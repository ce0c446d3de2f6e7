"""Nothing works on for one that is gone."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from timbre import parent

REPOSITORY = Path(__file__).parent.parent
# A stage that works for ever; its parent prints its number and waits.
STAGE = "from timbre import command; import time; command._exit_code(lambda: time.sleep(600), [])"
DVC = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=len(sys.argv) > 2)
print(child.pid, flush=True)
child.wait()
"""
SHELL_LINE = f"""
echo $$
{sys.executable} -c "import os; print(os.getpid(), flush=True); {STAGE}"
:
"""
# Workers import what they do; what starts them they do not.
WORK = """
import os, time

def work(seconds):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(seconds)
"""
POOL = """
import signal
from timbre.workers import map_unordered
from work import work

INTERRUPT = False
if __name__ == "__main__":
    if INTERRUPT:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    list(map_unordered(work, [600, 600], 2))
"""


def start(command: list[str], **variables: str) -> "subprocess.Popen[str]":
    own = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    return subprocess.Popen(
        command,
        env={**own, "PYTHONPATH": str(REPOSITORY), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def numbers(process: "subprocess.Popen[str]", n: int) -> list[int]:
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(n)]
    assert all(lines), process.communicate()
    return [int(line) for line in lines]


def ends(pid: int) -> bool:
    """Wait until a process, no child of ours, has ended."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc")


@needs_proc
def test_a_stage_ends_when_the_dvc_that_runs_it_is_killed() -> None:
    dvc = start([sys.executable, "-c", DVC, STAGE], DVC_STAGE="train_cnn")
    (stage,) = numbers(dvc, 1)
    dvc.kill()
    assert ends(stage)
    dvc.communicate()


@needs_proc
def test_a_stage_that_does_not_heed_the_signal_ends_all_the_same() -> None:
    deaf = "from timbre import parent; import signal, time; parent.GRACE = 0.5; "
    deaf += "signal.signal(signal.SIGTERM, lambda *_: None); parent.end_with_dvc(); time.sleep(600)"
    dvc = start([sys.executable, "-c", DVC, deaf], DVC_STAGE="train_cnn")
    (stage,) = numbers(dvc, 1)
    dvc.kill()
    assert ends(stage)
    dvc.communicate()


@needs_proc
def test_a_stage_ends_when_its_dvc_is_killed_and_the_shell_between_them_lives() -> None:
    # With a command after it no shell becomes the stage, as dash never does.
    code = f"import subprocess; subprocess.run(['sh', '-c', {SHELL_LINE!r}])"
    dvc = start([sys.executable, "-c", code], DVC_STAGE="train_cnn", CODE=STAGE)
    shell, stage = numbers(dvc, 2)
    time.sleep(1)  # it has started
    dvc.kill()
    assert ends(stage)
    assert ends(shell)
    dvc.communicate()


@needs_proc
def test_a_stage_that_was_orphaned_while_it_started_ends_too() -> None:
    # Its parent is in another group of processes: nobody who is not DVC's child sees it so.
    dvc = start([sys.executable, "-c", DVC, STAGE, "own group"], DVC_STAGE="train_cnn")
    (stage,) = numbers(dvc, 1)
    assert ends(stage)
    assert dvc.wait(timeout=60) == 0
    dvc.communicate()


@needs_proc
def test_a_stage_run_by_hand_outlives_its_shell() -> None:
    shell = start([sys.executable, "-c", DVC, STAGE])
    (stage,) = numbers(shell, 1)
    time.sleep(1)  # it has started
    shell.kill()
    shell.wait()
    time.sleep(3 * parent.LOOK_EVERY)
    os.kill(stage, 0)
    os.kill(stage, signal.SIGTERM)
    assert ends(stage)
    shell.communicate()


@needs_proc
def test_workers_end_with_the_process_that_made_them(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "pool.py").write_text(POOL)
    pool = start([sys.executable, str(tmp_path / "pool.py")])
    workers = numbers(pool, 2)
    pool.kill()
    assert [ends(worker) for worker in workers] == [True, True]
    pool.communicate()


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_pool_leaves_the_tasks_that_wait(
    number: signal.Signals, tmp_path: Path
) -> None:
    text = POOL.replace("[600, 600]", "[0.5] * 1000")
    text = text.replace("INTERRUPT = False", "INTERRUPT = True")
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "pool.py").write_text(text)
    pool = start([sys.executable, str(tmp_path / "pool.py")])
    numbers(pool, 2)
    pool.send_signal(number)
    output, _ = pool.communicate(timeout=60)  # all tasks would take 250 seconds
    assert len(output.split()) < 20


def test_a_process_that_nobody_made_ends_for_nobody() -> None:
    parent._wait_for_parent()


def test_dvc_is_gone_when_any_who_run_the_stage_are_others_or_of_another_group() -> None:
    own = os.getpgrp()
    dvc, shell, others = (2, own), (3, own), (1, own + 1)
    assert not parent._are_gone([dvc], [dvc])
    assert not parent._are_gone([shell, dvc], [shell, dvc])
    assert parent._are_gone([shell, dvc], [])
    assert parent._are_gone([shell, dvc], [shell, (1, own)])
    assert parent._are_gone([shell, dvc], [shell, others])
    assert parent._are_gone([others], [others])


def test_a_parent_that_is_gone_runs_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    monkeypatch.setattr("os.getppid", lambda: child.pid)
    assert parent._runners() == []


@pytest.mark.parametrize("stage", ["train_cnn", None])
def test_only_a_stage_that_dvc_runs_watches_it(
    stage: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = threading.Event()
    monkeypatch.setattr(parent, "_wait_for_dvc", watched.set)
    if stage:
        monkeypatch.setenv("DVC_STAGE", stage)
    else:
        monkeypatch.delenv("DVC_STAGE", raising=False)
    parent.end_with_dvc()
    assert watched.wait(10 if stage else 0.1) == bool(stage)


def test_orphans_are_asked_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    answers = iter([False, True])
    monkeypatch.setattr(parent, "LOOK_EVERY", 0)
    monkeypatch.setattr(parent, "_are_gone", lambda *_: next(answers))
    monkeypatch.setattr(parent, "GRACE", 0)
    monkeypatch.setattr("os.kill", lambda pid, number: seen.append((pid, number)))
    monkeypatch.setattr("os._exit", lambda code: seen.append((0, code)))
    parent._wait_for_dvc()
    assert seen == [(os.getpid(), signal.SIGTERM), (0, 143)]


def test_a_worker_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def join(self) -> None: ...

    codes: list[int] = []
    monkeypatch.setattr("multiprocessing.parent_process", Gone)
    monkeypatch.setattr("os._exit", codes.append)
    parent.end_with_parent()
    for _ in range(100):
        if codes:
            break
        time.sleep(0.01)
    assert codes == [1]

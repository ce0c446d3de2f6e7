"""What a kill leaves broken is found, explained and, when asked for, repaired."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from clone import Clone

from timbre import doctor

CACHE = Path(".dvc/cache")
STORE = CACHE / "files" / "md5"
SHARD = Path("data/spectrograms/shard-0000.h5")
RECORD = CACHE / "runs" / "ab" / ("ab" * 32)
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="asks /proc")
GONE = 2**22 + 1  # more than Linux counts processes


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def store(content: bytes, ending: str = "") -> Path:
    """Put something into DVC's cache; return where it lies."""
    name = md5(content)
    path = STORE / name[:2] / (name[2:] + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A healthy one: two outputs, recorded, cached and in their places."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "cache_folder", lambda: CACHE)
    for name in (".dvc/tmp", "data/spectrograms", "models"):
        Path(name).mkdir(parents=True)
    SHARD.write_bytes(b"shard")
    Path("models/m.safetensors").write_bytes(b"model")
    store(b"shard")
    store(b"model")
    listed = json.dumps([{"md5": md5(b"shard"), "relpath": SHARD.name}]).encode()
    store(listed, ".dir")
    outs = [
        {"path": "data/spectrograms", "hash": "md5", "md5": f"{md5(listed)}.dir"},
        {"path": "models/m.safetensors", "hash": "md5", "md5": md5(b"model")},
    ]
    lock = {"schema": "2.0", "stages": {"train_cnn": {"cmd": "python", "outs": outs}}}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    RECORD.mkdir(parents=True)
    (RECORD / ("cd" * 32)).write_text(yaml.safe_dump({"cmd": "python", "outs": outs}))


def git(*arguments: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "maintenance.auto=no"]
    subprocess.run(["git", *own, *arguments], check=True, capture_output=True)


def healthy(capsys: pytest.CaptureFixture[str]) -> bool:
    capsys.readouterr()
    return doctor.main([]) == 0 and capsys.readouterr().out == "healthy\n"


def contents() -> dict[Path, bytes]:
    """Return all files and what is in them, but for git's own."""
    files = [path for path in Path().rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path: path.read_bytes() for path in files}


def finding(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return the only problem and its remedy; nothing is changed by looking."""
    before = contents()
    assert doctor.main([]) == 1
    text, remedy, way_out = capsys.readouterr().out.splitlines()
    assert way_out == "1 problem: `python -m timbre.doctor --repair` does what is said above"
    assert contents() == before
    return text, remedy.removeprefix("  to repair: ")


def repair(capsys: pytest.CaptureFixture[str]) -> None:
    """Repair what is found; then nothing is found."""
    assert doctor.main(["--repair"]) == 0
    assert capsys.readouterr().out.endswith("repaired: now run `dvc repro`\n")
    assert healthy(capsys)


@contextmanager
def running(*command: str) -> Iterator[int]:
    """Run a process for a while; yield its number."""
    with subprocess.Popen(command) as process:
        try:
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
                time.sleep(0.01)  # its command is not there from the first moment on
            yield process.pid
        finally:
            process.kill()


def test_a_healthy_repository_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthy(capsys)
    doctor.RWLOCK.write_text("{}")
    assert healthy(capsys)


@pytest.mark.parametrize(
    "content",
    ["", "schema: '2", "schema: '2.0'\nstages:\n  tra", "stages: {a: {outs: [{path: x}]}}"],
)
@pytest.mark.parametrize("committed", ["whole", "broken", "never"])
def test_a_lock_file_cut_off_is_replaced(
    content: str, committed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Path("dvc.lock")
    whole = lock.read_bytes()
    if committed != "never":
        git("init", "--quiet")
        lock.write_bytes(whole if committed == "whole" else b"- broken")
        git("add", "dvc.lock")
        git("commit", "--quiet", "--message", "x")
    lock.write_text(content)
    text, remedy = finding(capsys)
    assert text == (
        "dvc.lock: broken: DVC writes it in place, and was killed or had no room meanwhile"
    )
    where = "removed" if committed == "never" else "the last commit's is put in its place"
    assert remedy == f"{where}; what ran before comes out of DVC's cache"
    repair(capsys)
    assert (lock.read_bytes() if lock.exists() else None) == (
        whole if committed == "whole" else None
    )


@pytest.mark.parametrize("content", ["", '{"write": {"a', "[]", '{"read": {"a": [{}]}}'])
def test_a_file_of_locks_cut_off_is_removed(
    content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor.RWLOCK.write_text(content)
    text, remedy = finding(capsys)
    assert text.startswith(".dvc/tmp/rwlock: broken: DVC writes it in place")
    assert remedy == "removed; no DVC is at work here"
    repair(capsys)


def lock_of(pid: int) -> dict[str, Any]:
    holder = {"pid": pid, "cmd": "dvc repro"}
    return {"write": {"/a": holder, "/b": {}}, "read": {"/c": [holder]}}


def test_locks_of_processes_that_are_gone_are_removed(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.RWLOCK.write_text(json.dumps(lock_of(GONE)))
    assert finding(capsys) == (
        ".dvc/tmp/rwlock: holds locks of processes that are gone (dvc repro)",
        "removed",
    )
    repair(capsys)


@needs_proc
def test_a_number_that_another_process_has_now_is_no_dvc(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running("sleep", "600") as other:
        doctor.RWLOCK.write_text(json.dumps(lock_of(other)))
        assert "that are gone" in finding(capsys)[0]


@needs_proc
def test_where_dvc_is_at_work_nothing_is_touched(capsys: pytest.CaptureFixture[str]) -> None:
    with running(sys.executable, "-c", "import time; time.sleep(600) # dvc") as dvc:
        doctor.RWLOCK.write_text(json.dumps(lock_of(dvc)))
        (RECORD / "broken").write_text("")
        assert doctor.main(["--repair"]) == 1
        told = capsys.readouterr().out
        assert told == (
            f"error: DVC is at work here (process {dvc}: dvc repro): wait until it ends, or "
            "end it\n"
        )
    assert (RECORD / "broken").exists()


def test_a_record_of_a_run_cut_off_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    (RECORD / ".piece.tmp").write_text("cmd: pyth")
    text, remedy = finding(capsys)
    assert text == f"{RECORD}: a record of a run, cut off when DVC was killed: DVC fails on it"
    assert remedy == "removed; the stage runs again"
    repair(capsys)
    assert len(list(RECORD.iterdir())) == 1
    (RECORD / ("cd" * 32)).write_text("cmd: [")
    repair(capsys)
    assert not RECORD.exists()


def test_an_empty_folder_of_records_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    (RECORD.parent / "empty").mkdir()
    assert "DVC fails on it" in finding(capsys)[0]
    repair(capsys)
    assert RECORD.exists()


@pytest.mark.parametrize(("content", "ending"), [(b"shard", ""), (b"other list", ".dir")])
def test_a_flipped_byte_in_the_cache_is_found(
    content: bytes, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store(content, ending)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    path.chmod(0o444)
    text, remedy = finding(capsys)
    assert text == f"{path}: damaged: its bytes are not those that DVC stored under this name"
    assert remedy == "removed; DVC fetches it from a remote, or the stage makes it again"
    repair(capsys)
    assert not path.exists()


def test_a_damaged_list_of_files_names_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    (listed,) = STORE.glob("*/*.dir")
    listed.write_bytes(b"[")
    assert str(listed) in finding(capsys)[0]
    repair(capsys)


@pytest.mark.parametrize("place", [STORE / ".piece.tmp", STORE / "ab" / ".piece.tmp"])
def test_pieces_in_the_cache_are_removed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"pie")
    assert finding(capsys) == (f"{place}: a piece of a file, left when DVC was killed", "removed")
    repair(capsys)


@pytest.mark.parametrize("path", [SHARD, Path("models/m.safetensors")])
def test_a_flipped_byte_in_an_output_is_found_though_its_time_is_the_same(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = path.stat()
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    text, remedy = finding(capsys)
    assert text == f"{path}: not what dvc.lock says: damaged, or changed by hand"
    assert remedy == "removed; DVC brings it back, or the stage makes it"
    repair(capsys)
    assert not path.exists()


@pytest.mark.parametrize(
    "name", [f".m.safetensors.{GONE}.tmp", ".peoK6IUXA_Gh55G-GIyqxg.tmp", ".tmpMssSEo"]
)
@pytest.mark.parametrize("folder", ["models", "data/spectrograms", ".timbre/train_cnn"])
def test_temporary_files_are_removed(
    folder: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    (path.parent / f".m.safetensors.{os.getpid()}.tmp").write_bytes(b"of a process that runs")
    assert finding(capsys) == (f"{path}: a temporary file of a process that was killed", "removed")
    repair(capsys)


def test_several_problems_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    (STORE / ".piece.tmp").write_bytes(b"")
    SHARD.write_bytes(b"other")
    assert doctor.main([]) == 1
    assert "2 problems: `python -m" in capsys.readouterr().out


def test_without_a_repository_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    assert doctor.main([]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path.parent}: no DVC repository here or above: go to the folder with "
        "dvc.yaml, or to one in it\n"
    )


def test_it_examines_the_whole_repository_from_any_folder_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    SHARD.write_bytes(b"other")
    below = tmp_path / "docs" / "deep down"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert doctor.main([]) == 1
    assert capsys.readouterr().out.startswith(f"{SHARD}: not what dvc.lock says")
    assert Path.cwd() == below


@pytest.mark.pipeline
def test_a_finished_pipeline_is_healthy_wherever_its_cache_lies(
    finished: Clone, tmp_path: Path
) -> None:
    clone = finished.copy(tmp_path / "clone")
    assert clone.run("python", "-m", "timbre.doctor").stdout == "healthy\n"
    (clone.folder / ".dvc" / "cache").rename(tmp_path / "cache")
    clone.dvc("config", "cache.dir", str(tmp_path / "cache"))
    damaged = next((tmp_path / "cache" / "files").glob("*/*/*"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    assert f"{damaged}: damaged" in clone.run("python", "-m", "timbre.doctor").stdout
    assert clone.run("python", "-m", "timbre.doctor", "--repair").returncode == 0
    (clone.folder / "models" / "timbre.safetensors").unlink()
    clone.dvc("repro")
    assert clone.digests("models", "metrics") == finished.digests("models", "metrics")

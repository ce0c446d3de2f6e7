import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import pytest
import yaml
from clone import REPOSITORY, Clone

from timbre.cached_output import EarlierInput, cached_files, publish
from timbre.recorded import recorded_input

OUTPUT, FOLDER = Path("data/spectrograms"), Path(".timbre/previous")
CACHE = Path(".dvc/cache/files/md5")
SHARDS = {"shard-0002.h5": b"two", "shard-0000.h5": b"zero", "below/shard-0001.h5": b"one"}
IN_ORDER = [b"one", b"zero", b"two"]  # as their relpaths stand in the alphabet
# Prints what is found, and whether DVC had to be imported for it.
LOOK = """
import json, sys
from pathlib import Path
from timbre.cached_output import cached_files
paths = cached_files(Path("data/spectrograms"), Path(".timbre/previous"))
print(json.dumps([[str(path.absolute()) for path in paths], "dvc.api" in sys.modules]))
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class FakeDVC:
    """Stands for DVCFileSystem; what lies in `local` has a path, the others only a stream."""

    def __init__(self, files: dict[str, bytes], local: dict[str, Path] | None = None) -> None:
        self.files, self.local, self.asked = files, local or {}, 0
        self.opened: list[str] = []
        self.nowhere = ""  # the name of a file that is listed and cannot be had

    def __call__(self, repository: str) -> "FakeDVC":
        assert repository == "."
        self.asked += 1
        return self

    def find(self, path: str, detail: bool) -> list[str]:
        assert not detail
        return [name for name in self.files if name.startswith(f"{path}/")]

    def open(self, name: str, mode: str, cache: bool) -> BinaryIO:
        assert (mode, cache) == ("rb", True)
        self.opened.append(name)
        if name == self.nowhere:
            raise FileNotFoundError(name)
        return self.local[name].open("rb") if name in self.local else io.BytesIO(self.files[name])


class Failing:
    """Stands for a DVCFileSystem that cannot answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, repository: str) -> "Failing":
        assert repository == "."
        raise self.error


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeDVC | Failing) -> None:
    api = ModuleType("dvc.api")
    api.DVCFileSystem = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dvc.api", api)


@pytest.fixture
def dvc(monkeypatch: pytest.MonkeyPatch) -> FakeDVC:
    """DVC's own way, which knows of two files that only it can read."""
    fake = FakeDVC({f"{OUTPUT}/b.h5": b"b", f"{OUTPUT}/a.h5": b"a", "data/other": b""})
    use(monkeypatch, fake)
    return fake


def store(content: bytes, suffix: str = "") -> str:
    """Put a file into the cache as DVC does; return its name there."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix
    path = CACHE / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


def record() -> Path:
    """Write a lock file and a cache as DVC documents them; return where the folder's list lies."""
    listed = [{"md5": store(content), "relpath": name} for name, content in SHARDS.items()]
    folder = store(json.dumps(listed).encode(), ".dir")
    outs = [
        {"path": "data/clips.csv", "hash": "md5", "md5": store(b"clips"), "size": 5},
        {"path": OUTPUT.as_posix(), "hash": "md5", "md5": folder, "size": 10, "nfiles": 3},
    ]
    write_lock({"split": {"cmd": "true"}, "extract": {"cmd": "true", "outs": outs}})
    return CACHE / folder[:2] / folder[2:]


def write_lock(stages: object) -> None:
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def contents() -> list[bytes]:
    return [path.read_bytes() for path in cached_files(OUTPUT, FOLDER)]


def test_recorded_files_are_found_in_the_order_of_their_names_without_dvc(dvc: FakeDVC) -> None:
    record()
    paths = cached_files(OUTPUT, FOLDER)
    assert [path.read_bytes() for path in paths] == IN_ORDER
    assert all(path.is_relative_to(CACHE) for path in paths)
    assert not FOLDER.exists()
    assert dvc.asked == 0


@pytest.mark.parametrize(
    "stages",
    [{}, {"split": {"cmd": "true"}}, {"split": {"outs": [{"path": "data/x", "md5": "0" * 32}]}}],
)
def test_an_output_never_recorded_has_no_files_and_dvc_is_not_asked(
    dvc: FakeDVC, stages: dict[str, object]
) -> None:
    write_lock(stages)
    assert cached_files(OUTPUT, FOLDER) == []
    assert dvc.asked == 0


@pytest.mark.parametrize(
    "lock",
    [
        None,
        b"",
        b"stages: [",
        b"\xff\xfe\x00",
        b"- a list",
        b"stages: {}\nstages: {a: 1}",
        b"stages: {extract: {outs: [{path: data/spectrograms}]}}",
        b"stages: {extract: {outs: [{path: data/spectrograms, md5: 17}]}}",
        b"stages: {extract: {outs: [{md5: 00}]}}",
    ],
)
def test_without_a_usable_lock_file_dvc_is_asked(dvc: FakeDVC, lock: bytes | None) -> None:
    record()
    Path("dvc.lock").unlink()
    if lock is not None:
        Path("dvc.lock").write_bytes(lock)
    assert contents() == [b"a", b"b"]
    assert dvc.asked == 1


@pytest.mark.parametrize("missing", ["list", *SHARDS])
def test_where_a_cached_file_is_missing_dvc_is_asked(dvc: FakeDVC, missing: str) -> None:
    folder = record()
    if missing == "list":
        folder.unlink()
    else:
        md5 = hashlib.md5(SHARDS[missing], usedforsecurity=False).hexdigest()
        (CACHE / md5[:2] / md5[2:]).unlink()
    assert contents() == [b"a", b"b"]
    assert dvc.asked == 1


@pytest.mark.parametrize("content", [b"", b"\x89HDF", b"7", b'{"a": 1}', b'[{"relpath": "a"}]'])
def test_where_the_list_is_no_list_of_files_dvc_is_asked(dvc: FakeDVC, content: bytes) -> None:
    record().write_bytes(content)
    assert contents() == [b"a", b"b"]
    assert dvc.asked == 1


def test_what_lies_in_another_cache_is_read_there_and_what_is_remote_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "cached"
    elsewhere.write_bytes(b"b")
    names = [f"{OUTPUT}/{name}" for name in ("b.h5", "a.h5")]
    use(monkeypatch, FakeDVC({names[0]: b"b", names[1]: b"a"}, local={names[0]: elsewhere}))
    assert cached_files(OUTPUT, FOLDER) == [FOLDER / "a.h5", elsewhere]
    assert [path.read_bytes() for path in FOLDER.iterdir()] == [b"a"]


def test_files_in_the_output_itself_are_copied_for_it_will_be_emptied(dvc: FakeDVC) -> None:
    OUTPUT.mkdir(parents=True)
    (OUTPUT / "shard-0000.h5").write_bytes(b"zero")
    dvc.files = {f"{OUTPUT}/shard-0000.h5": b""}
    dvc.local = {f"{OUTPUT}/shard-0000.h5": OUTPUT / "shard-0000.h5"}
    found = cached_files(OUTPUT, FOLDER)
    assert found == [FOLDER / "shard-0000.h5"]
    publish({"shard-0000.h5": found[0]}, OUTPUT)
    assert (OUTPUT / "shard-0000.h5").read_bytes() == b"zero"


def test_remote_files_of_one_name_in_several_folders_stay_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, FakeDVC({f"{OUTPUT}/{name}/0.h5": name.encode() for name in ("a", "b")}))
    assert [path.read_bytes() for path in cached_files(OUTPUT, FOLDER)] == [b"a", b"b"]


def test_only_what_is_chosen_is_fetched(dvc: FakeDVC) -> None:
    found = cached_files(OUTPUT, FOLDER, lambda names, _: [name for name in names if name > "a.h5"])
    assert [path.read_bytes() for path in found] == [b"b"]
    assert dvc.opened == [f"{OUTPUT}/b.h5"]


def test_where_the_first_does_not_fit_no_other_is_fetched(dvc: FakeDVC) -> None:
    seen: list[bytes] = []

    def fits(path: Path) -> bool:
        seen.append(path.read_bytes())
        return False

    assert cached_files(OUTPUT, FOLDER, fits=fits) == []
    assert (seen, dvc.opened) == ([b"a"], [f"{OUTPUT}/a.h5"])


@pytest.mark.parametrize("error", [KeyError("no such input"), FileNotFoundError("nowhere")])
def test_all_are_fetched_where_nobody_can_choose(dvc: FakeDVC, error: Exception) -> None:
    def choose(names: Sequence[str], _: EarlierInput) -> list[str]:
        raise error

    found = cached_files(OUTPUT, FOLDER, choose)
    assert [path.read_bytes() for path in found] == [b"a", b"b"]


@pytest.mark.parametrize("lost", ["a", "b", "c"])
def test_a_file_that_is_nowhere_costs_no_other(lost: str, dvc: FakeDVC) -> None:
    dvc.files[f"{OUTPUT}/c.h5"] = b"c"
    dvc.nowhere = f"{OUTPUT}/{lost}.h5"
    assert [path.read_bytes() for path in cached_files(OUTPUT, FOLDER)] == [
        name.encode() for name in "abc" if name != lost
    ]


def test_the_input_of_the_last_run_is_known_by_its_record(dvc: FakeDVC) -> None:
    outs = [{"path": "data/clips.csv", "hash": "md5", "md5": "new"}]
    deps = [{"path": "/outside", "etag": "1"}, {"path": "data/clips.csv", "md5": "old"}]
    made = [{"path": OUTPUT.as_posix(), "md5": "0.dir"}]
    write_lock({"encode": {"outs": outs}, "extract": {"deps": deps, "outs": made}, "bare": {}})
    assert recorded_input(OUTPUT, Path("data/clips.csv")) == "old"
    with pytest.raises(LookupError):
        recorded_input(OUTPUT, Path("/outside"))


def test_published_files_are_links_and_nothing_else_is_left_in_the_folder() -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "made").write_bytes(b"new")
    (OUTPUT / "stale").mkdir(parents=True)
    publish({"a/0.h5": FOLDER / "made", "b.h5": FOLDER / "made"}, OUTPUT)
    found = [path for path in sorted(OUTPUT.rglob("*")) if path.is_file()]
    assert found == [OUTPUT / "a/0.h5", OUTPUT / "b.h5"]
    assert all(path.samefile(FOLDER / "made") for path in found)


def test_a_record_whose_files_are_nowhere_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Failing(FileNotFoundError("gone")))
    assert cached_files(OUTPUT, FOLDER) == []
    wrapped = RuntimeError("DVC's own error")
    wrapped.__cause__ = FileNotFoundError("gone")
    use(monkeypatch, Failing(wrapped))
    assert cached_files(OUTPUT, FOLDER) == []
    assert capsys.readouterr().err == ""


def test_what_else_went_wrong_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Failing(RuntimeError("no answer\n  from the remote")))
    assert cached_files(OUTPUT, FOLDER) == []
    assert capsys.readouterr().err == (
        "data/spectrograms: nothing to reuse in DVC's cache (no answer from the remote)\n"
    )


def test_without_a_repository_there_is_nothing_and_nothing_is_said() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (json.loads(done.stdout), done.stderr) == ([[], True], "")


@pytest.mark.pipeline
def test_dvc_names_the_same_bytes_wherever_its_cache_is(finished: Clone, tmp_path: Path) -> None:
    clone = finished.copy(tmp_path / "clone")
    output = clone.folder / OUTPUT
    expected = [path.read_bytes() for path in sorted(output.iterdir())]
    shutil.rmtree(output)  # as DVC does before it runs the stage
    found, asked = look(clone)
    assert not asked
    assert [path.read_bytes() for path in found] == expected
    (clone.folder / ".dvc" / "cache").rename(tmp_path / "elsewhere")
    clone.dvc("config", "--local", "cache.dir", str(tmp_path / "elsewhere"))
    found, asked = look(clone)
    assert asked
    assert [path.read_bytes() for path in found] == expected
    assert all(path.is_relative_to(tmp_path / "elsewhere") for path in found)


def look(clone: Clone) -> tuple[list[Path], bool]:
    """Return what is found in the clone, and whether DVC was asked."""
    done = clone.run("python", "-c", LOOK)
    assert done.returncode == 0, done.stdout
    paths, asked = json.loads(done.stdout)
    return [Path(path) for path in paths], asked

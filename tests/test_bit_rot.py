"""A flipped byte, or a hand that altered a file, is found before the file is used."""

import importlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from clone import Clone, files_below

from timbre import command
from timbre.parent import STAGE
from timbre.recorded import LOCK, cached, check_inputs, recorded_outputs

pytestmark = pytest.mark.pipeline

MODEL = "models/timbre.safetensors"
SHARDS = "data/spectrograms"
# Each kind of file that passes between stages, with a stage that reads it.
READ_BY = {
    "data/bad_headers.csv": "extract_spectrograms",
    "data/clips.csv": "extract_spectrograms",
    "data/quarantine.csv": "split",
    "data/labels.json": "train_cnn",
    "data/copies.csv": "split",
    "data/splits.csv": "train_cnn",
    MODEL: "evaluate",
    "metrics/split.json": "report",
    "metrics/test.json": "report",
    "metrics/robustness.json": "report",
    "plots/learning_curves.csv": "inspect_clips",
    "plots/reliability.csv": "inspect_clips",
}


@pytest.fixture
def clone(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the clone whose pipeline is finished."""
    return finished.copy(tmp_path / "clone")


def rot(path: Path, place: int | None = None) -> None:
    """Flip a bit as a disk does: size, time and permissions stay."""
    before = path.stat()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 if place is None else place] ^= 0x01
    path.chmod(before.st_mode | stat.S_IWUSR)
    path.write_bytes(raw)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def in_cache(clone: Clone, name: str) -> Path:
    """Return where DVC keeps the file that a stage wrote."""
    recorded = recorded_outputs(clone.folder / LOCK)
    (md5,) = {outs[name] for outs in recorded.values() if name in outs}
    return clone.folder / cached(md5)


class Here:
    """Runs stages in this process, which has imported them already."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch, self.capture = patch, capture

    def run(self, clone: Clone, stage: str, by_dvc: bool) -> str:
        """Run a stage that must end with a message; return the message."""
        self.patch.chdir(clone.folder)
        self.patch.setenv("TIMBRE_JOBS", "1")
        if by_dvc:
            self.patch.setenv(STAGE, stage)
        self.patch.setattr(sys, "argv", clone.command(stage)[2:])
        with pytest.raises(SystemExit) as ended:
            command.run(importlib.import_module(f"stages.{stage}").main)
        told = self.capture.readouterr()
        assert ended.value.code == 1, told
        return told.err


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """What runs stages in this process."""
    return Here(monkeypatch, capsys)


def test_every_file_that_stages_share_is_among_them(finished: Clone) -> None:
    recorded = recorded_outputs(finished.folder / LOCK)
    written = {path for outs in recorded.values() for path in outs}
    read = {
        word
        for name in recorded
        for word in finished.command(name)
        if word in written and word not in recorded[name] and (finished.folder / word).is_file()
    }
    assert read == set(READ_BY)


@pytest.mark.parametrize("name", READ_BY)
def test_a_flipped_bit_in_a_file_is_found_before_the_stage_uses_it(
    clone: Clone, here: Here, name: str
) -> None:
    stage = READ_BY[name]
    outputs = ("data", "metrics", "models", "plots")
    rot(clone.folder / name)
    before = clone.digests(*outputs)
    copy = in_cache(clone, name).relative_to(clone.folder)
    message = here.run(clone, stage, by_dvc=True)
    assert f"error: {name}: is not what DVC recorded when it was made" in message
    assert f"delete it and its copy in DVC's cache ({copy}), then run `dvc repro`" in message
    assert clone.digests(*outputs) == before


def test_all_changed_inputs_are_told_at_once(clone: Clone, here: Here) -> None:
    for name in ("data/labels.json", "data/splits.csv"):
        rot(clone.folder / name)
    assert here.run(clone, "train_cnn", by_dvc=True).count("is not what DVC recorded") == 2


def test_a_stage_run_by_hand_takes_the_files_it_is_given(clone: Clone) -> None:
    table = clone.folder / "data" / "copies.csv"
    table.write_text(table.read_text().splitlines(keepends=True)[0])
    assert clone.stage("split").returncode == 0


def test_without_a_record_there_is_nothing_to_compare_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STAGE, "split")
    Path("a").touch()
    check_inputs([Path("a")])
    LOCK.write_text("stages: [")
    check_inputs([Path("a")])
    LOCK.write_text("stages: {split: {outs: [{path: a, md5: x}]}, other: {outs: [{path: b}]}}")
    Path("b").touch()
    check_inputs([Path("a"), Path("b"), Path("c")])


def test_what_dvc_trusts_in_its_cache_is_found_and_the_way_out_leads_out(clone: Clone) -> None:
    name = "data/splits.csv"
    expected = clone.digests(name)
    copy = in_cache(clone, name)
    assert not copy.stat().st_mode & stat.S_IWUSR  # DVC takes it for sound
    rot(copy)
    (clone.folder / name).unlink()
    clone.set_params({"train": {"lr": 0.002}})
    done = clone.run("dvc", "repro", "train_cnn")
    assert done.returncode
    assert clone.digests(name) != expected  # DVC has put the rotten file in place
    told = re.search(rf"{name}: is not what DVC recorded .* cache \((.*?)\)", done.stdout)
    assert told, done.stdout
    assert "Traceback" not in done.stdout
    (clone.folder / name).unlink()
    (clone.folder / told[1]).unlink()
    clone.dvc("repro", "train_cnn")
    assert clone.digests(name) == expected


def a_window(path: Path) -> int:
    """Return a place in a shard where a spectrogram lies."""
    with h5py.File(path, "r") as file:
        return int(file["log_mel"].id.get_chunk_info(0).byte_offset) + 100


@pytest.mark.parametrize("stage", ["find_copies", "train_cnn"])
def test_a_shard_that_extraction_only_links_is_read_with_its_checksums(
    clone: Clone, here: Here, stage: str
) -> None:
    listed = json.loads(in_cache(clone, SHARDS).read_bytes())
    copies = {file["relpath"]: clone.folder / cached(file["md5"]) for file in listed}
    for copy in copies.values():
        rot(copy, a_window(copy))
    shutil.rmtree(clone.folder / SHARDS)
    done = clone.stage("extract_spectrograms")
    assert "0 computed, 36 reused" in done.stdout
    message = here.run(clone, stage, by_dvc=True)
    assert re.search(rf"error: {SHARDS}/shard-\d+\.h5: damaged .* copy in the DVC cache", message)


def test_a_rotten_shard_of_a_condition_is_read_with_its_checksums(clone: Clone, here: Here) -> None:
    rotten = files_below(clone.folder / "data" / "conditions")[0]
    rot(rotten, a_window(rotten))
    message = here.run(clone, "measure_robustness", by_dvc=True)
    assert f"error: {rotten.relative_to(clone.folder)}: damaged" in message


def test_the_model_file_finds_its_own_damage_without_dvc(clone: Clone, here: Here) -> None:
    rot(clone.folder / MODEL)
    done = clone.stage("evaluate")
    assert done.returncode == 1
    assert re.search(
        rf"error: {MODEL}: not a usable Timbre model \(.*SHA-256.*retrain", done.stdout
    )


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


ALTERED: dict[str, tuple[str, str, Callable[[str], str], str]] = {
    "no splits": ("data/splits.csv", "train_cnn", lambda _: "", "it is empty"),
    "splits without rows": (
        "data/splits.csv",
        "train_cnn",
        lambda t: t.splitlines()[0] + "\n",
        "no clip is in the split train",
    ),
    "an unknown split": (
        "data/splits.csv",
        "train_cnn",
        swap(",test", ",exam"),
        "no split named 'exam'",
    ),
    "a test without clips": (
        "data/splits.csv",
        "evaluate",
        swap(",test", ",train"),
        "no clip is in the split test",
    ),
    "targets moved": (
        "data/splits.csv",
        "train_cnn",
        swap(",0,", ",1,"),
        "targets are not those of",
    ),
    "a target beyond all": (
        "data/splits.csv",
        "train_cnn",
        swap(",0,", f",{9**30},"),
        "cannot be used",
    ),
    "a clip of nowhere": (
        "data/splits.csv",
        "train_cnn",
        swap(",train", ",train\nx.wav,a,0,g,train"),
        "splits.csv",
    ),
    "classes in another order": (
        "data/labels.json",
        "train_cnn",
        lambda t: json.dumps({"classes": json.loads(t)["classes"][::-1]}),
        "targets are not those of",
    ),
    "classes nested without end": (
        "data/labels.json",
        "train_cnn",
        lambda _: "[" * 99_999,
        "recursion",
    ),
    "clips twice": (
        "data/clips.csv",
        "find_copies",
        lambda t: t + t.splitlines()[-1] + "\n",
        "twice",
    ),
    "clips of another table": (
        "data/clips.csv",
        "extract_spectrograms",
        swap("sha256", "md5"),
        "cannot be used",
    ),
    "copies without ends": ("data/copies.csv", "split", swap("other", "others"), "others|other"),
    "a page without leaks": (
        "metrics/split.json",
        "report",
        swap("leaks", "leak"),
        "KeyError: 'leaks'",
    ),
    "a page with a list": (
        "metrics/test.json",
        "report",
        lambda _: "[]",
        "not as its stage wrote it",
    ),
    "a page with letters": (
        "metrics/test.json",
        "report",
        swap('"ece": 0', '"ece": "x"or 0'),
        "cannot be read",
    ),
    "a page nested without end": (
        "metrics/robustness.json",
        "report",
        lambda _: "[" * 99_999,
        "recursion",
    ),
}


@pytest.mark.parametrize("case", ALTERED)
def test_a_file_altered_by_hand_is_told_by_the_stage_that_reads_it(
    clone: Clone, here: Here, case: str
) -> None:
    name, stage, change, reason = ALTERED[case]
    path = clone.folder / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    before = clone.digests("metrics", "models", "plots")
    message = here.run(clone, stage, by_dvc=False)
    assert Path(name).name in message
    assert "dvc repro" in message
    assert re.search(reason, message), message
    assert clone.digests("metrics", "models", "plots") == before

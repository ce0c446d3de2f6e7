"""Files that somebody made to do harm: nothing runs, nothing fills the memory, all is told.

Each case is a file made by code. All files of a kind are read in one process of limited memory, by
the readers that the stages use.
"""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from clone import REPOSITORY
from harm import Cases, Harm
from hostile_models import CHECKPOINTS, CLASSIFIERS, MODELS, good
from hostile_shards import SHARDS, fill_shards, good_shard
from limited import MOST_MEMORY, READERS

from timbre.problems import InputError
from timbre.shards import shard_name

Told = dict[str, tuple[str, str] | None]


def read_limited(kind: str, folder: Path) -> Told:
    """Read all files of a folder in a process of limited memory."""
    paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests")))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(REPOSITORY / "tests" / "limited.py"), kind, folder],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


def fill(cases: Cases, folder: Path, suffix: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, (make, _) in cases.items():
        make(folder / f"{name}{suffix}")
    return folder


def answers(kind: str, cases: Cases, factory: pytest.TempPathFactory, suffix: str) -> Told:
    folder = fill(cases, factory.mktemp(kind) / "files", suffix)
    if kind != "checkpoint":
        good(folder / f"whole{suffix}")
    told = read_limited(kind, folder)
    assert not (folder.parent / "harm").exists(), "a pickle was loaded"
    return told


@pytest.fixture(scope="module")
def of_models(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return answers("model", MODELS, tmp_path_factory, ".safetensors")


@pytest.fixture(scope="module")
def of_classifiers(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return answers("classifier", CLASSIFIERS, tmp_path_factory, ".safetensors")


@pytest.fixture(scope="module")
def of_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return answers("checkpoint", CHECKPOINTS, tmp_path_factory, ".safetensors")


@pytest.fixture(scope="module")
def of_shards(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("shard") / "files"
    fill_shards(folder)
    (folder / "whole").mkdir()
    good_shard(folder / "whole" / shard_name(0))
    told = read_limited("shard", folder)
    assert not (folder.parent / "harm").exists(), "a pickle was loaded"
    return told


def test_without_hostility_all_is_read(
    of_models: Told, of_classifiers: Told, of_shards: Told
) -> None:
    assert [told["whole"] for told in (of_models, of_classifiers, of_shards)] == [None] * 3


def test_a_pickle_that_is_loaded_would_be_noticed(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Harm(tmp_path / "harm")))  # noqa: S301 (what the readers must not do)
    assert (tmp_path / "harm").exists()


def test_memory_is_limited_where_files_are_read() -> None:
    code = f"import limited; limited.limit_memory(); bytearray({2 * MOST_MEMORY})"
    paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert "MemoryError" in done.stderr


@pytest.mark.parametrize("name", SHARDS)
def test_a_hostile_shard_is_told_with_file_reason_and_way_out(of_shards: Told, name: str) -> None:
    assert_told(of_shards[name], f"{name}/shard-0000.h5: ", SHARDS[name][1], "dvc repro")


@pytest.mark.parametrize("name", MODELS)
def test_a_hostile_model_is_refused_with_file_reason_and_way_out(
    of_models: Told, name: str
) -> None:
    assert_told(of_models[name], f"{name}.safetensors: ", MODELS[name][1], ": retrain")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_model_with_hostile_features_is_refused(of_classifiers: Told, name: str) -> None:
    assert_told(of_classifiers[name], f"{name}.safetensors: ", CLASSIFIERS[name][1], ": retrain")


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_hostile_checkpoint_is_not_gone_on_with(of_checkpoints: Told, name: str) -> None:
    assert of_checkpoints[name] is None


def assert_told(told: tuple[str, str] | None, file: str, reason: str, way_out: str) -> None:
    assert told is not None, "was taken for a good one"
    kind, message = told
    assert kind == "InputError", message
    for line in message.splitlines():
        assert file in line or file.replace("0000", "0001") in line
        assert way_out in line
    assert re.search(reason, message), message


def told_here(name: str, folder: Path) -> list[str]:
    """Read a hostile shard where memory is not limited; return what is told."""
    path = folder / "files" / name / shard_name(0)
    path.parent.mkdir(parents=True)
    SHARDS[name][0](path)
    with pytest.raises(InputError) as caught:
        READERS["shard"](path)
    return caught.value.problems


@pytest.mark.parametrize("name", SHARDS)
def test_a_hostile_shard_is_told_in_this_very_process(name: str, tmp_path: Path) -> None:
    told = "InputError", "\n".join(told_here(name, tmp_path))
    assert_told(told, f"{name}/shard-0000.h5: ", SHARDS[name][1], "dvc repro")


@pytest.mark.parametrize("name", SHARDS)
def test_a_shard_is_told_alike_where_memory_is_not_limited(
    of_shards: Told, name: str, tmp_path: Path
) -> None:
    told = of_shards[name]
    assert told is not None
    assert len(told_here(name, tmp_path)) == len(told[1].splitlines())


@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("model", name) for name in MODELS), *(("classifier", name) for name in CLASSIFIERS)],
)
def test_a_model_is_told_alike_where_memory_is_not_limited(
    kind: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "files" / "m.safetensors"
    path.parent.mkdir()
    (MODELS | CLASSIFIERS)[name][0](path)
    with pytest.raises(InputError):
        READERS[kind](path)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_is_passed_over_where_memory_is_not_limited(name: str, tmp_path: Path) -> None:
    path = tmp_path / "files" / "c.safetensors"
    path.parent.mkdir()
    CHECKPOINTS[name][0](path)
    READERS["checkpoint"](path)

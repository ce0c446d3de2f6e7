import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clone import Clone

from timbre.problems import InputError
from timbre.runs import Run, ask_dvc, experiments, file_or_revision, flatten, read_runs


def shown(rev: str, name: str | None, metrics: dict[str, Any] | None) -> dict[str, Any]:
    """One run as `dvc exp show --json` writes it."""
    params = {"params.yaml": {"data": {"split": {"fold": 1}, "train": {"channels": [4, 8]}}}}
    files = {f"metrics/{file}.json": {"data": values} for file, values in (metrics or {}).items()}
    data = {"params": params, "metrics": files} if metrics is not None else None
    return {"rev": rev, "name": name, "data": data}


METRICS = {"test": {"accuracy": 0.5, "n_clips": 4, "deep": {"er": 1}, "ok": True, "what": "x"}}
SHOWN = [
    {**shown("workspace", None, METRICS), "experiments": None},
    {
        **shown("abcdef0123", "main", METRICS),
        "experiments": [
            {"revs": [shown("1234567890", "merry-hen", METRICS), shown("9", "older", METRICS)]},
            {"revs": [shown("2234567890", None, {"test": {"accuracy": 0.6}})]},
            {"revs": [shown("3234567890", "queued", {})]},
            {"revs": [shown("4234567890", "failed", None)]},
        ],
    },
]
PARAMS = {"split.fold": 1, "train.channels": [4, 8]}


def test_finished_experiments_are_found_with_their_settings_and_numbers() -> None:
    numbers = {"test.accuracy": 0.5, "test.n_clips": 4.0, "test.deep.er": 1.0}
    assert experiments(SHOWN) == [
        Run("merry-hen", PARAMS, numbers),
        Run("2234567", PARAMS, {"test.accuracy": 0.6}),
    ]


def test_an_experiment_that_is_shown_below_two_commits_counts_once() -> None:
    assert experiments(SHOWN + SHOWN) == experiments(SHOWN)


def test_keys_are_joined_by_dots() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": []}, "e": None}) == {"a.b.c": 1, "a.d": [], "e": None}


def test_files_of_metrics_are_runs_without_settings_and_a_saved_list_is_its_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "test.json").write_text(json.dumps({"accuracy": 0.5}))
    (tmp_path / "shown.json").write_text(json.dumps(SHOWN))
    found = read_runs([tmp_path / "test.json", tmp_path / "shown.json"])
    assert found[0] == Run(str(tmp_path / "test.json"), {}, {"test.accuracy": 0.5})
    assert found[1:] == experiments(SHOWN)


def test_all_files_that_hold_no_metrics_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "text.json").write_text("accuracy")
    with pytest.raises(InputError) as caught:
        read_runs([tmp_path / name for name in ("none.json", "empty.json", "text.json")])
    assert caught.value.problems == [
        f"{tmp_path}/none.json: cannot be read (No such file or directory)",
        f"{tmp_path}/empty.json: holds no metrics: give metrics/test.json of each run",
        f"{tmp_path}/text.json: cannot be read (Expecting value: line 1 column 1 (char 0))",
    ]


def test_what_dvc_lists_is_read_as_a_saved_list_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def show(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, json.dumps(SHOWN), "")

    monkeypatch.setattr(subprocess, "run", show)
    assert ask_dvc(["--num", "3"]) == experiments(SHOWN)
    assert asked == [["dvc", "exp", "show", "--json", "--num", "3"]]


def test_what_dvc_complains_of_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 255, "", "ERROR: unknown Git revision 'v9'\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(InputError) as caught:
        ask_dvc(["--rev", "v9"])
    assert caught.value.problems == [
        "`dvc exp show --json --rev v9` failed: ERROR: unknown Git revision 'v9'"
    ]


def test_without_dvc_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="dvc: no such command: activate the environment"):
        ask_dvc([])


@pytest.mark.pipeline
@pytest.mark.parametrize("below", ["", "docs"])
def test_a_revision_gives_its_output_and_a_file_itself_in_any_folder(
    below: str, finished: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in finished.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(finished.folder / below)
    own = finished.folder / "data" / "predictions.csv"
    with file_or_revision("HEAD", "data/predictions.csv") as path:
        assert path != own
        assert path.read_bytes() == own.read_bytes()
    assert not path.exists()
    with file_or_revision(str(own), "metrics/test.json") as path:
        assert path == own
    with (
        pytest.raises(InputError, match="no-such: no such file, nor a revision with"),
        file_or_revision("no-such", "data/x.csv"),
    ):
        pytest.fail("there is none")


def test_a_revision_needs_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="no such command: activate"), file_or_revision("a", "b"):
        pytest.fail("there is none")

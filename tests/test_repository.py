import subprocess
from pathlib import Path

import pytest

from timbre.problems import InputError
from timbre.repository import cache_folder, find_root


@pytest.mark.parametrize("below", [".", "data", "docs/deep down", "صوت"])
def test_the_root_is_found_from_any_folder_in_it(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / below)
    assert find_root() == tmp_path


def test_of_repositories_in_each_other_the_inner_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (".dvc", "inner/.dvc", "inner/data"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "inner" / "data")
    assert find_root() == tmp_path / "inner"


def test_a_file_named_like_dvcs_folder_is_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dvc").write_text("none")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no DVC repository here or above: go to the folder with"):
        find_root()


def test_the_cache_lies_where_dvc_says(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(0, "noise\n/far/cache\n"), (1, ""), (0, "")])

    def run(*_: object, **__: object) -> "subprocess.CompletedProcess[str]":
        code, text = next(answers)
        return subprocess.CompletedProcess([], code, text, "")

    monkeypatch.setattr("subprocess.run", run)
    usual = Path(".dvc/cache")
    assert [cache_folder() for _ in range(3)] == [Path("/far/cache"), usual, usual]

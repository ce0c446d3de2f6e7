"""A repository with git and DVC in a temporary folder, made from the working tree's files."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.workshop import REPOSITORY, Changes, run_quietly


@dataclass(frozen=True)
class Repository:
    """A git and DVC repository, apart from all that the user's own DVC knows."""

    folder: Path
    home: Path

    def run(self, *command: str) -> float:
        """Run a command in the repository; return its seconds."""
        return run_quietly(list(command), self.folder, self.environment())

    def environment(self) -> dict[str, str]:
        """Return the variables that commands run with."""
        return apart(self.home)

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "A state")


def apart(home: Path) -> dict[str, str]:
    """Return variables that keep git and DVC from all that the user set; theirs lies in `home`."""
    # A git or DVC may be at work around us: what they set is not for ours.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc"),
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def copy_working_tree(folder: Path) -> None:
    """Copy the files that git tracks, or would, into a folder."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        text=True,
        encoding="utf-8",
    )
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():  # listed, but perhaps deleted and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def make_repository(folder: Path) -> Repository:
    """Make an empty repository with git and DVC."""
    repository = Repository(folder / "repository", folder / "home")
    repository.folder.mkdir(parents=True)
    repository.home.mkdir()
    repository.run("git", "init", "--quiet", "--initial-branch", "main")
    repository.run("git", "config", "user.name", "Timbre bench")
    repository.run("git", "config", "user.email", "bench@example.invalid")
    repository.run("dvc", "init", "--quiet")
    return repository


def make_clone(folder: Path, corpus: Path, changes: Changes) -> Repository:
    """Make a repository with the working tree's files, on a corpus that may lie elsewhere."""
    repository = make_repository(folder)
    copy_working_tree(repository.folder)
    (repository.folder / "dvc.lock").unlink()  # of another corpus
    path = repository.folder / "params.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in {**changes, "data": {"root": str(corpus.resolve())}}.items():
        settings[section].update(values)
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    repository.commit()
    return repository

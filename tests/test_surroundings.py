"""A run ends the same wherever it happens: a clock that jumps, no git, no HOME, another locale."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from clone import REPOSITORY, Clone, ran, read_table, write_table

from timbre.clips import read_clips

LONG_AGO, FAR_AHEAD = 315_532_800, 2_208_988_800  # seconds: the years 1980 and 2040
RESULTS = ("data/splits.csv", "models", "metrics", "plots")
# How DVC is told of a folder without git; docs/user-guide.md has the same line.
WITHOUT_GIT = ("dvc", "config", "--local", "core.no_scm", "true")


def set_times(clone: Clone, seconds: int, *names: str) -> None:
    """Give files, or all files in folders, the time of another clock."""
    for name in names:
        place = clone.folder / name
        for path in [place, *place.rglob("*")]:
            if not path.is_symlink():
                os.utime(path, (seconds, seconds))


def change_the_report(clone: Clone) -> None:
    """Change what the last stage hangs on, but nothing that it writes."""
    with (clone.folder / "stages" / "report.py").open("a", encoding="utf-8") as file:
        file.write("# The same as before.\n")


@pytest.mark.pipeline
def test_files_of_another_clock_run_nothing_and_a_change_under_it_is_seen(
    finished: Clone, tmp_path: Path
) -> None:
    clone = finished.copy(tmp_path / "clone")
    inputs, outputs = ("timbre", "stages", "params.yaml", "data/demo"), ("data", "metrics", "plots")
    set_times(clone, FAR_AHEAD, *inputs)
    set_times(clone, LONG_AGO, *outputs)
    assert clone.repro() == []
    change_the_report(clone)
    set_times(clone, LONG_AGO - 1, "stages/report.py", "dvc.lock")
    assert clone.repro() == ["report"]
    assert clone.digests(*RESULTS) == finished.digests(*RESULTS)


def test_no_stage_asks_what_time_it_is() -> None:
    asks = re.compile(
        r"\btime\.(time|ctime|localtime|strftime)|\b(now|utcnow|today)\(|_mtime|_ctime|getmtime"
    )
    paths = [path for name in ("timbre", "stages") for path in (REPOSITORY / name).glob("*.py")]
    found = {path.name: asks.findall(path.read_text(encoding="utf-8")) for path in paths}
    # The record's time tells there whether it is the same one: not which one is newer.
    assert [name for name, calls in found.items() if calls] == ["handover.py"]


@pytest.mark.pipeline
def test_without_git_the_way_out_that_is_documented_leads_out(
    finished: Clone, tmp_path: Path
) -> None:
    clone = finished.copy(tmp_path / "clone")
    shutil.rmtree(clone.folder / ".git")
    refused = clone.run("dvc", "repro")
    assert refused.returncode != 0
    assert "is not a git repository" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert clone.run(*WITHOUT_GIT).returncode == 0
    change_the_report(clone)
    assert clone.repro() == ["report"]
    assert clone.digests(*RESULTS) == finished.digests(*RESULTS)
    assert "`" + " ".join(WITHOUT_GIT) + "`" in (REPOSITORY / "docs/user-guide.md").read_text()


@dataclass(frozen=True)
class Bare(Clone):
    """A clone whose commands know hardly any variable, as those of a timer or of a service."""

    def environment(self) -> dict[str, str]:
        """Return no HOME, and the locale in which other programs know ASCII alone."""
        full, kept = super().environment(), ("PATH", "TIMBRE_JOBS", "OMP_NUM_THREADS")
        own = {name: full[name] for name in full if name in kept or name.startswith("DVC_")}
        return own | {"LC_ALL": "C"}


@pytest.mark.pipeline
def test_names_of_any_script_are_taken_without_a_home_in_the_locale_c_below_any_folder(
    finished: Clone, tmp_path: Path
) -> None:
    usual = finished.copy(tmp_path / "my clone صوت é")
    corpus = usual.folder / "Aufnahmen é"
    shutil.copytree(usual.folder / "data" / "demo", corpus)
    header, *rows = read_table(corpus)
    (corpus / "صوت ü").mkdir()
    for row in rows:
        name = "صوت ü/" + row[0].replace("/", " é")
        (corpus / row[0]).rename(corpus / name)
        row[0], row[1] = name, f"ö {row[1]}"
    write_table(corpus, [header, *rows])
    usual.set_params({"data": {"root": corpus.name}})
    bare = Bare(usual.folder, usual.home)
    output = bare.dvc("repro", "evaluate")
    assert ran(output)[0] == "encode_labels"
    assert ran(output)[-1] == "evaluate"
    assert "36 clips: 0 computed, 36 reused" in output
    assert not re.search(r"warning|Traceback|\\x|\\u|\?\?", output), output
    table = read_clips(usual.folder / "data" / "clips.csv")
    assert set(table["clip_id"]) == {row[0] for row in rows}
    assert set(table["label"]) == {row[1] for row in rows}
    assert "ö " in (usual.folder / "plots" / "confusion.csv").read_text(encoding="utf-8")
    assert ran(usual.dvc("repro", "evaluate")) == []

"""The pages say what is there: parameters, stages, files, links and commands."""

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.cli import parse_args

from timbre.cli import timbre
from timbre.finding_kinds import KINDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARAMS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
STAGES: dict[str, dict[str, Any]] = {
    name: stage
    for path in ("data/dvc.yaml", "dvc.yaml")
    for name, stage in yaml.safe_load((ROOT / path).read_text("utf-8"))["stages"].items()
}
DEFAULTS = {f"{s}.{key}": value for s, keys in PARAMS.items() for key, value in keys.items()}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """Return the README's text below a heading of the second level."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def code(text: str) -> list[str]:
    """Return every line of ```sh blocks and every piece of inline code outside of blocks."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines() if line.strip()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", text))


def commands(text: str, *start: str) -> list[list[str]]:
    """Return the words of each command in `text` that begins with `start`; a pipe joins two."""
    pieces = [piece for line in code(text) for piece in line.split(" | ")]
    return [shlex.split(piece) for piece in pieces if tuple(piece.split()[: len(start)]) == start]


def rows(text: str) -> list[list[str]]:
    """Return the cells of all table rows that begin with inline code."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]


def value(text: str) -> object:
    """Read a cell as params.yaml's values are read; 1e-3 and 0.001 are equal."""
    read = yaml.safe_load(text)
    return number(read)


def number(read: object) -> object:
    try:
        return float(read) if isinstance(read, str) else read
    except ValueError:
        return read


def tree() -> dict[str, list[str]]:
    """Return what the README's tree names: in each folder and, as "", at the top."""
    named: dict[str, list[str]] = {"": []}
    folder = ""
    for line in blocks(section("The tree"), "text")[0].splitlines():
        name, remark = line.split(maxsplit=1)
        assert remark
        if not line.startswith(" "):
            folder = name.rstrip("/")
            named[""].append(folder)
        else:
            named.setdefault(folder, []).append(name.rstrip("/"))
    return named


def in_git(folder: str) -> set[str]:
    """Return the names of what git tracks directly in a folder."""
    listed = subprocess.check_output(["git", "ls-files", f"./{folder}"], cwd=ROOT, text=True)
    inside = [Path(line).relative_to(folder) for line in listed.splitlines()]
    return {path.parts[0] for path in inside}


def anchor(heading: str) -> str:
    """Return the name that a heading has in a link."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_table_of_first_parameters_has_the_defaults_of_params_yaml() -> None:
    """All of them are in docs/parameters.md, which tests/test_site.py holds."""
    told = {
        cells[0].strip("`"): value(cells[1].strip("`")) for cells in rows(section("Parameters"))
    }
    assert told
    assert told == {key: number(DEFAULTS[key]) for key in told}


def test_the_graph_has_exactly_the_edges_of_dvc_yaml() -> None:
    made = {
        next(iter(path)) if isinstance(path, dict) else path: name
        for name, stage in STAGES.items()
        for kind in ("outs", "metrics", "plots")
        for path in stage.get(kind, [])
    }
    deps = [
        (dep.replace("${data.root}", PARAMS["data"]["root"]), name)
        for name, stage in STAGES.items()
        for dep in stage["deps"]
    ]
    edges = {(made[dep], dep, name) for dep, name in deps if dep in made}
    drawn = re.findall(r"(\w+) -->\|(.+?)\| (\w+)", blocks(section("The pipeline"), "mermaid")[0])
    assert sorted(drawn) == sorted(edges)


def test_the_stage_table_names_every_stage_and_its_section() -> None:
    told = {cells[0].strip("`"): cells[2:] for cells in rows(section("The pipeline"))}
    assert told == {
        name: [", ".join(f"`{key}`" for key in keys)] if (keys := stage.get("params")) else []
        for name, stage in STAGES.items()
    }


def test_the_tree_names_only_what_is_there() -> None:
    paths = [Path(folder, name) for folder, names in tree().items() for name in names]
    assert [str(path) for path in paths if not (ROOT / path).exists()] == []
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("folder", ["", "stages", "timbre", "docs"])
def test_the_tree_leaves_nothing_out(folder: str) -> None:
    assert in_git(folder) <= set(tree()[folder])


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, fragment = target.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        to = page.parent / path if path else page
        if not to.exists():
            lost.append(target)
        elif fragment:
            headings = re.findall(r"^#+ (.+)$", to.read_text("utf-8"), re.MULTILINE)
            lost += [target] if fragment not in map(anchor, headings) else []
    assert lost == []


@each_page
def test_the_command_understands_its_commands(page: Path) -> None:
    text = page.read_text("utf-8")
    for words in commands(text, "python", "-m", "timbre") + [
        ["", "", *w] for w in commands(text, "timbre")
    ]:
        name, *rest = words[3:] or ["--help"]
        if name in timbre.commands:
            known = {option for p in timbre.commands[name].params for option in p.opts}
            assert {word for word in rest if re.fullmatch(r"--?[a-z-]+", word)} - {"-"} <= known
        else:
            assert name in ("--help", "COMMAND"), words


@each_page
def test_workflows_are_yaml_and_dvc_understands_their_lines(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "yaml"):
        document = yaml.safe_load(block)
        jobs = document.get("jobs", {}).values()
        lines = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
        for words in map(shlex.split, lines):
            assert words[0] in ("pip", "dvc", "python")
            if words[0] == "dvc":
                parse_args(words[1:])


@each_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {words[1] for words in commands(page.read_text("utf-8"), "make") if words[1:]} <= targets


@each_page
def test_dvc_understands_its_commands(page: Path) -> None:
    for words in commands(page.read_text("utf-8"), "dvc"):
        if words[1:]:
            parse_args(words[1:])  # raises DvcParserError


def test_modules_that_are_called_can_be() -> None:
    called = {w[2] for p in PAGES for w in commands(p.read_text("utf-8"), "python", "-m")}
    own = sorted(name for name in called if name.startswith("timbre."))
    assert own
    for name in own:
        shown = subprocess.check_output([sys.executable, "-m", name, "--help"], cwd=ROOT, text=True)
        assert shown.startswith(f"usage: python -m {name}")
    stages = {name for name in called if name.startswith("stages.")} - {"stages.NAME"}
    assert {name.removeprefix("stages.") for name in stages} <= set(STAGES)


@each_page
def test_parameters_set_on_a_command_line_exist(page: Path) -> None:
    text = "\n".join(code(page.read_text("utf-8")))
    assert set(re.findall(r"(?:-S|--set-param) '?([\w.]+)=", text)) - {"section.key"} <= set(
        DEFAULTS
    )


@each_page
def test_parameters_named_in_a_text_exist(page: Path) -> None:
    sections = "|".join(PARAMS)
    named = {
        match[1]
        for piece in code(page.read_text("utf-8"))
        if (match := re.fullmatch(rf"((?:{sections})\.\w+)(?:[:=].*)?", piece))
    }
    assert named <= set(DEFAULTS) | {"evaluate.py", "split.py"}


def test_the_workflow_runs_what_must_hold_before_a_change_lands() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text("utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    script = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert [step["run"] for step in steps if "run" in step] == [
        line for line in script if line.startswith("make ")
    ]


def test_the_workflow_begins_with_the_oldest_python_that_is_supported() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = workflow["jobs"]["check"]["strategy"]["matrix"]["python"][0]
    assert project["requires-python"] == f">={oldest}"


def test_the_changelog_begins_with_the_present_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert versions[0] == project["version"]


def test_the_check_that_the_guide_shows_says_what_checks_say() -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text("utf-8")
    (shown,) = [block for block in blocks(guide, "text") if block.startswith("data/demo")]
    told = re.findall(r"^(\w+): (.+?)(?:: \d+)?\n(?:  .*\n)*?  why: (.+)\n  do: (.+)$", shown, re.M)
    assert told
    known = {(each.severity, each.title, each.why, each.way_out) for each in KINDS.values()}
    assert set(told) <= known


def test_the_page_on_checks_lists_every_finding_and_its_limits() -> None:
    table = rows((ROOT / "docs" / "check.md").read_text("utf-8"))
    named = {cells[0].strip("`"): cells[1:] for cells in table if "." not in cells[0]}
    assert named == {
        name: [kind.severity, kind.title, kind.way_out] for name, kind in KINDS.items()
    }
    limits = [(cells[0].strip("`").split("."), cells[1]) for cells in table if "." in cells[0]]
    assert len(limits) > 8
    for (module, name), written in limits:
        assert float(written) == getattr(importlib.import_module(f"timbre.{module}"), name)

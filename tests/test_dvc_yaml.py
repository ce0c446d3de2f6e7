"""dvc.yaml says what the code does; a missing dependency serves stale results."""

import ast
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from timbre.params import Section

ROOT = Path(__file__).parent.parent
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
DEMO: dict[str, Any] = yaml.safe_load((ROOT / "data/dvc.yaml").read_text())
STAGES: dict[str, dict[str, Any]] = {**DEMO["stages"], **PIPELINE["stages"]}
PARAMS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "params.yaml").read_text())

PAGES = "timbre/pages"  # what modules read of their own package

each_stage = pytest.mark.parametrize("name", STAGES)


def module_file(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and candidate.read_text().strip():
            return candidate
    return None


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def closure(path: Path) -> set[Path]:
    """The project's own files that run when `path` runs, `path` included."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [f for f in map(module_file, imported_modules(current)) if f]
    return found


def pages_of(path: Path) -> set[Path]:
    """The files of timbre/pages that `path`, or a module that it imports, names."""
    named = {
        node.value
        for module in closure(path)
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {page for page in (ROOT / PAGES).iterdir() if page.name in named}


def paths_of(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def stage_paths(stage: dict[str, Any], *kinds: str) -> list[str]:
    return [path for kind in kinds for path in paths_of(stage.get(kind, []))]


def sections_of(name: str) -> list[type[Section]]:
    """The models of sections that a stage's script names: its own first, then those it shares."""
    module = importlib.import_module(f"stages.{name}")
    found = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Section) and value is not Section
    }
    return sorted(found, key=lambda model: model.__module__ != module.__name__)


def is_code(dep: str) -> bool:
    return dep.endswith(".py") or dep.startswith(f"{PAGES}/")


@each_stage
def test_python_dependencies_are_exactly_the_import_closure(name: str) -> None:
    listed = [dep for dep in STAGES[name]["deps"] if is_code(dep)]
    script = ROOT / f"stages/{name}.py"
    needed = sorted(str(path.relative_to(ROOT)) for path in closure(script) | pages_of(script))
    assert listed == needed


def test_every_page_is_some_stages() -> None:
    used = {page for stage in STAGES for page in pages_of(ROOT / f"stages/{stage}.py")}
    assert used == set((ROOT / PAGES).iterdir())


def test_no_import_is_relative() -> None:
    for path in [*ROOT.glob("timbre/*.py"), *ROOT.glob("stages/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level], path


def test_no_stage_imports_a_stage() -> None:
    for path in ROOT.glob("stages/*.py"):
        assert not [name for name in imported_modules(path) if name.split(".")[0] == "stages"], path


def test_the_packages_init_files_are_empty() -> None:
    assert [(ROOT / package / "__init__.py").read_text() for package in ("timbre", "stages")] == [
        "",
        "",
    ]


def test_stage_files_are_exactly_the_stages() -> None:
    files = {path.stem for path in ROOT.glob("stages/*.py")} - {"__init__"}
    assert files == set(STAGES)


def test_params_sections_are_exactly_what_the_stages_read() -> None:
    read = {key for stage in STAGES.values() for key in stage.get("params", []) if "." not in key}
    assert read == set(PARAMS)


@each_stage
def test_a_section_holds_exactly_the_keys_of_its_model(name: str) -> None:
    whole = [key for key in STAGES[name].get("params", []) if "." not in key]
    models = sections_of(name)
    assert len(whole) == (1 if models else 0)
    for section, model in zip(whole, models, strict=False):
        assert set(PARAMS[section]) == set(model.model_fields)
        assert all(field.is_required() for field in model.model_fields.values())
        model.model_validate(PARAMS[section])


@each_stage
def test_single_keys_of_another_section_are_exactly_those_of_its_shared_model(name: str) -> None:
    single = [key.split(".") for key in STAGES[name].get("params", []) if "." in key]
    own, *shared = sections_of(name) or [Section]
    needed = {key for model in shared for key in model.model_fields} - set(own.model_fields)
    assert {key for _, key in single} == needed
    for section, key in single:
        assert key in PARAMS[section]


@each_stage
def test_paths_in_the_command_are_exactly_dependencies_and_outputs(name: str) -> None:
    stage = STAGES[name]
    words = shlex.split(stage["cmd"])
    assert words[:3] == ["python", "-m", f"stages.{name}"]
    data = [dep for dep in stage.get("deps", []) if not is_code(dep)]
    named = [re.sub(r"^params:(.+)$", r"${\1}", word) for word in words[3:]]
    assert sorted(named) == sorted(data + stage_paths(stage, "outs", "metrics", "plots"))


@each_stage
def test_no_shell_reads_a_value_of_params_yaml(name: str) -> None:
    assert "$" not in STAGES[name]["cmd"]


@each_stage
def test_the_command_names_as_many_paths_as_main_takes(name: str) -> None:
    main = importlib.import_module(f"stages.{name}").main
    assert len(shlex.split(STAGES[name]["cmd"])) - 3 == main.__code__.co_argcount


@each_stage
def test_a_stage_says_what_it_does(name: str) -> None:
    assert len(STAGES[name]["desc"]) > 10


@each_stage
def test_metrics_are_kept_in_git(name: str) -> None:
    for entry in STAGES[name].get("metrics", []):
        assert isinstance(entry, dict), entry
        assert list(entry.values()) == [{"cache": False}]


def test_plots_are_drawn_from_what_stages_write() -> None:
    written = {path for stage in STAGES.values() for path in stage_paths(stage, "outs", "plots")}
    for entry in PIPELINE["plots"]:
        drawn = {entry} if isinstance(entry, str) else set(next(iter(entry.values()))["y"])
        assert drawn <= written


def test_the_artifact_is_what_a_stage_writes() -> None:
    written = {path for stage in STAGES.values() for path in stage_paths(stage, "outs")}
    assert {entry["path"] for entry in PIPELINE["artifacts"].values()} <= written

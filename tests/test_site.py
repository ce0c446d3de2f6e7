"""The pages that are written by programs are what those would write, and the site is whole."""

import importlib.util
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from clone import REPOSITORY

from docs import parameters, pipeline

DOCS = REPOSITORY / "docs"
MOST_BYTES = 150_000  # of a picture
PARAMS: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "params.yaml").read_text("utf-8"))


def test_the_page_of_parameters_is_what_the_code_says() -> None:
    kept = (DOCS / "parameters.md").read_text(encoding="utf-8")
    assert kept == parameters.current(), "run `python -m docs.parameters`"


def test_each_parameter_has_its_line_with_a_meaning() -> None:
    lines = re.findall(r"^\| `([\w.]+)` \|.*\| (.+?) \|$", parameters.current(), re.M)
    assert [key for key, _ in lines] == [f"{s}.{key}" for s, keys in PARAMS.items() for key in keys]
    assert [key for key, meaning in lines if len(meaning) < 6] == []


def field(schema: dict[str, Any]) -> tuple[str, str]:
    return parameters.kind(schema), parameters.allowed(schema)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "integer", "minimum": 2}, ("whole number", "at least 2")),
        (
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ("number", "above 0, below 1"),
        ),
        ({"type": "number", "minimum": 0, "maximum": 0.5}, ("number", "at least 0, at most 0.5")),
        ({"type": "integer", "maximum": 384_000}, ("whole number", "at most 384000")),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, ("number or empty", "")),
        (
            {"type": "array", "items": {"type": "integer"}, "maxItems": 6},
            ("list of whole numbers", "at most 6 of them"),
        ),
        ({"type": "string", "enum": ["a", "b"]}, ("text", "`a`, `b`")),
        (
            {"type": "string", "pattern": r"^(auto|mps|cuda(:\d+)?)$"},
            ("text", "`auto`, `mps`, `cuda`, `cuda:1`"),
        ),
        ({"type": "boolean"}, ("true or false", "")),
    ],
)
def test_types_and_ranges_are_told_in_plain_words(
    schema: dict[str, Any], told: tuple[str, str]
) -> None:
    assert field(schema) == told


def test_a_comment_is_the_meaning_of_the_key_on_its_line() -> None:
    text = """# head
one:
  a: 1  # is a | b
  b: '#'
  c:    # a list
  - x   # of no key
two:
  a: 2  # docs/leaks.md
"""
    assert parameters.comments(text) == {
        "one.a": "is a | b",
        "one.c": "a list",
        "two.a": "[leaks](leaks.md)",
    }
    line = parameters.row("one", "a", {"type": "integer"}, 1, {"one.a": "is a | b"})
    assert line == r"| `one.a` | whole number |  | `1` | is a \| b |"


def test_the_picture_of_the_pipeline_is_what_dvc_yaml_says() -> None:
    kept = (DOCS / "pictures" / "pipeline.svg").read_text(encoding="utf-8")
    assert kept == pipeline.picture(), "run `python -m docs.pipeline`"


def test_the_picture_has_a_box_a_stage_and_an_arrow_an_edge() -> None:
    drawn = ElementTree.fromstring(pipeline.picture())  # noqa: S314 (our own)
    svg = "{http://www.w3.org/2000/svg}"
    described = pipeline.stages()
    names = [text.text for text in drawn.iter(f"{svg}text") if text.get("class") == "name"]
    assert sorted(map(str, names)) == sorted(described)
    arrows = [path for path in drawn.iter(f"{svg}path") if path.get("class") == "arrow"]
    assert len(arrows) == len(pipeline.edges(described, PARAMS["data"]["root"])) > 20


def test_nobody_reads_from_a_stage_below() -> None:
    described = pipeline.stages()
    found = pipeline.edges(described, PARAMS["data"]["root"])
    placed = pipeline.rows(described, found)
    assert all(placed[source] < placed[target] for source, target in found)


def test_pictures_are_small_and_each_is_shown() -> None:
    pages = [*REPOSITORY.glob("*.md"), *DOCS.glob("*.md")]
    shown = {
        (page.parent / target).resolve()
        for page in pages
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    pictures = set((DOCS / "pictures").iterdir())
    assert pictures == shown
    assert [path.name for path in pictures if path.stat().st_size > MOST_BYTES] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a link that leads nowhere ends this. Skip without mkdocs, but fail in CI."""
    if importlib.util.find_spec("material") is None:
        message = "needs mkdocs-material: pip install -e '.[docs]'"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("site") / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_has_every_page_and_no_other_file_of_the_repository(site: Path) -> None:
    pages = [*REPOSITORY.glob("*.md"), *DOCS.glob("*.md")]
    wanted = {page.relative_to(REPOSITORY).with_suffix(".html").as_posix() for page in pages}
    built = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    own = {name for name in built if not name.startswith("metrics/")}
    assert own == (wanted - {"README.html"}) | {"index.html", "404.html"}
    assert not [path for path in site.rglob("*") if path.suffix in (".py", ".wav", ".safetensors")]


def test_the_site_asks_no_other_server_for_anything(site: Path) -> None:
    asked = re.compile(r"<(?:script|img|iframe)[^>]+src=\"?https?:|<link[^>]+href=\"?https?:")
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not asked.search(text), page
        assert 'class="mermaid"' not in text, page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:", style.read_text(encoding="utf-8")), style


def test_the_graph_is_a_picture_in_the_site(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert 'src="docs/pictures/pipeline.svg"' in text
    assert "flowchart LR" not in text

import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from timbre import page
from timbre.page import FOLDER, digest, render, with_code

ROOT = Path(__file__).resolve().parents[1]
CSS = (FOLDER / "report.css").read_text(encoding="utf-8")
ENOUGH = 4.5  # contrast of text and what lies behind it: WCAG 2.2, level AA
WRITTEN = [
    *product(("text", "faint", "accent"), ("ground", "raised")),
    *product(("wrong", "unsure", "unknown", "good"), ("raised",)),
    *(("on-pale", f"{kind}{n}") for kind in ("hit", "miss") for n in (0, 1, 2)),
    *(("on-deep", f"{kind}{n}") for kind in ("hit", "miss") for n in (3, 4, 5)),
    ("wrong", "ground"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small template with its style and script."""
    (tmp_path / "a.css").write_text("b > i { color: red }\n")
    (tmp_path / "a.js").write_text('"use strict"; 1 < 2 && "x";\n')
    (tmp_path / "a.html").write_text(
        '<meta content="{{ policy }}"><style>{{ css }}</style>'
        '<p title="{{ told }}">{{ told }}</p><script>{{ js }}</script>'
    )
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    return tmp_path


def test_what_is_put_in_is_escaped_and_our_own_files_are_not(folder: Path) -> None:
    text = render("a.html", "a.css", "a.js", told="\"'><script>alert(1)</script>&amp;")
    assert text.count("<script>") == 1
    told = "&#34;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;"
    assert f'<p title="{told}">{told}</p>' in text
    assert '<script>"use strict"; 1 < 2 && "x";\n</script>' in text
    assert "<style>b > i { color: red }\n</style>" in text


def test_the_policy_names_the_very_style_and_script_of_the_page(folder: Path) -> None:
    text = render("a.html", "a.css", "a.js", told="")
    (policy,) = re.findall(r'<meta content="(.+?)">', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    for tag in ("style", "script"):
        (own,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert rules[f"{tag}-src"] == f"'{digest(own)}'"
    assert {rules["img-src"], rules["media-src"]} == {"data:"}


def test_a_value_that_is_missing_is_our_mistake_and_no_empty_place(folder: Path) -> None:
    with pytest.raises(UndefinedError):
        render("a.html", "a.css", "a.js")


def test_backticks_become_code_and_all_else_is_escaped() -> None:
    assert with_code("`a<b>` costs 3 & more") == "<code>a&lt;b&gt;</code> costs 3 &amp; more"
    assert with_code("one ` alone") == "one ` alone"


@given(st.text(alphabet="<>&\"'`ab "))
def test_no_line_of_text_makes_markup_of_its_own(text: str) -> None:
    assert "<" not in with_code(text).replace("<code>", "").replace("</code>", "")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def themes() -> list[dict[str, str]]:
    """Return the colours of the light theme and, twice, of the dark one."""
    blocks = re.findall(r":root[^{]*\{([^}]*--ground[^}]*)\}", CSS.split("@media print")[0])
    return [colours(block) for block in blocks]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, 0 black to 1 white (WCAG 2.2)."""
    shares = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_dark_theme_is_the_same_whether_the_system_or_the_reader_asks_for_it() -> None:
    light, by_system, by_reader = themes()
    assert by_system == by_reader
    assert light.keys() == by_system.keys()


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_all_that_is_written_can_be_read(theme: int) -> None:
    found = themes()[theme]
    pale = {pair: contrast(found[pair[0]], found[pair[1]]) for pair in WRITTEN}
    assert {pair: value for pair, value in pale.items() if value < ENOUGH} == {}


def test_black_on_white_has_the_highest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_an_installed_package_has_the_pages_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["timbre"]
    packed = {path for pattern in patterns for path in (ROOT / "timbre").glob(pattern)}
    assert set(FOLDER.iterdir()) <= packed

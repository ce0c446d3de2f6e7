"""Write docs/parameters.md: every setting with type, range, default and meaning.

Types and ranges are those of the pydantic models that the stages read their sections with; defaults
and meanings are those of params.yaml:

    python -m docs.parameters
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from timbre.params import Section

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parameters.md"
MOST_LISTED = 8  # values of a default; a longer list is counted
HEAD = """\
# Parameters

<!-- Written by `python -m docs.parameters` from params.yaml and the stages: do not edit. -->

All settings are in [`params.yaml`](../params.yaml), each once, and each stage reads its own. A
wrong value ends with a line that names it and says what is allowed. For one run:

```sh
dvc exp run -S train.lr=1e-4 -S 'train.channels=[32,64,128]'
```

A stage runs again when its section changes, and what depends on it. Which to look at first for a
corpus of your own is in the [user guide](user-guide.md#parameters).
"""
COLUMNS = "| key | type | allowed | default | meaning |\n|---|---|---|---|---|"
BOUNDS = {
    "exclusiveMinimum": "above {}",
    "minimum": "at least {}",
    "exclusiveMaximum": "below {}",
    "maximum": "at most {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}
Schema = Mapping[str, Any]  # of a field, as JSON Schema has it


def page(params: str, pipeline: str) -> str:
    """Return the page; `params` and `pipeline` are the texts of params.yaml and dvc.yaml."""
    values, meanings = yaml.safe_load(params), comments(params)
    parts = [HEAD]
    stages = yaml.safe_load(pipeline)["stages"]
    read = {name: (stage, model) for name, stage, model in sections(stages)}
    for name in values:
        stage, model = read[name]
        fields = model.model_json_schema()["properties"]
        rows = [row(name, key, fields[key], values[name][key], meanings) for key in values[name]]
        parts.append("\n".join([f"\n## {name}\n\nRead by `{stage}`.\n\n{COLUMNS}", *rows, ""]))
    return "".join(parts)


def sections(stages: Mapping[str, Any]) -> Iterator[tuple[str, str, type[Section]]]:
    """Yield each section that a stage reads as a whole, the stage, and its model of the section."""
    for stage, described in stages.items():
        module = importlib.import_module(f"stages.{stage}")
        models = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Section) and value is not Section
        ]
        models.sort(key=lambda model: model.__module__ != module.__name__)
        for name in described.get("params", []):
            if "." not in name:
                yield name, stage, models[0]


def comments(params: str) -> dict[str, str]:
    """Return the comment on the line of each key, "section.key" to text."""
    found, section = {}, ""
    for line in params.splitlines():
        if match := re.match(r"(\w+):", line):
            section = match[1]
        elif match := re.match(r"  (\w+):.*?\s# +(.+)$", line):
            linked = re.sub(r"docs/([\w-]+)\.md", r"[\1](\1.md)", match[2])
            found[f"{section}.{match[1]}"] = linked
    return found


def row(section: str, key: str, field: Schema, default: object, meanings: Mapping[str, str]) -> str:
    """Return the table's line of a key."""
    cells = [
        f"`{section}.{key}`",
        kind(field),
        allowed(field),
        shown(default),
        meanings.get(f"{section}.{key}", ""),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def kind(field: Schema) -> str:
    """Name the type of a field in plain words."""
    if "anyOf" in field:
        return " or ".join(kind(choice) for choice in field["anyOf"])
    if field["type"] == "array":
        return f"list of {kind(field['items'])}s"
    names = {"integer": "whole number", "boolean": "true or false", "string": "text"}
    return {**names, "number": "number", "null": "empty"}[field["type"]]


def allowed(field: Schema) -> str:
    """Say which values of its type a field takes; "" for all."""
    if "anyOf" in field:
        return "; ".join(filter(None, map(allowed, field["anyOf"])))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "pattern" in field:
        return ", ".join(f"`{value}`" for value in alternatives(field["pattern"]))
    bounds = [text.format(f"{field[name]:g}") for name, text in BOUNDS.items() if name in field]
    return ", ".join(bounds)


def alternatives(pattern: str) -> list[str]:
    """Return what a pattern like ^(auto|cpu|cuda(:\\d+)?)$ takes, with 1 for a number."""
    inner = re.fullmatch(r"\^\((.+)\)\$", pattern)
    if not inner:
        return [pattern]
    found: list[str] = []
    for choice in inner[1].split("|"):
        plain = re.sub(r"\(.+?\)\?", "", choice)
        whole = re.sub(r"\((.+?)\)\?", r"\1", choice).replace(r"\d+", "1")
        found += dict.fromkeys([plain, whole])
    return found


def shown(default: object) -> str:
    """Return a default as params.yaml may have it."""
    if isinstance(default, list) and len(default) > MOST_LISTED:
        return f"{len(default)} of them, see `params.yaml`"
    text = yaml.safe_dump(default, default_flow_style=True, width=1000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def current() -> str:
    """Return the page as it should be now."""
    texts = ((ROOT / name).read_text(encoding="utf-8") for name in ("params.yaml", "dvc.yaml"))
    return page(*texts)


if __name__ == "__main__":
    PAGE.write_text(current(), encoding="utf-8", newline="\n")

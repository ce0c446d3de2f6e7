"""One section of params.yaml as a checked, typed object."""

import difflib
import os
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from timbre.problems import InputError

# Its plugins would be looked for among all installed packages: a tenth of a stage's start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

NUMBERS = (int, float, int | None, float | None)


class Section(BaseModel):
    """Base of every stage's parameters: no unknown keys, no defaults, no NaN, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_booleans_as_numbers(cls, values: dict[str, Any]) -> dict[str, Any]:
        # pydantic would read `lr: true` as 1.0 and `augment: 1` as True: both are slips of the pen.
        for key, field in cls.model_fields.items():
            value = values.get(key)
            if isinstance(value, bool) and field.annotation in NUMBERS:
                raise ValueError(f"{key}: {value} is not a number")
        return values


AnySection = TypeVar("AnySection", bound=Section)


def read_section(
    name: str,
    model: type[AnySection],
    path: Path = Path("params.yaml"),
    *,
    own_keys: bool = False,
) -> AnySection:
    """Read section `name` of the YAML file `path` into `model`; with `own_keys`, only its keys.

    `own_keys` is for a stage that needs part of a section; another one checks the whole. Raises
    InputError with one line a problem: the key, the value, what is allowed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run from the repository's top folder") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not isinstance(document.get(name), dict):
        raise InputError(f"{path}: section '{name}' is missing or not a mapping")
    values = document[name]
    if own_keys:
        values = {key: value for key, value in values.items() if key in model.model_fields}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(_lines(name, model, error, path)) from None


def _lines(section: str, model: type[Section], error: ValidationError, path: Path) -> list[str]:
    lines = []
    for detail in error.errors():
        key = ".".join([section, *map(str, detail["loc"])])
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(detail["loc"][-1]), model.model_fields, n=1)
            hint = f"did you mean '{section}.{near[0]}'?" if near else "no such key; remove it"
            lines.append(f"{path}: {key}: unknown key: {hint}")
        elif detail["type"] == "missing":
            lines.append(f"{path}: {key}: missing: add it")
        else:
            reason = detail["msg"].removeprefix("Value error, ")
            shown = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
            lines.append(f"{path}: {key}: {reason}{shown}")
    return lines

"""Checked values from files: YAML and JSON in, pydantic models or one clear sentence out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from es_reasonrank.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)


class Checked(BaseModel):
    """Base of every model of options: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what was probably meant: " (did you mean 'window'?)", or the whole list where nothing is near."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(choices)})" if choices else ""


def checked(model: type[Model], values: Mapping[str, Any], *, where: str) -> Model:
    """`values` as a `model`.

    Args:
        where: what the values belong to, for the error's sentence: "profile reasonrank, judge".

    Raises:
        SettingsError: naming the first wrong key, what is wrong with it, and the nearest valid key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_sentence(error, model)}") from error


def _sentence(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(path[-1], _keys(model, path[:-1]))}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    given = first.get("input")
    shown = "" if isinstance(given, Mapping) else f", not {given!r}"
    message = first["msg"].removeprefix("Value error, ")
    reason = message[:1].lower() + message[1:]
    return f"key {key!r}: {reason}{shown}" if key else reason


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The valid keys at `path` inside `model`; a mapping's values are models of one kind."""
    inner: Any = model
    for part in path:
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            field = inner.model_fields.get(part)
            inner = field.annotation if field else None
        else:
            inner = (get_args(inner) or (None,))[-1]
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []


def read_yaml(path: Path, *, what: str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or holds something else than a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{what} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{what} {path} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{what} {path}{place} is not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{what} {path} must hold keys and values, not {type(content).__name__}")
    return content


def yaml_files(package: str) -> dict[str, Path]:
    """The YAML files of a package by their names."""
    files = (Path(str(file)) for file in resources.files(package).iterdir())
    return {file.stem: file for file in files if file.suffix == ".yaml"}


def yaml_path(name: str, known: Mapping[str, Path], *, what: str) -> Path:
    """One of the known files by its name, or the YAML file of that path.

    Raises:
        SettingsError: it is neither.
    """
    path = known.get(name, Path(name))
    if name not in known and path.suffix not in (".yaml", ".yml"):
        raise SettingsError(
            f"unknown {what} {name!r}{nearest(name, known)}; a {what} of yours is named by its YAML file"
        )
    return path


def assigned_value(assignment: str) -> Any:
    """The value of "key=value", written as in YAML.

    Raises:
        SettingsError: it is none.
    """
    text = assignment.partition("=")[2]
    try:
        return yaml.safe_load(text) if text.strip() else ""
    except yaml.YAMLError as error:
        raise SettingsError(f"{assignment!r}: {text!r} is no YAML value; put it in quotes") from error


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested mappings: put(tree, "elastic.url", ...)."""
    *parents, last = key.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value

"""One settings tree. A value comes from a flag, else the environment, else a file, else the default.

    flag  >  ES_REASONRANK_ELASTIC_URL  >  ./es_reasonrank.yaml  >  the user's config.yaml  >  default

`load` keeps where each value came from, for `es-reasonrank config show`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, SecretStr

from es_reasonrank.paths import config_file
from es_reasonrank.service_settings import ServiceSettings
from es_reasonrank.validation import Checked, checked, put, read_yaml

PREFIX = "ES_REASONRANK_"
PROJECT_FILE = Path("es_reasonrank.yaml")


class ElasticSettings(Checked):
    """How to reach Elasticsearch."""

    url: str | None = Field(None, description="Address of the cluster; without it, the embedded server that runs here.")
    api_key: SecretStr | None = Field(None, description="API key, in the encoded form.")
    username: str | None = Field(None, description="User for basic authentication.")
    password: SecretStr | None = Field(None, description="Password for basic authentication.")
    ca_certs: Path | None = Field(None, description="File with the certificate authority of the cluster.")
    verify_certs: bool = Field(True, description="Whether the server's certificate is checked.")
    timeout: float = Field(30.0, gt=0, description="Seconds that one request to Elasticsearch may take.")


class EngineSettings(Checked):
    """What replaces a profile's own engine: the same ranker, served elsewhere."""

    name: str | None = Field(None, description="Engine to use instead of the profile's: vllm, openai, transformers...")
    model: str | None = Field(None, description="Model's name or path instead of the profile's.")
    base_url: str | None = Field(None, description="Address of an OpenAI-compatible server; implies engine openai.")
    api_key: SecretStr | None = Field(None, description="API key of that server.")
    tokenizer: str | None = Field(None, description="Tokenizer's name or path, where the server cannot tokenize.")


class CacheSettings(Checked):
    """Where verdicts are remembered, and for how long."""

    index: str | None = Field(None, description="Index that remembers verdicts; without it, none is remembered.")
    size: int = Field(1_000_000, ge=1, description="Verdicts that are kept, about; the oldest go first.")
    ttl: float = Field(30 * 86_400.0, gt=0, description="Seconds that a verdict is kept.")


class Settings(Checked):
    """Everything that can be set outside a profile."""

    profile: str = Field("encoder", description="Profile to rank with: a name or a YAML file.")
    depth: int | None = Field(None, ge=0, description="Hits to rerank; without it, the profile's depth.")
    fields: tuple[str, ...] = Field((), description="Fields that hold a hit's text; without them, title and body.")
    elastic: ElasticSettings = ElasticSettings()
    engine: EngineSettings = EngineSettings()
    cache: CacheSettings = CacheSettings()
    service: ServiceSettings = ServiceSettings()


@dataclass(frozen=True)
class Loaded:
    """Settings, and for each dotted key the name of the source that gave its value."""

    settings: Settings
    origins: dict[str, str]


def load(flags: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read every source and check the result.

    Args:
        flags: dotted keys and values from the command line; None values count as not given.
        environ: the environment, `os.environ` by default.

    Raises:
        SettingsError: a file, key or value is wrong; it names the source.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in reversed(list(_sources(flags or {}, os.environ if environ is None else environ))):
        checked(Settings, values, where=origin)
        for key, value in _flatten(values):
            origins[key] = origin
            put(merged, key, value)
    settings = checked(Settings, merged, where="settings")
    return Loaded(settings, {key: origins.get(key, "default") for key, _ in leaves()})


def leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every dotted key of the tree with its description."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or ""


def variable(key: str) -> str:
    """The environment variable of a dotted key: elastic.url is ES_REASONRANK_ELASTIC_URL."""
    return PREFIX + key.replace(".", "_").upper()


def value_at(settings: BaseModel, key: str) -> Any:
    """The value of a dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _sources(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Highest precedence first."""
    yield "flag", _nest({key: value for key, value in flags.items() if value is not None})
    # Variables of other names are left alone: orchestrators inject their own under a service's name.
    for key, _ in leaves():
        name = variable(key)
        if environ.get(name):
            yield f"environment variable {name}", _nest({key: _split(key, environ[name])})
    for path in (PROJECT_FILE, config_file()):
        if path.is_file():
            yield str(path), read_yaml(path, what="config file")


def _split(key: str, text: str) -> Any:
    """A list's elements are separated by commas in an environment variable."""
    model: Any = Settings
    *path, name = key.split(".")
    for part in path:
        model = model.model_fields[part].annotation
    is_list = get_args(model.model_fields[name].annotation) == (str, Ellipsis)
    return [part.strip() for part in text.split(",") if part.strip()] if is_list else text


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        put(nested, key, value)
    return nested


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

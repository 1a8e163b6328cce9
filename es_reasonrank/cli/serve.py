"""`es-reasonrank serve`: stand in front of Elasticsearch and rerank the searches that ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from es_reasonrank.cli.options import search_options
from es_reasonrank.elastic import embedded
from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import ElasticError, MissingError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.settings import Settings

_NEEDED = ("httptools", "fastapi", "msgspec", "prometheus_client", "uvicorn")
_PATIENCE = 3.0
"""Seconds that Elasticsearch has to say what it is; the service starts without its answer, too."""


def _several(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    """What was given once or more often; None lets another source of settings speak."""
    return value or None


@click.command()
@click.option("--host", "service__host", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", "service__port", type=click.IntRange(0, 65535), metavar="N", help="Port; 0 for any free one.")
@click.option(
    "--workers", "service__workers", type=click.IntRange(min=1), metavar="N", help="Processes that answer; one model."
)
@click.option(
    "--tls-cert", "service__tls_cert", type=click.Path(path_type=Path), metavar="FILE", help="Certificate chain, PEM."
)
@click.option(
    "--tls-key", "service__tls_key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key, PEM."
)
@click.option(
    "--also",
    "service__profiles",
    multiple=True,
    callback=_several,
    metavar="NAME",
    help="A further profile that requests may name; may be repeated.",
)
@search_options
def command(settings: Settings, profile: Profile) -> None:
    """Stand in front of Elasticsearch and rerank the searches that ask for it.

    Point any Elasticsearch client at its address. Without a cluster of yours, the embedded server is started with it.
    Everything else is set under `service` in es_reasonrank.yaml; `es-reasonrank config` shows it.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingError(f"the service needs {', '.join(missing)}; run: pip install 'es-reasonrank[service]'")
    from es_reasonrank.service.rankers import profiles_of
    from es_reasonrank.service.server import serve

    profiles = profiles_of(settings, profile)
    with _elastic(settings) as reached:
        standing = asyncio.run(_standing(reached))
        serve(reached, profiles, lambda address: _greet(address, reached, profiles, standing))
    _say("stopped")


@contextmanager
def _elastic(settings: Settings) -> Iterator[Settings]:
    """The settings with an address: the cluster's, or the embedded server's, started for the block where none runs."""
    if settings.elastic.url:
        yield settings
        return
    running = embedded.status()
    if running is None:
        _say("starting the embedded Elasticsearch")
    server = running or embedded.up(say=_say)
    try:
        yield settings.model_copy(update={"elastic": settings.elastic.model_copy(update={"url": server.url})})
    finally:
        if running is None:
            embedded.down()


async def _standing(settings: Settings) -> str:
    """What the cluster says that it is, or why it says nothing.

    Raises:
        SettingsError: its address or the login is not of a usable form.
    """
    from elasticsearch import UnsupportedProductError

    async with connected(settings.elastic) as client:
        try:
            with mapped():
                try:
                    body = (await client.options(request_timeout=_PATIENCE, max_retries=0).info()).body
                except UnsupportedProductError as error:
                    body = error.body
        except ElasticError as error:
            return f"no answer yet: {error}"
    version = body.get("version", {}) if isinstance(body, dict) else {}
    name = str(version.get("distribution", "elasticsearch")).capitalize()
    return f"{name} {version['number']}" if "number" in version else "a server that does not say what it is"


def _greet(address: str, settings: Settings, profiles: tuple[Profile, ...], standing: str) -> None:
    """Tell what runs where."""
    from es_reasonrank.service.logs import redacted

    first, *others = profiles
    also = f"; also {', '.join(profile.name for profile in others)}" if others else ""
    links = [f"{address}/playground"] if settings.service.playground else []
    facts = {
        "in front of": f"{redacted(settings.elastic.url)} ({standing})",
        "ranking with": f"{first.name} ({redacted(_model(first))}){also}; until loaded, searches keep their base order",
        "to look at": "  ".join([*links, f"{address}/openapi.json"]),
        "to stop": f"Ctrl-C; requests under way have {settings.service.grace:g} s to finish",
    }
    _say(f"es-reasonrank serves at {address}")
    for name, value in facts.items():
        _say(f"  {name:<13}{value}")


def _model(profile: Profile) -> str:
    """Who generates the tokens."""
    engine = profile.engine
    return " ".join(str(engine[key]) for key in ("name", "model", "base_url") if engine.get(key))


def _say(line: str) -> None:
    click.echo(line, err=True)

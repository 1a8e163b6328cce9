"""Options that several commands share, and the settings and profile that come out of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.settings import load

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

# An option's parameter is its key in the settings tree, with "__" for the dot.
_ELASTIC: tuple[Decorator, ...] = (
    click.option("--elastic-url", "elastic__url", metavar="URL", help="Elasticsearch; the embedded server by default."),
    click.option("--api-key", "elastic__api_key", metavar="KEY", help="API key for Elasticsearch."),
    click.option("--username", "elastic__username", metavar="NAME", help="User for Elasticsearch."),
    click.option("--password", "elastic__password", metavar="WORD", help="Password for Elasticsearch."),
    click.option("--ca-certs", "elastic__ca_certs", metavar="FILE", help="Certificate authority of Elasticsearch."),
)
_RANKER: tuple[Decorator, ...] = (
    click.option("-p", "--profile", "profile", metavar="NAME", help="Ranker: a profile's name or YAML file."),
    click.option(
        "--depth", "depth", type=click.IntRange(min=0), metavar="N", help="Hits to rerank; the profile's by default."
    ),
    click.option(
        "--model", "engine__model", metavar="NAME", help="Model instead of the profile's: a name or a folder."
    ),
    click.option("--engine", "engine__name", metavar="NAME", help="Engine instead of the profile's: vllm, openai..."),
    click.option("--base-url", "engine__base_url", metavar="URL", help="OpenAI-compatible server that runs the model."),
)
_CACHE = click.option("--cache-index", "cache__index", metavar="NAME", help="Index that remembers verdicts on windows.")
_SHUFFLE = click.option(
    "--shuffle-seed", type=int, metavar="N", help="Shuffle the candidates first, to measure what their order changes."
)
_SET = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change the profile: strategy.window=10."
)


at_once = click.option(
    "--at-once",
    default=16,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Queries worked on side by side.",
)
record_option = click.option(
    "--record", type=click.Path(path_type=Path), metavar="FILE", help="Record every reply, to replay it."
)


def elastic_options(command: Command) -> Command:
    """Options to reach Elasticsearch; the command gets `settings`."""
    return _taking(_ELASTIC, command)


def ranker_options(command: Command) -> Command:
    """Options to choose a ranker; the command gets `settings` and `profile`."""

    @functools.wraps(command)
    def with_profile(*, settings: Any, assignments: Sequence[str], shuffle_seed: int | None, **arguments: Any) -> Any:
        changes = [*assignments, *([] if shuffle_seed is None else [f"orders.shuffle_seed={shuffle_seed}"])]
        profile = load_profile(settings.profile).served_by(settings.engine).assigned(changes)
        if settings.depth is not None:
            profile = profile.model_copy(update={"depth": settings.depth})
        return command(settings=settings, profile=profile, **arguments)

    return _taking(_RANKER, _SHUFFLE(_SET(with_profile)))


def search_options(command: Command) -> Command:
    """Options to reach Elasticsearch, to choose a ranker and to remember; the command gets `settings` and `profile`."""

    @functools.wraps(command)
    def only_profile(*, settings: Any, profile: Profile, **arguments: Any) -> Any:
        return command(settings=settings, profile=profile, **arguments)

    return _decorated((*_ELASTIC, _CACHE), ranker_options(only_profile))


def _taking(options: Sequence[Decorator], command: Command) -> Command:
    """`command` with `options`; every parameter that is a settings key becomes part of `settings`."""

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> Any:
        keys = [name for name in arguments if "__" in name or name in ("profile", "depth")]
        flags = {name.replace("__", "."): arguments.pop(name) for name in keys}
        return command(settings=load(flags).settings, **arguments)

    return _decorated(options, with_settings)


def _decorated(options: Sequence[Decorator], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command

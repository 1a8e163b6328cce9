"""Writes docs/reference.md from the code: every command's help, every setting, every option of every axis.

Run it with `make docs`; a test fails when the page is not what the code says.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel

from es_reasonrank import plugins
from es_reasonrank.cli import root
from es_reasonrank.engines.base import Sampling
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.rerank.orders import Orders
from es_reasonrank.rerank.profile import Profile, load_profile, profile_names
from es_reasonrank.rerank.retries import Retry
from es_reasonrank.settings import leaves, variable
from trainer.cli import root as trainer
from trainer.dev import Dev
from trainer.grpo import Choosing
from trainer.mutation import MutationOptions
from trainer.rewards import REWARDS
from trainer.sets import Set
from trainer.stages import MODULES, stage
from trainer.synthesis.candidates import CandidateOptions
from trainer.synthesis.leaks import LeakOptions
from trainer.synthesis.sources import AnySource
from trainer.synthesis.teachers import AnyTeacher
from trainer.training import Lora

PAGE = Path(__file__).with_name("reference.md")

HEAD = """# Reference

Written from the code by `make docs`.

Exit codes: 0 ok, 1 failure, 2 wrong input, 3 something needed is missing (with how to get it), 6 a server or model
failed, 7 partial success, 8 a model that is not better is not deployed, 130 interrupted. Data goes to stdout, progress
and messages to stderr.

Shell completion: `eval "$(_ES_REASONRANK_COMPLETE=bash_source es-reasonrank)"` (or `zsh_source`, `fish_source`).
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Settings\n",
        *settings(),
        "## Profiles\n",
        *profiles(),
        "## Axes\n",
        *axes(),
        "## es-reasonrank\n",
        *commands(root, "es-reasonrank"),
    ]
    parts += ["## trainer\n", *commands(trainer, "trainer"), "## Stages\n", *stages()]
    return "\n".join(parts).rstrip() + "\n"


def settings() -> Iterator[str]:
    """The settings tree with its environment variables."""
    yield "A flag beats the environment, which beats `./es_reasonrank.yaml`, which beats the user's config file, which"
    yield "beats the default. `es-reasonrank config show` says where each value came from. `ES_REASONRANK_CACHE_DIR`"
    yield "and `ES_REASONRANK_DATA_DIR` move what is kept outside the project.\n"
    yield "| key | environment variable | meaning |\n|---|---|---|"
    yield from (f"| {key} | {variable(key)} | {meaning} |" for key, meaning in leaves())
    yield ""


def profiles() -> Iterator[str]:
    """The keys of a profile, and the profiles that come with the package."""
    yield "A profile is a YAML file with these keys; `--set fusion.method=rrf` changes one for a command.\n"
    yield from options(Profile)
    for key, model in (("retry.OUTCOME", Retry), ("orders", Orders), ("fusion", Fusion)):
        yield f"#### {key}\n"
        yield from options(model)
    yield "| profile | strategy | judge | what it is |\n|---|---|---|---|"
    for name in profile_names():
        profile = load_profile(name)
        yield f"| `{name}` | {profile.strategy['name']} | {profile.judge['name']} | {profile.summary} |"
    yield ""


def options(model: type[BaseModel]) -> Iterator[str]:
    """A model's options as a table."""
    if model.model_fields:
        yield "| option | default | meaning |\n|---|---|---|"
    for option, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        known = "as below" if isinstance(default, BaseModel) else f"`{default!r}`"
        shown = "needed" if field.is_required() else known
        yield f"| {option} | {shown} | {field.description or ''} |"
    yield ""


def axes() -> Iterator[str]:
    """The members of each axis with their options, as a profile writes them."""
    yield "#### sampling, of judges whose model draws tokens\n"
    yield from options(Sampling)
    for axis in ("strategies", "judges", "engines"):
        for name in plugins.names(axis):
            found = plugins.find(axis, name, where="the reference")
            yield f"### {axis}: {name}\n\n{(found.__doc__ or '').splitlines()[0]}\n"
            yield from options(found.options_model)


def stages() -> Iterator[str]:
    """The stages of a recipe, and the parts of their options."""
    yield "Each stage of a recipe is a name with these options; `--set sft.epochs=2` changes one for a run.\n"
    for name in MODULES:
        found = stage(name)
        yield f"### stage: {name}\n\n{(import_module(MODULES[name]).__doc__ or '').splitlines()[0]}\n"
        yield from options(found.Options)
    for kind in get_args(get_args(AnySource)[0]):
        yield from part(f"sources: {kind.model_fields['kind'].default}", kind)
    for kind in get_args(get_args(AnyTeacher)[0]):
        yield from part(f"teacher: {kind.model_fields['kind'].default}", kind)
    parts: dict[str, type[BaseModel]] = {
        "candidates": CandidateOptions,
        "leaks": LeakOptions,
        "lora": Lora,
        "choosing": Choosing,
        "mutation": MutationOptions,
        "dev": Dev,
        "sets of dev and evaluate": Set,
    }
    for name, model in parts.items():
        yield from part(name, model)
    for name, path in REWARDS.items():
        module, _, kind = path.partition(":")
        yield from part(f"reward: {name}", getattr(import_module(f"trainer.rewards.{module}"), kind).options_model)


def part(title: str, model: type[BaseModel]) -> Iterator[str]:
    """One part of a stage's options."""
    yield f"#### {title}\n\n{(model.__doc__ or '').splitlines()[0]}\n"
    yield from options(model)


def commands(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[str]:
    """The help of a command and of all below it."""
    name = path.rpartition(" ")[2]
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=110)
    yield f"### `{path}`\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            yield from commands(below, f"{path} {child}", context)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

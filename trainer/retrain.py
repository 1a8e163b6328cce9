"""Retrain: what a search team runs every month. New judgments become lists, a model, a comparison, and a gate decides.

Each round is a run of the same recipe in a folder of its own, named by its time, under one folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import SettingsError
from es_reasonrank.settings import ElasticSettings, load
from trainer.manifest import Manifest, read_manifest
from trainer.recipe import Find, Recipe, Step, steps
from trainer.stages import stage

_STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Round:
    """What is to be done now."""

    folder: Path | None
    """Where to run; None where there is nothing new."""
    goes_on: bool = False
    """Whether it is a round that was ended early."""
    since: str = ""
    """When the last round began to read judgments; empty where there was none."""
    judgments: int = 0
    """How many have come since."""


def next_round(recipe: Recipe, runs: Path, *, least: int = 1, find: Find = stage) -> Round:
    """The round to run: the one that was ended early, or a new one where enough judgments are new.

    Args:
        runs: the folder of all rounds.
        least: new judgments that are worth a round.

    Raises:
        SettingsError: the recipe reads no judgments.
        ElasticError: the server failed.
    """
    planned = steps(recipe, find)
    sources = _judged(recipe, planned)
    folders = sorted(path for path in runs.glob("*") if _is_round(path))
    last = read_manifest(folders[-1]) if folders else None
    if last is not None and not _ended(last, planned):
        return Round(folders[-1], goes_on=True)
    since = last.records[0].started if last is not None else ""
    new = asyncio.run(_count(sources, since))
    folder = runs / datetime.now(UTC).strftime(_STAMP) if new >= least else None
    return Round(folder, since=since, judgments=new)


def _ended(manifest: Manifest, planned: Sequence[Step]) -> bool:
    """Whether a round came to its end: also that of a model which the gate did not let through."""
    records = manifest.records
    whole = len(records) == len(planned) and all(record.status == "done" for record in records[:-1])
    return whole and (records[-1].status == "done" or (planned[-1].name == "deploy" and records[-1].status == "failed"))


def _is_round(path: Path) -> bool:
    try:
        datetime.strptime(path.name, _STAMP)
    except ValueError:
        return False
    return path.is_dir()


def _judged(recipe: Recipe, planned: Sequence[Step]) -> list[tuple[ElasticSettings | None, str]]:
    """The server and the judgments index of every source that reads judgments."""
    options = [step.options for step in planned]
    found = [
        (getattr(each, "elastic", None), source.judgments)
        for each in options
        for source in getattr(each, "sources", ())
        if getattr(source, "kind", "") == "judged"
    ]
    if not found:
        raise SettingsError(
            f"recipe {recipe.name} reads no judgments; give synthesize a source: {{kind: judged, index: NAME}}"
        )
    return found


async def _count(sources: Sequence[tuple[ElasticSettings | None, str]], since: str) -> int:
    """How many judgments have come since then."""
    total = 0
    query = {"range": {"created": {"gt": since}}} if since else {"match_all": {}}
    for elastic, judgments in dict.fromkeys(sources):
        async with connected(elastic or load().settings.elastic) as client:
            with mapped(judgments):
                answer = await client.count(index=judgments, query=query, ignore_unavailable=True)
        total += answer["count"]
    return total

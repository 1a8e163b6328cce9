"""The monthly loop: a round where there are new judgments, one that goes on, and none where there is nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.mappings import Kind, create_index
from es_reasonrank.errors import EngineError, SettingsError
from es_reasonrank.settings import ElasticSettings
from es_reasonrank.validation import Checked
from trainer.deploy import GateError
from trainer.recipe import Recipe
from trainer.retrain import Round, next_round
from trainer.runner import Runner
from trainer.stages import Made, Stage, Work
from trainer.synthesis.sources.judged import JudgedSource

pytestmark = pytest.mark.one_version


class Reading(Checked):
    """The options of a stage that reads judgments."""

    sources: tuple[JudgedSource, ...]
    elastic: ElasticSettings


class Nothing(Checked):
    """No options."""


class Toy:
    """A stage that does nothing, or what it is told."""

    def __init__(self, options: type[Checked], error: Exception | None = None) -> None:
        self.Options = options
        self.error = error

    def run(self, work: Work, options: Any) -> Made:
        if self.error is not None:
            raise self.error
        return Made({})


@pytest.fixture
async def judgments(es: AsyncElasticsearch) -> AsyncIterator[str]:
    name = f"test-retrain-{uuid4().hex[:8]}"
    await create_index(es, name, Kind.JUDGMENTS)
    yield name
    await es.indices.delete(index=name)


async def judge(es: AsyncElasticsearch, index: str) -> None:
    row = {"query_id": "q", "query": "why", "document": "a", "grade": 1, "source": "human"}
    await es.index(index=index, document={**row, "created": datetime.now(UTC).isoformat()}, refresh=True)


class Loop:
    """A recipe of toys, and its rounds."""

    def __init__(self, runs: Path, index: str, url: str) -> None:
        self.runs = runs
        self.error: dict[str, Exception] = {}
        source = {"kind": "judged", "index": "articles", "judgments": index}
        reading = {"sources": [source], "elastic": {"url": url}}
        stages = [{"synthesize": reading}, {"sft": {}}, {"deploy": {}}]
        self.recipe = Recipe.model_validate({"name": "toy", "base": "none", "profile": "identity", "stages": stages})

    def find(self, name: str) -> Stage:
        options = Reading if name == "synthesize" else Nothing
        return cast(Stage, Toy(options, self.error.get(name)))

    async def next(self, least: int = 1) -> Round:
        return await asyncio.to_thread(next_round, self.recipe, self.runs, least=least, find=self.find)

    def run(self, found: Round) -> None:
        assert found.folder is not None
        Runner(self.recipe, found.folder, find=self.find).run(check_memory=False)


@pytest.fixture
def loop(tmp_path: Path, judgments: str, elastic_url: str) -> Loop:
    return Loop(tmp_path / "rounds", judgments, elastic_url)


async def test_a_round_is_run_for_new_judgments_alone(loop: Loop, es: AsyncElasticsearch, judgments: str) -> None:
    assert (await loop.next()).folder is None
    await judge(es, judgments)
    first = await loop.next()
    assert (first.judgments, first.since, first.goes_on) == (1, "", False)
    loop.run(first)
    assert (await loop.next()).folder is None
    await judge(es, judgments)
    assert (await loop.next(least=2)).folder is None
    second = await loop.next()
    assert second.judgments == 1
    assert second.since
    assert not second.goes_on


async def test_a_round_that_was_ended_early_goes_on(loop: Loop, es: AsyncElasticsearch, judgments: str) -> None:
    await judge(es, judgments)
    first = await loop.next()
    loop.error["sft"] = EngineError("the machine went down", engine="toy")
    with pytest.raises(EngineError):
        loop.run(first)
    again = await loop.next()
    assert (again.folder, again.goes_on) == (first.folder, True)
    loop.error.clear()
    loop.run(again)
    assert (await loop.next()).folder is None


async def test_a_model_that_was_refused_ends_its_round(loop: Loop, es: AsyncElasticsearch, judgments: str) -> None:
    await judge(es, judgments)
    loop.error["deploy"] = GateError("not better")
    with pytest.raises(GateError):
        loop.run(await loop.next())
    assert (await loop.next()).folder is None


async def test_a_recipe_without_judgments_is_refused(tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"name": "toy", "base": "none", "profile": "identity", "stages": [{"deploy": {}}]})
    with pytest.raises(SettingsError, match="recipe toy reads no judgments"):
        next_round(recipe, tmp_path, find=lambda name: cast(Stage, Toy(Nothing)))

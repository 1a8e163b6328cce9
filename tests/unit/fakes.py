"""Engines and judges that do as told: for tests of algorithms and of failure, never of ranking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from es_reasonrank import Profile, Reranker
from es_reasonrank.engines.base import TEXTUAL, Completion, Finish, NextToken, Request
from es_reasonrank.rerank.profile import profile_from
from es_reasonrank.validation import Checked

Reply = Completion | str | Exception | None | Awaitable[str]


class ScriptedEngine:
    """Gives the replies of a script; words are its tokens. None means that it hangs."""

    capabilities: ClassVar = TEXTUAL
    options_model: ClassVar = Checked
    model = "scripted"

    def __init__(
        self,
        script: Callable[[Request], Reply],
        context: int = 100_000,
        likely: Callable[[Request, Sequence[str]], Sequence[float]] = lambda request, choices: [0.0] * len(choices),
    ) -> None:
        self.script = script
        self.likely = likely
        self.size = context
        self.requests: list[Request] = []
        self.closed = False

    async def identity(self) -> str:
        return "scripted"

    async def start(self) -> None:
        pass

    async def context(self) -> int:
        return self.size

    async def control_tokens(self) -> frozenset[str]:
        return frozenset({"<|end|>"})

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        return [" ".join(text.split()[:limit]) for text in texts]

    async def count(self, request: Request) -> int:
        return sum(len(message["content"].split()) for message in request.messages)

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        await asyncio.sleep(0)
        reply = self.script(request)
        if reply is None:
            await asyncio.Event().wait()
        if isinstance(reply, Awaitable):
            reply = await reply
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, Completion) else Completion(str(reply), Finish.STOP, generated_tokens=1)

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        self.requests.append(request)
        await asyncio.sleep(0)
        return NextToken(tuple(self.likely(request, choices)))

    async def aclose(self) -> None:
        self.closed = True


def listwise(*, thinking: bool = False, depth: int = 100, **judge: object) -> Profile:
    """A small listwise profile."""
    template = "listwise_think" if thinking else "listwise"
    return profile_from(
        {
            "name": "small",
            "depth": depth,
            "strategy": {"name": "sliding", "window": 4, "stride": 2},
            "judge": {"name": "listwise", "template": template, "thinking": thinking, **judge},
            "engine": {"name": "openai"},
        },
        where="profile small",
    )


def scripted(script: Callable[[Request], Reply], **judge: object) -> Reranker:
    """A small listwise reranker over a script."""
    return Reranker.load(listwise(**judge), engine=ScriptedEngine(script))  # type: ignore[arg-type]


def reverse(request: Request) -> str:
    """The order of a window that is exactly wrong."""
    shown = request.messages[-1]["content"].count("\n[")
    return " > ".join(f"[{number}]" for number in range(shown, 0, -1))

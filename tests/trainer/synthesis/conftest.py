"""A server that answers as a teacher would, as long as it is told to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.trainer.synthesis.world import FACTS
from tests.unit.http_servers import ScriptedServer, choice


class TeacherServer(ScriptedServer):
    """Orders a window backwards, selects its first passage, and asks for a document by its own words."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.fails_after: int | None = None
        """Answers after which every request fails."""
        self.queries: dict[str, str] = {}
        """What it says of a document, by its text, instead of its own words."""

    @property
    def options(self) -> dict[str, Any]:
        """A teacher that asks it."""
        engine = {"base_url": self.url, "model": self.model}
        return {"kind": "model", "profile": "reasonrank", "engine": engine, "at_once": 2}

    @property
    def asked(self) -> list[str]:
        """Every prompt so far."""
        return [body["messages"][-1]["content"] for body in self.bodies]

    async def _answer(self, request: web.Request) -> web.Response:
        if self.fails_after is not None and len(self.bodies) > self.fails_after:
            return web.json_response({"error": {"message": "the teacher is ill"}}, status=400)
        return web.json_response(choice({"content": self._said(self.asked[-1])}))

    def _said(self, prompt: str) -> str:
        if prompt.startswith("Document:"):
            text = next(text for texts in FACTS.values() for text in texts if text in prompt)
            return self.queries.get(text, text)
        if "every passage that" in prompt:
            return "[1]" if "every passage that counts" in prompt else "None"
        shown = len(re.findall(r"^\[\d+\]", prompt, re.MULTILINE))
        order = " > ".join(f"[{number}]" for number in range(shown, 0, -1))
        return f"<think>Of {shown} passages the last is best.</think>\n<answer>{order}</answer>"


@pytest.fixture
async def teacher() -> AsyncIterator[TeacherServer]:
    server = TeacherServer()
    await server.server.start_server()
    yield server
    await server.server.close()

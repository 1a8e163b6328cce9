"""Several servers of one model, used as one: each call goes to the one with the fewest in flight.

A server that fails is left for the others and tried again after a pause, by one call first. A call is tried again on
overload (429), failure (5xx), lost connections and late answers, at once where another server is well, else after a
while: as long as the server says, or ever longer and at random (exponential backoff with full jitter).
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from es_reasonrank.errors import EngineError

Json = dict[str, Any]

_BACKOFF = wait_random_exponential(multiplier=0.5, max=10)
_PASSING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
_ELSEWHERE = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)
"""Answers of a server that was set up otherwise than the others."""
_IDLE = 2.0
"""Seconds until an idle connection is closed here: before the server does (5 at uvicorn), or a call would be lost."""
_SHOWN = 300
"""Characters of a server's own message that a user sees."""


class ServerError(EngineError):
    """One server failed.

    Attributes:
        elsewhere: whether another server may succeed where this one never will.
        after: seconds that it asked to be left alone for, or None.
    """

    def __init__(self, message: str, *, retryable: bool, elsewhere: bool = False, after: float | None = None) -> None:
        super().__init__(message, engine="openai", retryable=retryable)
        self.elsewhere = elsewhere
        self.after = after

    @property
    def again(self) -> bool:
        """Whether the call is worth another try."""
        return self.retryable or self.elsewhere


class Server:
    """One address, and how it is doing."""

    def __init__(self, root: str, connections: int) -> None:
        self.root = root
        self.in_flight = 0
        self.failed = False
        self.failed_at = 0.0
        self.rests_until = 0.0
        self._slots = asyncio.Semaphore(connections)

    def well(self, now: float) -> bool:
        """Whether it may be asked: it has not failed, or it has rested and nobody else is trying it."""
        return not self.failed or (self.rests_until <= now and not self.in_flight)

    def rest(self, seconds: float) -> None:
        """Leave it alone for a while."""
        self.failed = True
        self.failed_at = time.monotonic()
        self.rests_until = self.failed_at + seconds

    def answered(self, asked_at: float) -> None:
        """It is well again where it was asked after its failure."""
        if asked_at >= self.failed_at:
            self.failed = False

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of its connections, as soon as one is free."""
        self.in_flight += 1
        try:
            async with self._slots:
                yield
        finally:
            self.in_flight -= 1


class Servers:
    """The servers that calls are spread over.

    Args:
        roots: their addresses.
        headers: sent with every call.
        timeout: seconds that one try may take, from its connection to the last byte.
        attempts: tries of a call; each server has one at least.
        connections: calls in flight at once, a server.
        pause: seconds that a server which failed is left alone for, where there are others.
    """

    def __init__(
        self,
        roots: Sequence[str],
        *,
        headers: Mapping[str, str],
        timeout: float,
        attempts: int,
        connections: int,
        pause: float,
    ) -> None:
        self._servers = [Server(root, connections) for root in roots]
        self._headers = dict(headers)
        self._timeout = timeout
        self._attempts = max(attempts, len(roots))
        self._pause = pause
        self._client: httpx.AsyncClient | None = None

    @property
    def roots(self) -> list[str]:
        """The servers' addresses."""
        return [server.root for server in self._servers]

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """The JSON answer of one of the servers.

        Raises:
            EngineError: none answered, or what was asked for is wrong.
        """
        return await self._trying(self._servers, method, path, body)

    async def call_each(self, method: str, path: str) -> dict[str, Json]:
        """The JSON answers of all servers that answer, by their addresses.

        Raises:
            EngineError: none did; the first one's.
        """
        calls = (self._trying([server], method, path, None) for server in self._servers)
        results = await asyncio.gather(*calls, return_exceptions=True)
        answers = {root: result for root, result in zip(self.roots, results, strict=True) if isinstance(result, dict)}
        if not answers:
            raise next(result for result in results if isinstance(result, BaseException))
        return answers

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _trying(self, servers: Sequence[Server], method: str, path: str, body: Mapping[str, Any] | None) -> Json:
        def wait(state: RetryCallState) -> float:
            return _wait(servers, state)

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, ServerError) and error.again),
            stop=stop_after_attempt(self._attempts),
            wait=wait,
            reraise=True,
        )
        return await retrying(self._once, servers, method, path, body)

    async def _once(self, servers: Sequence[Server], method: str, path: str, body: Mapping[str, Any] | None) -> Json:
        server = choose(servers, time.monotonic())
        async with server.slot():
            asked_at = time.monotonic()
            try:
                answer = await self._send(server, method, path, body, alone=len(servers) == 1)
            except ServerError as error:
                if error.again:
                    server.rest(self._pause if error.after is None else error.after)
                raise
        server.answered(asked_at)
        return answer

    async def _send(
        self, server: Server, method: str, path: str, body: Mapping[str, Any] | None, *, alone: bool
    ) -> Json:
        # In ASCII, half a surrogate pair in a passage is the server's to refuse and no error of encoding here.
        content = None if body is None else json.dumps(body)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._http().request(method, server.root + path, content=content)
        except TimeoutError as error:
            message = f"{server.root} gives no answer within {self._timeout:g} s"
            raise ServerError(message, retryable=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise ServerError(f"{server.root} gives no answer: {reason}", retryable=True) from error
        if answer.status_code != httpx.codes.OK:
            raise _refused(answer, server.root + path, self._timeout, alone=alone)
        return _json(answer)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"Content-Type": "application/json", **self._headers},
                timeout=httpx.Timeout(None, connect=5.0),
                limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE),
            )
        return self._client


def choose(servers: Sequence[Server], now: float) -> Server:
    """The server to ask: of those that are well, the one with the fewest in flight; else the one that rests least."""
    well = [server for server in servers if server.well(now)]
    if well:
        return min(well, key=lambda server: server.in_flight)
    return min(servers, key=lambda server: server.rests_until)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or a date."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _wait(servers: Sequence[Server], state: RetryCallState) -> float:
    """Seconds until the next try."""
    now = time.monotonic()
    if any(server.well(now) for server in servers):
        return 0.0
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ServerError) and error.after is not None:
        rest = max(0.0, min(server.rests_until for server in servers) - now)
        return rest * random.uniform(1.0, 1.1)  # or all who were sent away would come back at once
    return _BACKOFF(state)


def _refused(answer: httpx.Response, address: str, patience: float, *, alone: bool) -> ServerError:
    """What an answer other than 200 means."""
    status = answer.status_code
    after = retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
    passes = status in _PASSING or answer.is_server_error
    message = f"{address} answered {status}: {_reason(answer)}"
    if after is not None and after > patience:
        message = f"{message}; it asks for {after:.0f} s of patience"
        return ServerError(message, retryable=False, elsewhere=not alone, after=after)
    return ServerError(message, retryable=passes, elsewhere=status in _ELSEWHERE and not alone, after=after)


def _json(answer: httpx.Response) -> Json:
    try:
        value = answer.json()
    except ValueError as error:
        raise EngineError(f"{answer.url} answered with something that is not JSON", engine="openai") from error
    if not isinstance(value, dict):
        raise EngineError(f"{answer.url} answered with JSON of another shape", engine="openai")
    return value


def _reason(answer: httpx.Response) -> str:
    """The beginning of the error's message where there is one; never a page of HTML."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        return answer.reason_phrase
    error = (value.get("error") or value.get("detail") or value.get("message")) if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    text = " ".join(message.split()) if isinstance(message, str) else ""
    if not text or "<html" in text.lower():
        return answer.reason_phrase
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN].rstrip()}…"

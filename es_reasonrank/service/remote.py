"""Rankings from the process that holds the model: a worker's side of the socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence

from es_reasonrank.errors import EngineError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service import wire
from es_reasonrank.service.rankers import Loading
from es_reasonrank.types import Candidate, Ranking, Window

_ENGINE = "model process"
_AGAIN = 0.2
"""Seconds between two tries to reach a process that is being started."""

OnWindow = Callable[[Window], None]


class RemoteRankers:
    """Asks the process at a socket. When that process ends, what was asked of it fails, and the next one is found.

    Args:
        path: the socket.
        profiles: what is served there, the default first.
    """

    def __init__(self, path: str, profiles: Sequence[Profile]) -> None:
        self.profiles: Mapping[str, Profile] = {profile.name: profile for profile in profiles}
        self._path = path
        self._link: _Link | None = None
        self._linking = asyncio.Lock()

    async def start(self) -> None:
        """Wait until the models are loaded there, however often that process must be started for it."""
        while True:
            try:
                await (await self._linked()).ask(lambda number: wire.Load(number))
            except (Loading, _LostError):
                await asyncio.sleep(_AGAIN)
            else:
                return

    async def rank(
        self,
        profile: str,
        query: str,
        candidates: Sequence[Candidate],
        *,
        depth: int | None,
        deadline: float | None,
        on_window: OnWindow | None = None,
    ) -> Ranking:
        """As `Reranker.arank`, but it waits for no model to be loaded."""

        def question(number: int) -> wire.Rank:
            tells = on_window is not None
            return wire.Rank(number, profile, query, list(candidates), depth, deadline, tells)

        reply = await (await self._linked()).ask(question, on_window)
        if not isinstance(reply, wire.Ranked):
            raise EngineError("the process that holds the model answered out of turn", engine=_ENGINE)
        return Ranking(query, tuple(candidates), reply.order, reply.scores, reply.trace)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._link is not None:
            await self._link.aclose()

    async def _linked(self) -> _Link:
        """The connection, made anew where the last one is lost."""
        async with self._linking:
            if self._link is None or self._link.lost:
                self._link = await _Link.to(self._path)
            return self._link


class _LostError(EngineError):
    """The connection ended before the answer came."""

    def __init__(self) -> None:
        super().__init__("the process that holds the model has ended", engine=_ENGINE, retryable=True)


class _Link:
    """One connection, with all that is asked over it at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[asyncio.Future[wire.Reply], OnWindow | None]] = {}
        self._listener = asyncio.create_task(self._listen(reader))

    @classmethod
    async def to(cls, path: str) -> _Link:
        """A connection to the process at a socket.

        Raises:
            Loading: there is none yet.
        """
        try:
            return cls(*await asyncio.open_unix_connection(path, limit=wire.BUFFER))
        except OSError as error:
            raise Loading("the process that holds the model is being started") from error

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return self._listener.done()

    async def ask(self, question: Callable[[int], wire.Question], on_window: OnWindow | None = None) -> wire.Reply:
        """The reply to a question. When its asker leaves, the other side is told.

        Raises:
            EngineError: there is none.
        """
        number = next(self._numbers)
        future: asyncio.Future[wire.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (future, on_window)
        try:
            self._writer.write(wire.packed(question(number)))
            reply = await future
        except asyncio.CancelledError:
            if not self.lost:
                self._writer.write(wire.packed(wire.Cancel(number)))
            raise
        finally:
            del self._waiting[number]
        if isinstance(reply, wire.Failed):
            raise Loading(reply.message) if reply.loading else EngineError(reply.message, engine=_ENGINE)
        return reply

    async def aclose(self) -> None:
        """End the connection."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while (reply := await wire.next_reply(reader)) is not None:
                self._hear(reply)
        finally:
            self._writer.close()
            for future, _ in self._waiting.values():
                if not future.done():
                    future.set_exception(_LostError())

    def _hear(self, reply: wire.Reply) -> None:
        future, on_window = self._waiting.get(reply.number, (None, None))
        if future is None or future.done():
            return
        if not isinstance(reply, wire.Ended):
            future.set_result(reply)
        elif on_window is not None:
            try:
                on_window(reply.window)
            except Exception as error:  # noqa: BLE001 - it is the asker's own; others share the connection
                future.set_exception(error)

"""The process that holds the models for all workers: nothing that a model does keeps a search from passing.

It is started by `es-reasonrank serve`, answers on a Unix socket, and ends when it is told to or when nobody is left to
tell it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from es_reasonrank.elastic.cache import cache_of
from es_reasonrank.elastic.client import connected
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.rerank.cache import MemoryCache
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service import logs, wire
from es_reasonrank.service.rankers import Loading, LocalRankers, Rankers, loading
from es_reasonrank.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holding:
    """What the process is started with."""

    path: str
    profiles: tuple[Profile, ...]
    settings: Settings


def hold(holding: Holding, control: Connection) -> None:
    """Be that process, until `control` says something or is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logs.configure()
    asyncio.run(_hold(holding, control))


async def _hold(holding: Holding, control: Connection) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(control.fileno(), ended.set)
    settings = holding.settings
    async with connected(settings.elastic) as elastic:
        memory = MemoryCache(settings.service.cache_size, settings.service.cache_ttl)
        default, *others = holding.profiles
        cache = cache_of(elastic, settings.cache) or memory
        rankers = LocalRankers(default, others, cache, settings.service.breaker_pause)
        async with loading(rankers):
            server = await served(rankers, holding.path)
            await ended.wait()
            asyncio.get_running_loop().remove_reader(control.fileno())
            server.close()
    # The loop would wait for a model that is still being loaded, in a thread that nothing can stop.
    logging.shutdown()
    os._exit(0)


async def served(rankers: Rankers, path: str) -> asyncio.Server:
    """Answer at a socket; one that an earlier process left is taken over."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    return await asyncio.start_unix_server(partial(_answer, rankers), path, limit=wire.BUFFER)


async def _answer(rankers: Rankers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one worker, until it leaves; what it had asked for is broken off then."""
    tasks: dict[int, asyncio.Task[None]] = {}
    try:
        while (question := await wire.next_question(reader)) is not None:
            number = question.number
            if isinstance(question, wire.Cancel):
                if number in tasks:
                    tasks[number].cancel()
                continue
            tasks[number] = asyncio.create_task(_reply(rankers, question, writer))
            tasks[number].add_done_callback(lambda _, number=number: tasks.pop(number, None))  # type: ignore[misc]
    finally:
        for task in tasks.values():
            task.cancel()
        writer.close()


async def _reply(rankers: Rankers, question: wire.Load | wire.Rank, writer: asyncio.StreamWriter) -> None:
    """Answer one question, with what went wrong if need be."""
    number = question.number
    try:
        if isinstance(question, wire.Load):
            await rankers.start()
            reply: wire.Reply = wire.Loaded(number)
        else:
            reply = await _ranked(rankers, question, writer)
    except ReasonRankError as error:
        reply = wire.Failed(number, str(error), isinstance(error, Loading))
    except Exception as error:  # noqa: BLE001 - it belongs to the asker; the process lives on
        _log.exception("the process that holds the model failed to answer")
        reply = wire.Failed(number, f"internal error ({type(error).__name__}: {error})")
    writer.write(wire.packed(reply))


async def _ranked(rankers: Rankers, question: wire.Rank, writer: asyncio.StreamWriter) -> wire.Ranked:
    ranking = await rankers.rank(
        question.profile,
        question.query,
        question.candidates,
        depth=question.depth,
        deadline=question.deadline,
        on_window=(lambda window: writer.write(wire.packed(wire.Ended(question.number, window))))
        if question.tells
        else None,
    )
    return wire.Ranked(question.number, ranking.order, ranking.scores, ranking.trace)

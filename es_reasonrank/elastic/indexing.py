"""Documents into an index: as fast as the server takes them, none lost, none twice, and to be continued when cut off.

    source -> one reader -> a queue for each stream -> async_streaming_bulk -> ledger (checkpoint, rejected rows)

Reading goes on while the server works. A document's stream follows from its id, so documents with the same id stay in
order and the last one of the source is the one that remains.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch
from elasticsearch.helpers import async_streaming_bulk

from es_reasonrank.elastic.bulk import Item, actions, header_and_body, refusal
from es_reasonrank.elastic.failures import explained, mapped
from es_reasonrank.elastic.ledger import Ledger, Taken
from es_reasonrank.elastic.mappings import Kind, create_index, recreate_index
from es_reasonrank.elastic.readers import Rejected, Source
from es_reasonrank.errors import DataError, ElasticError, SearchError

_STREAMS = 2
_READ_AHEAD = 16 * 2**20
"""Characters that are read before the streams must have taken them all."""
_CHUNK_BYTES = 8 * 2**20
_RETRIES = 8
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_PASSING = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_SECONDS_BETWEEN_SAVES = 1.0
_NEEDED = "items.*._id,items.*.status,items.*.result,items.*.error"


@dataclass(frozen=True, slots=True)
class Report:
    """What a load did."""

    source: Path
    index: str
    indexed: int
    """Documents of the source that are in the index."""
    resumed: int
    """How many of them an earlier run, which was cut off, had brought in."""
    replaced: int
    """How many replaced a document of the same id."""
    rejected: int
    rejects: Path | None
    """Where the rejected rows are, each with its reason."""
    first_reason: str
    seconds: float

    @property
    def rate(self) -> float:
        """Documents a second, those of earlier runs left out."""
        return (self.indexed - self.resumed) / self.seconds


Progress = Callable[[Ledger], None]
_Queue = asyncio.Queue[Item | None]


async def load(
    client: AsyncElasticsearch,
    source: Source,
    index: str,
    *,
    recreate: bool = False,
    rejects: Path | None = None,
    chunk: int = 500,
    on_progress: Progress = lambda ledger: None,
) -> Report:
    """Load a source into an index, and refresh it. Where the index is not there, it is created for passages.

    Args:
        recreate: delete the index with all its documents first.
        rejects: where rejected rows go; by default beside the checkpoint, in the data folder.
        chunk: documents in one request.
        on_progress: called about ten times a second, and at the end.

    Raises:
        DataError: the source cannot be read any more, holds nothing, or holds the file of rejected rows.
        SearchError: the name is none for an index, or the index is closed.
        ElasticError: the server failed or stayed overloaded; the message says how many documents are in.
    """
    start = time.perf_counter()
    if rejects is not None and source.would_read(rejects):
        raise DataError("rejected rows cannot go where documents are read from", path=str(rejects))
    await (recreate_index if recreate else create_index)(client, index, Kind.PASSAGES)
    with mapped(index):
        ledger = Ledger(source, index, await _uuid(client, index), rejects)
    on_progress(ledger)
    await _Loader(client, source, index, chunk, ledger, on_progress).run()
    if not ledger.indexed and not ledger.rejected:
        raise DataError("holds no documents", path=str(source.path))
    with mapped(index):
        await client.indices.refresh(index=index)
    return Report(
        source=source.path,
        index=index,
        indexed=ledger.indexed,
        resumed=ledger.resumed,
        replaced=ledger.replaced,
        rejected=ledger.rejected,
        rejects=ledger.rejects if ledger.rejected else None,
        first_reason=ledger.first_reason,
        seconds=time.perf_counter() - start,
    )


class _Loader:
    """One load. Its tasks share the ledger, and end together when one of them fails."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        source: Source,
        index: str,
        chunk: int,
        ledger: Ledger,
        on_progress: Progress,
    ) -> None:
        # Overload is answered with pauses by the helper; sending a request twice is harmless, for ids do not change.
        self._client = client.options(retry_on_status=(), retry_on_timeout=True)
        self._source = source
        self._index = index
        self._chunk = chunk
        self._ledger = ledger
        self._on_progress = on_progress
        self._queues: list[_Queue] = [asyncio.Queue(maxsize=chunk) for _ in range(_STREAMS)]
        self._shown = self._saved = time.monotonic()

    async def run(self) -> None:
        """Load everything, and close the ledger however it ends."""
        done = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                for queue in self._queues:
                    group.create_task(self._stream(queue))
            done = True
        except ExceptionGroup as failures:
            raise self._stopped(failures.exceptions[0]) from failures
        finally:
            self._ledger.close(done=done)
        self._on_progress(self._ledger)

    async def _read(self) -> None:
        """A queue holds a whole chunk, so that a stream which waits for the server does not hold up the other one."""
        ahead = 0
        for row in self._source.passages(after=self._ledger.place):
            taken = self._ledger.take(row)
            if isinstance(row, Rejected):
                self._ledger.reject(taken, row.reason)
                self._tick()
            else:
                await self._queues[hash(row.id) % _STREAMS].put((row, taken))
            ahead += len(row.original)
            if ahead > _READ_AHEAD:  # long documents: no more of them in memory than this and what is being sent
                ahead = 0
                for queue in self._queues:
                    await queue.join()
        for queue in self._queues:
            await queue.put(None)

    async def _stream(self, queue: _Queue) -> None:
        sent: dict[str, Taken] = {}
        async for ok, item in async_streaming_bulk(
            self._client,
            actions(queue, sent, self._chunk),
            chunk_size=self._chunk,
            max_chunk_bytes=_CHUNK_BYTES,
            expand_action_callback=header_and_body,
            raise_on_error=False,
            max_retries=_RETRIES,
            initial_backoff=_FIRST_PAUSE,
            max_backoff=_LONGEST_PAUSE,
            retry_on_status=_PASSING,
            index=self._index,
            filter_path=_NEEDED,
        ):
            result = item["index"]
            taken = sent.pop(result["_id"])
            if ok:
                self._ledger.accept(taken, replaced=result.get("result") == "updated")
            else:
                self._ledger.reject(taken, refusal(result))
            self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._shown > 0.1:
            self._shown = now
            self._on_progress(self._ledger)
        if now - self._saved > _SECONDS_BETWEEN_SAVES:
            self._saved = now
            self._ledger.save()

    def _stopped(self, error: Exception) -> Exception:
        """The error that ends the load, with how far it has come."""
        if isinstance(error, ApiError | TransportError):
            error = explained(error, self._index)
        if not isinstance(error, ElasticError | SearchError):
            return error
        message = (
            f"{error}; {self._ledger.indexed:,} documents are in: load {self._source.path} into {self._index!r} again, "
            "without --recreate, to go on from there"
        )
        if isinstance(error, SearchError):
            return SearchError(message, index=self._index, status=error.status)
        return ElasticError(message, status=error.status)


async def _uuid(client: AsyncElasticsearch, index: str) -> str:
    """What tells this index from another of the same name; an alias is all of its indices."""
    found = await client.indices.get_settings(index=index, name="index.uuid", flat_settings=True)
    return ",".join(sorted(body["settings"]["index.uuid"] for body in found.values()))

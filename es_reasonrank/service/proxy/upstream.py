"""The server behind the proxy, spoken to in raw HTTP: what comes in goes out, and back again, unread."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from es_reasonrank.errors import ElasticError, SettingsError
from es_reasonrank.service.proxy.http1 import Connection
from es_reasonrank.service.proxy.packing import unpacked
from es_reasonrank.settings import ElasticSettings

Headers = list[tuple[str, str]]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that speak of one connection only (RFC 9110, section 7.6.1)."""
_OF_THIS_REQUEST = frozenset({"accept-encoding", "content-length", "expect"})
"""Headers that a request of the service's own has its own values for."""
_CONNECT_SECONDS = 5
_IDLE_SECONDS = 30
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""What may be sent a second time, for it only reads."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
"""A server that vanished without a word is noticed within half a minute, however long its answer may take."""


@dataclass(frozen=True)
class Incoming:
    """A whole request of the caller's."""

    method: str
    path: str
    """As it stands on the wire, percent-encoded."""
    query: str
    """The raw query string; empty where there is none."""
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Fetched:
    """A whole response of the server's, or one in its place."""

    status: int
    headers: Headers
    """Their names in lower case."""
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the server did what it was asked."""
        return self.status == HTTPStatus.OK


class UpstreamError(ElasticError):
    """The server gave no answer, or broke off in the middle of one.

    Attributes:
        status: what the caller is answered: 502 or 504.
        kind: the error's type, as Elasticsearch would write it.
    """

    def __init__(self, message: str, *, status: int, kind: str) -> None:
        super().__init__(message, status=status)
        self.kind = kind


class Upstream:
    """One server. It is never spoken to under another name than the settings': no request chooses a host.

    A login that stands in the address is left out: callers bring their own.
    """

    def __init__(self, url: str, settings: ElasticSettings) -> None:
        self.url = _without_login(url)
        self._settings = settings
        where = urlsplit(self.url)
        self._host = where.hostname or ""
        self._secure = where.scheme == "https"
        self._port = where.port or (443 if self._secure else 80)
        self._path = where.path.encode("latin-1")
        self._host_header = b"host: " + where.netloc.encode("latin-1") + b"\r\n"
        self._tls: ssl.SSLContext | None = None
        self._idle: deque[Connection] = deque()

    async def __aenter__(self) -> Self:
        """Be ready for requests.

        Raises:
            SettingsError: the file with the certificate authority cannot be read.
        """
        self._tls = _tls(self._settings) if self._secure else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            self._idle.pop().abort()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        again: bool = False,
    ) -> AsyncIterator[Connection]:
        """Send a request; the response's status and headers are there, its body is still to be read.

        Args:
            target: path and query string as they stand on the wire; it begins with a slash.
            headers: as the caller sent them; those of his connection are left out.
            again: whether it may be sent a second time although its method does not say so.

        Raises:
            UpstreamError: the server gave no answer.
        """
        head, chunked, waits = self._head(method, target, headers, body)
        again = (again or method in _SAFE) and not isinstance(body, AsyncIterator)
        while True:
            connection = await self._connection()
            with speaking():
                async with connection.ask(head, body, is_head=method == "HEAD", chunked=chunked, waits=waits):
                    try:
                        await connection.began()
                    except OSError:
                        # It may have been closed for having been idle, just when it was taken up again.
                        if not again or connection.used == 1:
                            raise
                        continue
                    yield connection
                    return

    async def fetch(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> Fetched:
        """Send a request and read its whole response, which comes unpacked, without headers that speak of its length.

        It may be sent a second time when the connection had just ended: use it for what only reads.

        Raises:
            UpstreamError: the server gave no answer, or only a part of one.
        """
        sent = [(name, value) for name, value in headers if name.lower() not in _OF_THIS_REQUEST]
        async with self.open(method, target, [*sent, ("accept-encoding", "identity")], body, again=True) as response:
            content = await response.read()
            got = headers_of(response)
        packed = ",".join(value for name, value in got if name == "content-encoding")
        kept = [pair for pair in got if pair[0] not in ("content-length", "content-encoding")]
        return Fetched(response.status, kept, unpacked(content, packed))

    def _head(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | AsyncIterator[bytes] | None
    ) -> tuple[bytes, bool, bool]:
        """The request up to its body; whether that goes in chunks; and whether it waits until it is wanted."""
        kept = [pair for pair in end_to_end(headers) if pair[0].lower() != "host"]
        names = {name.lower() for name, _ in kept}
        chunked = False
        if "content-length" not in names:
            if isinstance(body, bytes):
                kept.append(("content-length", str(len(body))))
            elif body is not None:
                chunked = True
                kept.append(("transfer-encoding", "chunked"))
            elif method in _WITH_BODY:
                kept.append(("content-length", "0"))
        lines = "".join([f"{name}: {value}\r\n" for name, value in kept]).encode("latin-1")
        path = self._path + target.encode("latin-1")
        head = b"%s %s HTTP/1.1\r\n%s%s\r\n" % (method.encode("latin-1"), path, self._host_header, lines)
        if not target.startswith("/") or not head.count(b"\r") == head.count(b"\n") == len(kept) + 3:
            raise ValueError("a target without its slash, or a header of several lines, would be another request")
        return head, chunked, "expect" in names and body is not None

    async def _connection(self) -> Connection:
        """A connection that was used before, or a new one."""
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0].idle_since < now - _IDLE_SECONDS:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return await self._connected()

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                transport, connection = await loop.create_connection(
                    lambda: Connection(self._release), self._host, self._port, ssl=self._tls
                )
        except OSError as error:
            raise _failure(error, connecting=True) from error
        _notice_silence(transport.get_extra_info("socket"))
        return connection

    def _release(self, connection: Connection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)


def end_to_end(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers that are meant for whoever is at the other end, not for the next hop."""
    pairs = list(headers)
    listed = ",".join(value for name, value in pairs if name.lower() == "connection")
    left_out = HOP_BY_HOP.union(name.strip().lower() for name in listed.split(",")) if listed else HOP_BY_HOP
    return [pair for pair in pairs if pair[0].lower() not in left_out]


def headers_of(response: Connection) -> Headers:
    """The headers that the server meant for the caller, byte for byte as Latin-1, their names in lower case."""
    return end_to_end([(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers])


@contextmanager
def speaking() -> Iterator[None]:
    """Around speaking to the server: what goes wrong there is raised as an `UpstreamError`."""
    try:
        yield
    except OSError as error:
        raise _failure(error) from error


def _failure(error: OSError, *, connecting: bool = False) -> UpstreamError:
    """The callers' words for it: the server's address is none of their business, so it is left out."""
    if isinstance(error, TimeoutError):
        return UpstreamError(
            "Elasticsearch did not answer in time; try again", status=504, kind="upstream_timeout_exception"
        )
    if connecting:
        return UpstreamError(
            "Elasticsearch cannot be reached; try again later", status=502, kind="upstream_unreachable_exception"
        )
    return UpstreamError(
        "Elasticsearch broke the connection off; try again", status=502, kind="upstream_disconnected_exception"
    )


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).rstrip("/")


def _tls(settings: ElasticSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_certs)
    except OSError as error:  # ssl's own errors are among them
        raise SettingsError(
            f"elastic.ca_certs {settings.ca_certs} cannot be used: {error.strerror or error}; "
            "name a file with the certificate authority in PEM form"
        ) from error
    if not settings.verify_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _notice_silence(connected: socket.socket) -> None:
    """Ask the peer from time to time whether it is still there."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):  # some systems lack one or the other
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

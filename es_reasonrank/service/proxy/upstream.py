"""The server behind the proxy, spoken to in raw HTTP: what comes in goes out, and back again, unread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from es_reasonrank.settings import ElasticSettings

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

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


@dataclass(frozen=True)
class Fetched:
    """A whole response of the server's."""

    status: int
    headers: Headers
    body: bytes


class Upstream:
    """One server. It is never spoken to under another name than the settings': no request chooses a host."""

    def __init__(self, url: str, settings: ElasticSettings) -> None:
        self.url = url.rstrip("/")
        self._settings = settings
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        self._session = ClientSession(
            auto_decompress=False,
            connector=TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, sock_connect=5),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def open(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | AsyncIterator[bytes] | None
    ) -> ClientResponse:
        """Send a request; the response's body is still to be read, and the response to be released.

        Args:
            target: path and query string as they stand on the wire.
            headers: as the caller sent them; those of his connection are left out.
        """
        from yarl import URL

        assert self._session is not None
        kept = [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP and name.lower() != "host"]
        return await self._session.request(
            method, URL(self.url + target, encoded=True), headers=kept, data=body, allow_redirects=False
        )

    async def fetch(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> Fetched:
        """Send a request and read its whole response, which comes unpacked."""
        kept = [(name, value) for name, value in headers if name.lower() not in ("accept-encoding", "content-length")]
        async with await self.open(method, target, kept, body) as response:
            content = await response.read()
            return Fetched(response.status, list(response.headers.items()), content)

"""The connection to Elasticsearch: a cluster of the user's, or the embedded server that runs here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic import embedded
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.settings import ElasticSettings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


def url_of(settings: ElasticSettings) -> str:
    """The server's address.

    Raises:
        MissingError: none is set, and no embedded server runs.
    """
    if settings.url:
        return settings.url
    server = embedded.status()
    if server is None:
        raise MissingError(
            "no Elasticsearch: start the embedded one with `es-reasonrank elastic up`, "
            "or set the address of yours (--elastic-url, ES_REASONRANK_ELASTIC_URL)"
        )
    return server.url


@asynccontextmanager
async def connected(settings: ElasticSettings) -> AsyncIterator[AsyncElasticsearch]:
    """A client. It retries lost connections and overload by itself.

    Raises:
        MissingError: there is no address to connect to.
        SettingsError: the address or the login is not of a usable form.
    """
    from elasticsearch import AsyncElasticsearch

    url = url_of(settings)
    try:
        client = AsyncElasticsearch(
            url,
            request_timeout=settings.timeout,
            max_retries=3,
            retry_on_status=(429, 502, 503, 504),
            retry_on_timeout=False,
            **_login(settings),
            **_tls(settings, url),
        )
    except ValueError as error:
        raise SettingsError(f"elastic.url {url!r} is no usable address: {error}") from error
    try:
        with mapped():
            yield client
    finally:
        await client.close()


def _login(settings: ElasticSettings) -> dict[str, Any]:
    if settings.api_key:
        return {"api_key": settings.api_key.get_secret_value()}
    if settings.username and settings.password:
        return {"basic_auth": (settings.username, settings.password.get_secret_value())}
    if settings.username or settings.password:
        raise SettingsError("elastic.username and elastic.password go together; set both")
    return {}


def _tls(settings: ElasticSettings, url: str) -> dict[str, Any]:
    if not url.startswith("https"):
        return {}
    if not settings.verify_certs:
        return {"verify_certs": False, "ssl_show_warn": False}
    return {"ca_certs": str(settings.ca_certs)} if settings.ca_certs else {}

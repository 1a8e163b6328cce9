"""One place where the client's exceptions become the project's own, each with a sentence that says what to do.

The client is imported where it is used: it takes longer to load than a command may take to answer --help.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from es_reasonrank.errors import ElasticError, ReasonRankError, SearchError

if TYPE_CHECKING:
    from elasticsearch import ApiError, TransportError

_WRONG_REQUEST = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


@contextmanager
def mapped(index: str = "") -> Iterator[None]:
    """Exceptions of the Elasticsearch client leave the block as errors of ours.

    Args:
        index: the index, pattern or alias that the block is about.

    Raises:
        SearchError: the server says that the request is wrong.
        ElasticError: everything else.
    """
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except (ApiError, TransportError) as error:
        raise explained(error, index) from error


def explained(error: ApiError | TransportError, index: str = "") -> ReasonRankError:
    """The error of ours that an exception of the client stands for."""
    from elastic_transport import ConnectionError, ConnectionTimeout, SerializationError, TlsError
    from elasticsearch import ApiError, UnsupportedProductError

    if isinstance(error, UnsupportedProductError):
        return ElasticError("the server at elastic.url is no Elasticsearch; check the address")
    if isinstance(error, ApiError):
        return _answered(error, index)
    if isinstance(error, TlsError):
        return ElasticError(f"the connection to Elasticsearch is not trusted ({error.message}); set elastic.ca_certs")
    if isinstance(error, ConnectionTimeout):
        return ElasticError("Elasticsearch did not answer in time; it may be overloaded, or elastic.timeout too short")
    if isinstance(error, ConnectionError):
        return ElasticError(
            f"Elasticsearch cannot be reached ({error.message}); check elastic.url, or run: es-reasonrank elastic up"
        )
    if isinstance(error, SerializationError):
        return ElasticError("the server at elastic.url does not answer like Elasticsearch; check the address")
    return ElasticError(f"the connection to Elasticsearch failed: {error.message}")


def _answered(error: ApiError, index: str) -> ReasonRankError:
    status, (kind, reason) = error.status_code, cause(error.body)
    where = f"index {index!r}" if index else "the request"
    if kind == "index_not_found_exception":
        return SearchError(
            f"index {index!r} does not exist; create it with: es-reasonrank index FILE --index {index}",
            index=index,
            status=status,
        )
    if kind == "index_closed_exception":
        return SearchError(f"index {index!r} is closed; open it with: POST /{index}/_open", index=index, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        return ElasticError(
            "Elasticsearch wants a login; set elastic.api_key, or elastic.username and elastic.password", status=status
        )
    if status == HTTPStatus.FORBIDDEN:
        return ElasticError(
            f"Elasticsearch forbids this to the login that is used, for {where}: {reason}", status=status
        )
    if status in _WRONG_REQUEST:
        return SearchError(
            f"Elasticsearch does not accept the request on {where}: {reason}", index=index, status=status
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ElasticError("Elasticsearch is overloaded (429); try again later", status=status)
    return ElasticError(f"Elasticsearch answered {status}: {reason or error.message}", status=status)


def cause(body: Any) -> tuple[str, str]:
    """The innermost type and reason of an Elasticsearch error body, empty where it has none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", str(error or "")
    roots = error.get("root_cause") or [error]
    root = roots[0] if isinstance(roots[0], dict) else error
    return str(root.get("type", "")), str(root.get("reason") or root.get("type", ""))

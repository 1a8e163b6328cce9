"""In front of a server that asks for a login: everybody gets through the proxy what he gets without it, and no more."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.service.conftest import serving
from tests.service.servers.nodes import secured

ROLES = """
book_reader:
  indices:
    - names: ["books"]
      privileges: ["read", "view_index_metadata"]
"""
USERS = {
    "admin": ("admin-secret", "superuser"),
    "reader": ("reader-secret", "book_reader"),
    "stranger": ("stranger-secret", "no_such_role"),
}
RERANKED = {
    "query": {"match": {"text": "sheep"}},
    "ext": {"rerank": {"query": "sheep", "fields": ["text"], "profile": "identity"}},
}


def login(user: str, password: str | None = None) -> dict[str, str]:
    """The header of a user."""
    pair = f"{user}:{USERS[user][0] if password is None else password}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


LOGINS = {
    "nobody": {},
    "admin": login("admin"),
    "reader": login("reader"),
    "stranger": login("stranger"),
    "wrong password": login("admin", "guess"),
    "no such key": {"Authorization": "ApiKey " + base64.b64encode(b"none:none").decode()},
    "nonsense": {"Authorization": "Nonsense"},
}


@pytest.fixture(scope="module")
def secure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with books that not everybody may read."""
    with secured(tmp_path_factory.mktemp("secure"), USERS, ROLES) as url:
        with httpx.Client(base_url=url, headers=login("admin"), timeout=30) as client:
            rows = [{"text": f"passage {number} on " + "sheep " * (1 + number % 7)} for number in range(30)]
            for index in ("books", "diaries"):
                body = "".join(
                    f'{{"index": {{"_id": "{number}"}}}}\n{json.dumps(row)}\n' for number, row in enumerate(rows)
                )
                headers = {"Content-Type": "application/x-ndjson"}
                answer = client.post(f"/{index}/_bulk?refresh=true", content=body, headers=headers)
                assert answer.json()["errors"] is False
        yield url


@pytest.fixture(scope="module")
async def proxied(secure_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that has the highest rights for itself."""
    flags = {"elastic.username": "admin", "elastic.password": USERS["admin"][0]}
    service = serving({"profile": "identity", "elastic.url": secure_url, **flags})
    async with service as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def direct(secure_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=secure_url, timeout=30) as client:
        yield client


REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/_security/_authenticate", None),
    ("GET", "/books/_doc/1", None),
    ("HEAD", "/books", None),
    ("GET", "/diaries/_doc/1", None),
    ("GET", "/books,diaries/_count", None),
    ("POST", "/books/_search?filter_path=hits,error,status", {"query": {"match": {"text": "sheep"}}}),
    ("POST", "/*/_search?filter_path=hits,error,status", {"query": {"match": {"text": "sheep"}}}),
    ("POST", "/diaries/_search?filter_path=hits,error,status", {"query": {"match": {"text": "sheep"}}}),
    ("PUT", "/books/_doc/1/_nonsense", {"a": 1}),
    ("POST", "/diaries/_delete_by_query", {"query": {"match": {"text": "none"}}}),
    ("GET", "/_security/user/reader", None),
    ("GET", "/_nodes/none", None),
]


@pytest.mark.parametrize("who", LOGINS)
async def test_everybody_gets_what_the_server_gives_him(
    proxied: httpx.AsyncClient, direct: httpx.AsyncClient, who: str
) -> None:
    statuses = set()
    for method, target, body in REQUESTS:
        answers = [await client.request(method, target, json=body, headers=LOGINS[who]) for client in (proxied, direct)]
        through, straight = [
            (answer.status_code, answer.headers.get_list("www-authenticate"), _repeated(answer)) for answer in answers
        ]
        assert through == straight, (method, target)
        statuses.add(through[0])
    expected = {"admin": 200, "reader": 403, "stranger": 403}
    assert expected.get(who, 401) in statuses
    assert who == "admin" or not statuses & {500, 502}


def _repeated(answer: httpx.Response) -> Any:
    """A body without what differs from one call to the next."""
    return answer.json() if answer.content else b""


async def test_an_api_key_works_and_ends(proxied: httpx.AsyncClient, direct: httpx.AsyncClient) -> None:
    role = {"r": {"indices": [{"names": ["books"], "privileges": ["read"]}]}}
    body = {"name": "test", "role_descriptors": role}
    made = (await proxied.post("/_security/api_key", json=body, headers=login("admin"))).json()
    key = {"Authorization": f"ApiKey {made['encoded']}"}
    assert (await proxied.get("/books/_doc/1", headers=key)).status_code == 200
    assert (await proxied.get("/_security/_authenticate", headers=key)).json()["api_key"]["id"] == made["id"]
    refused = await proxied.get("/diaries/_doc/1", headers=key)
    assert refused.status_code == 403
    assert refused.json() == (await direct.get("/diaries/_doc/1", headers=key)).json()
    ended = await proxied.request("DELETE", "/_security/api_key", json={"ids": [made["id"]]}, headers=login("admin"))
    assert ended.json()["invalidated_api_keys"] == [made["id"]]
    assert (await proxied.get("/books/_doc/1", headers=key)).status_code == 401


async def test_many_at_once_are_never_taken_for_one_another(proxied: httpx.AsyncClient) -> None:
    """They share connections to the server."""

    async def name(user: str) -> str:
        answer = await proxied.get("/_security/_authenticate", headers=login(user))
        return str(answer.json()["username"])

    users = list(USERS) * 40
    assert await asyncio.gather(*(name(user) for user in users)) == users


async def test_hits_are_fetched_with_the_callers_rights(proxied: httpx.AsyncClient, direct: httpx.AsyncClient) -> None:
    """Whoever asked before: nothing is remembered for another."""
    for index in ("books", "diaries"):
        for who in ("admin", "reader", "stranger", "nobody", "admin", "stranger"):
            got = await proxied.post(f"/{index}/_search", json=RERANKED, headers=LOGINS[who])
            plain = {"query": RERANKED["query"]}
            wanted = await direct.post(f"/{index}/_search", json=plain, headers=LOGINS[who])
            assert got.status_code == wanted.status_code, (index, who)
            if got.status_code == 200:
                assert got.headers["X-Rerank-Status"] == "ok"
                assert _ids(got) == _ids(wanted)
            else:
                assert got.json()["error"]["type"] == wanted.json()["error"]["type"] == "security_exception"


def _ids(answer: httpx.Response) -> list[str]:
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]

"""What is locked: who may call, what a request may not do, and what is told to nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from es_reasonrank.errors import SettingsError
from es_reasonrank.service.app import create_app
from es_reasonrank.service.keys import Keyring, new_key
from es_reasonrank.service_settings import ApiKey
from es_reasonrank.settings import load
from tests.service.conftest import serving

pytestmark = pytest.mark.one_version

NOWHERE = "http://127.0.0.1:9"
BODY = {"query": "q", "documents": ["a", "b"]}
READER, WRITER = new_key(), new_key()
KEYS = [
    {"name": "shop", "hash": READER.hash, "scopes": ["rerank"]},
    {"name": "raters", "hash": WRITER.hash, "scopes": ["write"]},
]
PATHS = ["/rerank", "/v1/rerank", "/v2/rerank", "/score", "/v1/score", "/_inference/rerank/identity"]


def flags(**more: Any) -> dict[str, Any]:
    """Settings of a service that needs no Elasticsearch."""
    return {"profile": "identity", "elastic.url": NOWHERE, **{f"service.{key}": value for key, value in more.items()}}


@pytest.fixture(scope="module")
async def locked() -> AsyncIterator[str]:
    """A service with keys."""
    async with serving(flags(api_keys=KEYS)) as url:
        yield url


@pytest.fixture(scope="module")
async def local() -> AsyncIterator[str]:
    """A service without keys, on this machine only."""
    async with serving(flags()) as url:
        yield url


async def post(url: str, headers: dict[str, str] | None = None, path: str = "/v2/rerank") -> httpx.Response:
    """A request with these headers."""
    async with httpx.AsyncClient(base_url=url) as client:
        return await client.post(path, json=BODY, headers=headers)


# Keys


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_key_nothing_is_ranked(locked: str, path: str) -> None:
    answer = await post(locked, path=path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "this needs an API key, as `Authorization: Bearer KEY` or `X-Api-Key: KEY`" in answer.text
    assert "X-Rerank-Status" not in answer.headers


async def test_the_models_are_no_secret_of_keys_but_need_one(locked: str) -> None:
    async with httpx.AsyncClient(base_url=locked) as client:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/v1/models", headers={"X-Api-Key": READER.key})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {READER.key}"},
        {"Authorization": f"bearer  {READER.key}"},
        {"Authorization": f"ApiKey {READER.key}"},
        {"X-Api-Key": READER.key},
        {"X-Api-Key": READER.key, "Authorization": "Basic dXNlcjpwYXNz"},
    ],
)
async def test_a_key_is_shown_in_a_header(locked: str, headers: dict[str, str]) -> None:
    assert (await post(locked, headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {READER.key[:-1]}"},
        {"Authorization": f"Bearer {READER.key}x"},
        {"Authorization": f"Bearer {READER.hash}"},
        {"Authorization": f"Bearer {new_key().key}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer esr_"},
        {"Authorization": f"Basic {READER.key}"},
        {"Authorization": READER.key},
        {"X-Api-Key": "cl\u00e9"},
    ],
)
async def test_what_is_no_key_is_refused(locked: str, headers: dict[str, str]) -> None:
    answer = await post(locked, {name: value.encode("latin-1") for name, value in headers.items()})  # type: ignore[misc]
    assert answer.status_code == 401


async def test_a_key_in_the_url_is_none(locked: str) -> None:
    """It would stand in logs."""
    assert (await post(locked, path=f"/v2/rerank?api_key={READER.key}")).status_code == 401


async def test_a_key_reaches_as_far_as_its_scopes(locked: str) -> None:
    answer = await post(locked, {"X-Api-Key": WRITER.key})
    assert answer.status_code == 403
    assert answer.json()["message"].startswith("key 'raters' has no scope 'rerank'; make a key with")


async def test_a_keyring_hashes_a_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from es_reasonrank.service import keys

    hashed: list[str] = []
    real = keys._scrypt
    monkeypatch.setattr(keys, "_scrypt", lambda key, salt: hashed.append(key) or real(key, salt))
    ring = Keyring([ApiKey(name="a", hash=READER.hash, scopes=("rerank",))])
    for _ in range(3):
        assert (await ring.caller(READER.key)) is not None
        assert (await ring.caller(READER.key + "x")) is None
        assert (await ring.caller("esr_00000000_nobody")) is None
    assert hashed == [READER.key, READER.key + "x"], "a key with an unknown id is not even hashed"


def test_two_keys_of_the_same_secret_do_not_exist() -> None:
    made = [new_key() for _ in range(3)]
    assert len({key.key for key in made} | {key.hash for key in made}) == 6
    assert all(len(key.key) >= 50 and key.key.split("_", 2)[2] not in key.hash for key in made)


@pytest.mark.parametrize(
    "keys",
    [
        [{"name": "a", "hash": "secret in clear"}],
        [{"name": "a", "hash": READER.hash}, {"name": "b", "hash": READER.hash}],
        [{"name": "a", "hash": READER.hash}, {"name": "a", "hash": WRITER.hash}],
    ],
)
def test_a_wrong_keyring_does_not_start(keys: list[dict[str, str]]) -> None:
    with pytest.raises(SettingsError, match=r"service\.api_keys: "):
        create_app(load(flags(api_keys=keys), environ={}).settings)


# Local use


async def test_this_machine_needs_no_key(local: str) -> None:
    assert (await post(local)).status_code == 200
    assert (await post(local, {"Authorization": "Bearer anything"})).status_code == 200
    assert (await post(local, {"Host": "localhost:8080"})).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "bridge.example.com"])
async def test_a_service_for_others_needs_keys(host: str) -> None:
    async with serving(flags(host=host)) as url:
        answer = await post(url)
    assert answer.status_code == 401
    assert answer.json()["message"] == (
        f"the service listens on {host} and has no API keys; make a key with `es-reasonrank keys new NAME` "
        "and put what it prints under service.api_keys"
    )


async def test_a_reverse_proxy_lets_nobody_in(local: str) -> None:
    assert (await post(local, {"X-Forwarded-For": "203.0.113.7"})).status_code == 401
    assert (await post(local, {"X-Forwarded-For": "127.0.0.1"})).status_code == 401
    assert (await post(local, {"Forwarded": "for=203.0.113.7"})).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Host": "[bad"},
    ],
)
async def test_a_page_of_another_site_is_kept_out(local: str, headers: dict[str, str]) -> None:
    """Neither by a request across sites, nor under a name that it lets point to this machine."""
    answer = await post(local, headers)
    assert answer.status_code in (400, 403)
    assert "X-Rerank-Status" not in answer.headers


async def test_our_own_page_is_let_in(local: str) -> None:
    assert (await post(local, {"Origin": local})).status_code == 200


async def test_cors_is_closed(local: str) -> None:
    async with httpx.AsyncClient(base_url=local) as client:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        preflight = await client.options("/v2/rerank", headers=asked)
        answer = await client.post("/v2/rerank", json=BODY, headers={"Origin": local})
    assert not [name for name in (*preflight.headers, *answer.headers) if name.lower().startswith("access-control")]


async def test_browsers_are_told_to_be_careful(local: str) -> None:
    async with httpx.AsyncClient(base_url=local) as client:
        for answer in (
            await client.post("/v2/rerank", json=BODY),
            await client.post("/v2/rerank", content=b"{"),
            await client.get("/v1/models"),
            await client.get("/openapi.json"),
            await client.get("/health"),
        ):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# No request chooses where the service calls


async def test_no_request_makes_the_service_call_another_host() -> None:
    called: dict[str, list[bytes]] = {"elasticsearch": [], "elsewhere": []}

    def listener(name: str) -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            called[name].append(await reader.read(1000))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            await writer.drain()
            writer.close()

        return asyncio.start_server(handle, "127.0.0.1", 0)

    async with await listener("elasticsearch") as server, await listener("elsewhere") as other:
        port, evil = (each.sockets[0].getsockname()[1] for each in (server, other))
        settings = {**flags(), "elastic.url": f"http://127.0.0.1:{port}"}
        async with serving(settings) as url:
            for target in (
                f"http://127.0.0.1:{evil}/",
                f"//127.0.0.1:{evil}/",
                f"@127.0.0.1:{evil}/",
                f"/@127.0.0.1:{evil}/",
                f"/\\127.0.0.1:{evil}/",
                f"/http://127.0.0.1:{evil}/",
                f":{evil}/",
                f"/_search?url=http://127.0.0.1:{evil}/",
            ):
                await raw(url, target, f"127.0.0.1:{evil}")
            address = f"http://127.0.0.1:{evil}/"
            async with httpx.AsyncClient(base_url=url) as client:
                for body in (
                    {"query": address, "documents": [address, {"text": address, "url": address}], "url": address},
                    {"query": "q", "documents": ["a", "b"], "model": address},
                    {"query": "q", "documents": ["a", "b"], "base_url": address, "engine": {"base_url": address}},
                ):
                    await client.post(f"/v2/rerank?profile={address}", json=body)
    assert called["elsewhere"] == []
    assert called["elasticsearch"], "what is Elasticsearch's came there"


async def raw(url: str, target: str, host: str) -> bytes:
    """A request whose line no client would write."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {host}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


# Secrets


async def test_no_key_stands_in_a_log(locked: str, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    wrong = new_key().key
    with caplog.at_level(logging.DEBUG):
        await post(locked, {"Authorization": f"Bearer {READER.key}"})
        await post(locked, {"X-Api-Key": READER.key})
        await post(locked, {"X-Api-Key": WRITER.key})
        answer = await post(locked, {"Authorization": f"Bearer {wrong}"})
    written = "".join(capfd.readouterr()) + "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert "rerank" in written, "the log is on"
    for secret in (READER.key, WRITER.key, wrong):
        assert secret not in written
        assert secret not in answer.text


def command(*arguments: str, folder: Path) -> tuple[str, str]:
    """What the command line prints, to be kept and to be read."""
    code = "from es_reasonrank.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


async def test_a_new_key_works_and_is_shown_only_once(tmp_path: Path) -> None:
    yaml_text, told = await asyncio.to_thread(
        command, "keys", "new", "shop", "--scope", "rerank", "--scope", "write", folder=tmp_path
    )
    (key,) = (line for line in told.splitlines() if line.startswith("esr_"))
    assert key not in yaml_text, "what may go to a file does not hold the key"
    settings = yaml.safe_load(yaml_text)
    assert settings["service"]["api_keys"][0]["scopes"] == ["rerank", "write"]
    async with serving(flags(api_keys=settings["service"]["api_keys"])) as url:
        assert (await post(url, {"X-Api-Key": key})).status_code == 200
        assert (await post(url)).status_code == 401
    settings["elastic"] = {"api_key": "hunter2", "password": None}
    (tmp_path / "es_reasonrank.yaml").write_text(yaml.safe_dump(settings))
    for arguments in (("config", "show"), ("config", "show", "--json")):
        shown = "".join(await asyncio.to_thread(command, *arguments, folder=tmp_path))
        assert key not in shown
        assert "hunter2" not in shown
        assert "********" in shown


async def test_a_new_key_as_json(tmp_path: Path) -> None:
    printed, _ = await asyncio.to_thread(command, "keys", "new", "shop", "--json", folder=tmp_path)
    made = json.loads(printed)
    assert made.keys() == {"key", "name", "hash", "scopes"}
    assert await Keyring([ApiKey(name=made["name"], hash=made["hash"])]).caller(made["key"])

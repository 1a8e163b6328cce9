"""`es-reasonrank serve` as it is typed: what it says, how it ends, and what its processes do for one another."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml

from es_reasonrank.elastic import embedded
from tests.here import Here
from tests.service.servers.models import PROFILE, ModelServer, model_server

pytestmark = pytest.mark.one_version

COMMAND = (sys.executable, "-c", "from es_reasonrank.cli import main; main()")
NOBODY = "http://127.0.0.1:9"
PATIENCE = 240.0
"""Seconds; a machine with much else to do takes its time to load a model."""


class Running:
    """A command that serves: its process, what it said, and where it is."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []
        self.url = ""
        self._greeted = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def greeted(self) -> None:
        """Wait until it says where it is."""
        await asyncio.wait_for(self._greeted.wait(), PATIENCE)
        assert self.url, "\n".join(self.said)

    async def says(self, words: str, times: int = 1) -> str:
        """The line with these words, as soon as it is there so often."""
        ends = time.monotonic() + PATIENCE
        while len(found := [line for line in self.said if words in line]) < times:
            assert time.monotonic() < ends, f"{words!r} is not said {times} times, but: {self.said}"
            await asyncio.sleep(0.05)
        return found[-1]

    async def ended(self, *, within: float = 30.0) -> int:
        """Its exit code."""
        code = await asyncio.wait_for(self.process.wait(), within)
        await self._reading
        return code

    def children(self) -> list[int]:
        """Processes that it keeps, the oldest first: the one with the models, and the workers."""
        files = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        found = {int(pid) for file in files for pid in file.read_text().split()}
        kept = [pid for pid in found if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        return sorted(kept)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode().rstrip())
            if "serves at" in self.said[-1]:
                self.url = self.said[-1].split()[-1]
                self._greeted.set()
        self._greeted.set()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No settings but those that a test gives."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ES_REASONRANK_")}
    return {**kept, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": _caches()}


def _caches() -> str:
    """What was built once need not be built again: jars and converted models."""
    return os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@asynccontextmanager
async def typed(*arguments: str, environment: dict[str, str], folder: Path) -> AsyncIterator[Running]:
    """The command, started; killed at the end if need be."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", *arguments, stderr=asyncio.subprocess.PIPE, env=environment, cwd=folder
    )
    running = Running(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ended()


class TestGreeting:
    async def test_it_says_where_it_is_and_before_what(
        self, elastic_url: str, environment: dict[str, str], tmp_path: Path
    ) -> None:
        flags = ["--elastic-url", elastic_url, "--profile", "identity", "--port", "0", "--also", "rankgpt"]
        async with typed(*flags, environment=environment, folder=tmp_path) as service:
            await service.greeted()
            async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                assert (await client.get("/")).json()["version"]["number"]
                assert (await client.get("/openapi.json")).status_code == 200
            service.process.send_signal(signal.SIGTERM)
            assert await service.ended() == 0
        text = "\n".join(service.said)
        for words in (elastic_url, "Elasticsearch ", "identity", "rankgpt", "/playground", "/openapi.json", "Ctrl-C"):
            assert words in text
        assert service.said[-1] == "stopped"
        assert "Traceback" not in text

    async def test_settings_from_a_file_and_the_environment(
        self, elastic_url: str, environment: dict[str, str], here: Here, tmp_path: Path
    ) -> None:
        (tmp_path / "es_reasonrank.yaml").write_text("profile: identity\nservice: {port: 0, playground: false}\n")
        environment |= {"ES_REASONRANK_SERVICE_PROFILES": "rankgpt, first", "ES_REASONRANK_ELASTIC_URL": elastic_url}
        here.in_folder(tmp_path, environment)
        values = {row["key"]: row["value"] for row in json.loads(here.typed("config", "show", "--json").out)}
        assert values["service.profiles"] == ["rankgpt", "first"]
        assert values["service.playground"] is False
        async with typed(environment=environment, folder=tmp_path) as service:
            await service.greeted()
            assert "/playground" not in "\n".join(service.said)
            assert "also rankgpt, first" in await service.says("ranking with")

    async def test_elasticsearch_may_come_later(self, environment: dict[str, str], tmp_path: Path) -> None:
        flags = ["--elastic-url", NOBODY, "--profile", "identity", "--port", "0"]
        async with typed(*flags, environment=environment, folder=tmp_path) as service:
            await service.greeted()
            assert "no answer yet: Elasticsearch cannot be reached" in await service.says("in front of")
            async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                assert (await client.get("/_search")).status_code == 502
                assert (await client.get("/health")).status_code == 200
            service.process.send_signal(signal.SIGINT)
            assert await service.ended() == 0

    async def test_without_a_cluster_the_embedded_one_is_started(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        folder = tmp_path / "data"
        environment |= {"ES_REASONRANK_DATA_DIR": str(folder)}
        try:
            async with typed(
                "--profile", "identity", "--port", "0", environment=environment, folder=tmp_path
            ) as service:
                await service.greeted()
                assert service.said[0] == "starting the embedded Elasticsearch"
                async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                    assert (await client.put("/kept/_doc/1", json={"a": 1})).status_code == 201
                assert embedded.status(folder / "elasticsearch") is not None
                service.process.send_signal(signal.SIGINT)
                assert await service.ended() == 0
            assert embedded.status(folder / "elasticsearch") is None, "what it started, it stops"
        finally:
            embedded.down(folder / "elasticsearch")


class TestRefused:
    @pytest.fixture
    def refused(self, environment: dict[str, str], here: Here, tmp_path: Path) -> Callable[..., tuple[int, str]]:
        """Types a command that does not start; gives its exit code and its one sentence."""
        here.in_folder(tmp_path, environment)

        def typed(*arguments: str) -> tuple[int, str]:
            ended = here.typed("serve", *arguments)
            assert not ended.out
            (sentence,) = ended.err.splitlines()
            return ended.code, sentence

        return typed

    def test_a_port_that_is_taken(self, elastic_url: str, refused: Callable[..., tuple[int, str]]) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            flags = ["--elastic-url", elastic_url, "--profile", "identity", "--port", port]
            code, sentence = refused(*flags)
        assert code == 2
        assert sentence == (
            f"error: cannot listen on 127.0.0.1:{port}: address already in use; "
            "choose another with --port, or any free one with --port 0"
        )

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--host", "no.such.host.invalid"], "service.host 'no.such.host.invalid' is no address"),
            (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:0: cannot assign requested address; set another"),
            (["--tls-cert", "a.pem"], "tls_cert and tls_key go together; set both"),
            (
                ["--tls-cert", "none.pem", "--tls-key", "a.pem"],
                "service.tls_cert none.pem cannot be read: No such",
            ),
            (["--tls-cert", "a.pem", "--tls-key", "a.pem"], "are no certificate with its private key"),
            (["--profile", "identty"], "unknown profile 'identty' (did you mean 'identity'?)"),
            (["--also", "identity"], "two profiles are called 'identity'; rename one"),
            (["--set", "strategy.windo=3"], "unknown key 'windo'"),
            (["--username", "me"], "elastic.username and elastic.password go together"),
            (["--elastic-url", "nonsense"], "elastic.url 'nonsense' is no usable address"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(
        self, flags: list[str], words: str, refused: Callable[..., tuple[int, str]]
    ) -> None:
        Path("a.pem").write_text("no certificate\n")
        given = ["--elastic-url", NOBODY, "--profile", "identity", "--port", "0", *flags]
        code, sentence = refused(*given)
        assert code == 2
        assert words in sentence


async def test_tls(elastic_url: str, environment: dict[str, str], tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    flags = ["--elastic-url", elastic_url, "--profile", "identity", "--port", "0"]
    flags += ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]
    async with typed(*flags, environment=environment, folder=tmp_path) as service:
        await service.greeted()
        assert service.url.startswith("https://")
        async with httpx.AsyncClient(base_url=service.url, verify=trusted, timeout=30) as client:
            assert (await client.get("/")).json()["version"]["number"]
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get("/")


@pytest.fixture(scope="module")
def slow_model() -> Iterator[ModelServer]:
    with model_server() as server:
        server.mode("slow")
        yield server


def search(number: int = 0) -> dict[str, Any]:
    rerank = {"query": f"how long is a list {number}", "fields": ["body"], "deadline": "60s"}
    return {"query": {"match": {"body": "list"}}, "size": 5, "_source": False, "ext": {"rerank": rerank}}


def ids(answer: httpx.Response) -> list[str]:
    return [hit["_id"] for hit in answer.raise_for_status().json()["hits"]["hits"]]


@pytest.mark.parametrize("workers", ["1", "2"])
class TestStopping:
    async def test_searches_get_their_base_order_within_the_grace_time(
        self,
        workers: str,
        elastic_url: str,
        library: str,
        slow_model: ModelServer,
        environment: dict[str, str],
        tmp_path: Path,
    ) -> None:
        environment |= {"ES_REASONRANK_SERVICE_GRACE": "1"}
        flags = ["--elastic-url", elastic_url, "--profile", slow_model.profile(tmp_path), "--port", "0"]
        async with (
            typed(*flags, "--workers", workers, environment=environment, folder=tmp_path) as service,
            httpx.AsyncClient(timeout=60) as client,
        ):
            await service.greeted()
            await service.says("ready to rank", int(workers))
            url = f"{service.url}/{library}/_search"
            plain = {key: value for key, value in search().items() if key != "ext"}
            base = ids(await client.post(url, json=plain))
            async with slow_model.asked(4):
                tasks = [asyncio.create_task(client.post(url, json=search(number))) for number in range(4)]
            assert not any(task.done() for task in tasks)
            started = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*tasks)
            assert time.monotonic() - started < 4
            assert await service.ended() == 0
        assert [answer.headers["x-rerank-status"] for answer in answers] == ["failed; reason=stopping"] * 4
        assert all(ids(answer) == base for answer in answers)

    async def test_a_second_signal_ends_it_at_once(
        self,
        workers: str,
        elastic_url: str,
        library: str,
        slow_model: ModelServer,
        environment: dict[str, str],
        tmp_path: Path,
    ) -> None:
        environment |= {"ES_REASONRANK_SERVICE_GRACE": "60"}
        flags = ["--elastic-url", elastic_url, "--profile", slow_model.profile(tmp_path), "--port", "0"]
        async with (
            typed(*flags, "--workers", workers, environment=environment, folder=tmp_path) as service,
            httpx.AsyncClient(timeout=60) as client,
        ):
            await service.greeted()
            await service.says("ready to rank", int(workers))
            url = f"{service.url}/{library}/_search"
            async with slow_model.asked(1):
                task = asyncio.create_task(client.post(url, json=search()))
            assert not task.done()
            service.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            started = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            assert await service.ended() == 130
            assert time.monotonic() - started < 10
            await asyncio.gather(task, return_exceptions=True)


def recorded(folder: Path) -> str:
    """The file of a profile whose engine runs here, so that there is a process with models."""
    (folder / "recording.jsonl").write_text('{"recording": 1, "model": "none", "context": 1}\n')
    engine = {"name": "replay", "recording": str(folder / "recording.jsonl")}
    path = folder / "recorded.yaml"
    path.write_text(yaml.safe_dump({**PROFILE, "name": "recorded", "engine": engine}))
    return str(path)


async def test_workers_share_one_process_with_models_that_may_die(
    elastic_url: str, library: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Both workers answer alike; without the models they give base orders, with the next process they rank again."""
    with model_server() as server:
        flags = ["--elastic-url", elastic_url, "--profile", server.profile(tmp_path), "--also", recorded(tmp_path)]
        async with typed(*flags, "--port", "0", "--workers", "2", environment=environment, folder=tmp_path) as service:
            await service.greeted()
            url = f"{service.url}/{library}/_search"
            numbers = itertools.count(1000)

            async def asked(number: int) -> tuple[str, list[str]]:
                try:
                    async with httpx.AsyncClient(timeout=60) as client:  # a connection of its own finds any worker
                        answer = await client.post(url, json=search(number))
                except httpx.TransportError as error:
                    return type(error).__name__, []
                return answer.headers["x-rerank-status"], ids(answer)

            async def until(status: str) -> list[str]:
                ends = time.monotonic() + PATIENCE
                while (found := await asked(next(numbers)))[0] != status:
                    assert time.monotonic() < ends, f"{status!r} does not come, but {found!r}"
                    await asyncio.sleep(0.1)
                return found[1]

            ranked = await until("ok")
            models, *workers = service.children()
            assert len(workers) == 2
            assert await asyncio.gather(*(asked(number) for number in range(8))) == [("ok", ranked)] * 8

            os.kill(models, signal.SIGKILL)
            assert await until("failed; reason=model_loading") != ranked
            await service.says("the process that holds the model ended by itself")
            assert await until("ok") == ranked

            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            await service.says("ended by itself", times=3)
            assert await until("ok") == ranked
            service.process.send_signal(signal.SIGTERM)
            assert await service.ended() == 0


async def test_nothing_outlives_the_service(elastic_url: str, environment: dict[str, str], tmp_path: Path) -> None:
    """However it ended: its processes notice that nobody keeps them any more."""
    flags = ["--elastic-url", elastic_url, "--profile", recorded(tmp_path), "--port", "0", "--workers", "2"]
    async with typed(*flags, environment=environment, folder=tmp_path) as service:
        await service.says("ready to rank", times=3)
        children = service.children()
        assert len(children) == 3
        service.process.kill()
        ends = time.monotonic() + 60
        while left := [pid for pid in children if os.path.exists(f"/proc/{pid}")]:  # noqa: ASYNC240 - it takes no time
            assert time.monotonic() < ends, left
            await asyncio.sleep(0.1)

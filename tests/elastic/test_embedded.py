"""The embedded server of each version: it is a real one, and nothing is lost however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from elastic_transport import TransportError
from elasticsearch import Elasticsearch

from es_reasonrank.elastic.embedded import Server, down, processes, state, status, up
from es_reasonrank.elastic.embedded.releases import DEFAULTS
from es_reasonrank.errors import MissingError, SettingsError

BATCH = 50


@pytest.fixture(scope="module", params=DEFAULTS)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests may stop and kill."""
    folder = tmp_path_factory.mktemp("own")
    try:
        yield up(version=request.param, data_dir=folder)
    except MissingError as error:
        pytest.skip(str(error))
    finally:
        down(folder)


def write(url: str, index: str, *, batches: int) -> int:
    """Write until it is enough or the server is gone. Returns how many documents it acknowledged; none is flushed."""
    acknowledged = 0
    with Elasticsearch(url, max_retries=0) as client:
        for _ in range(batches):
            try:
                assert not client.bulk(index=index, operations=[{"index": {}}, {"field": "value"}] * BATCH)["errors"]
            except TransportError:
                break
            acknowledged += BATCH
    return acknowledged


def counted(url: str, index: str) -> int:
    with Elasticsearch(url) as client:
        client.indices.refresh(index=index)
        count: int = client.count(index=index)["count"]
        return count


def test_it_is_elasticsearch_of_the_version(server: Server) -> None:
    answer = httpx.get(server.url, trust_env=False, timeout=60)
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    assert answer.json()["version"]["number"] == server.version
    assert httpx.head(server.url, trust_env=False, timeout=60).is_success


def test_up_finds_the_server_that_runs(server: Server) -> None:
    assert up(data_dir=server.data_dir) == server
    assert up(version=server.version[0], data_dir=server.data_dir) == server
    assert status(server.data_dir) == server


def test_up_refuses_what_the_running_server_is_not(server: Server) -> None:
    other = next(version for version in DEFAULTS if version != server.version)
    with pytest.raises(SettingsError, match=rf"Elasticsearch {server.version} already runs at {server.url}; stop it"):
        up(version=other, data_dir=server.data_dir)
    with pytest.raises(SettingsError, match="already runs"):
        up(port=1, data_dir=server.data_dir)


def test_it_is_found_by_any_name_of_its_folder(server: Server, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(server.data_dir)
    assert status(link) == server


def test_it_listens_on_this_machine_only(server: Server) -> None:
    nodes = httpx.get(f"{server.url}/_nodes/http,transport", trust_env=False, timeout=60).json()["nodes"]
    (node,) = nodes.values()
    addresses = [*node["http"]["bound_address"], *node["transport"]["bound_address"]]
    assert [address.rpartition(":")[0] for address in addresses] == ["127.0.0.1", "127.0.0.1"]


def test_its_log_is_quiet(own: Server) -> None:
    vectors = {"mappings": {"properties": {"vector": {"type": "dense_vector", "dims": 2}}}}
    with httpx.Client(base_url=own.url, trust_env=False, timeout=60) as client:
        assert client.put("/quiet", json=vectors).is_success
        assert client.post("/quiet/_doc?refresh", json={"vector": [1, 2]}).is_success
        assert client.delete("/quiet").is_success
    assert own.log.read_text() == ""


def test_status_is_quick(server: Server, tmp_path: Path) -> None:
    started = time.perf_counter()
    assert status(tmp_path) is None
    assert status(server.data_dir) is not None
    assert time.perf_counter() - started < 0.05


def test_data_version_and_port_survive_a_stop(own: Server) -> None:
    written = write(own.url, "kept", batches=20)
    assert down(own.data_dir)
    assert not processes.runs(own.pid, state.mark(own.data_dir, own.version))
    assert status(own.data_dir) is None
    assert not down(own.data_dir)
    again = up(data_dir=own.data_dir)
    assert (again.url, again.version) == (own.url, own.version)
    assert counted(again.url, "kept") == written


def test_a_kill_in_mid_write_loses_nothing_that_was_acknowledged(own: Server) -> None:
    before = up(data_dir=own.data_dir)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write, before.url, "killed", batches=10_000)
        time.sleep(1)
        os.kill(before.pid, signal.SIGKILL)
        acknowledged = writing.result()
    assert status(before.data_dir) is None
    after = up(data_dir=before.data_dir)
    assert after.pid != before.pid
    assert 0 < acknowledged <= counted(after.url, "killed") <= acknowledged + BATCH

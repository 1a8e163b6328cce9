"""Up, down and status in unusual order, on the version that is the default here."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from es_reasonrank.elastic.embedded import Server, down, processes, state, status, up
from es_reasonrank.elastic.embedded.releases import DEFAULTS
from es_reasonrank.errors import ElasticError, MissingError, SettingsError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder of these tests' own."""
    folder = tmp_path_factory.mktemp("lifecycle")
    yield folder
    down(folder)


@pytest.fixture
def running(folder: Path) -> Server:
    """A server that runs on the folder."""
    try:
        return up(data_dir=folder)
    except MissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def stopped(request: pytest.FixtureRequest, folder: Path) -> Server:
    """A server that ran on the folder, whichever test it was started for."""
    if state.read(folder) is None:
        request.getfixturevalue("running")
    down(folder)
    last = state.read(folder)
    assert last is not None
    return state.server(folder, last)


def alive(server: Server) -> bool:
    return processes.runs(server.pid, state.mark(server.data_dir, server.version))


def test_two_at_once_get_the_same_server(folder: Path, stopped: Server) -> None:
    lines: list[str] = []
    with ThreadPoolExecutor() as pool:
        starts = [pool.submit(up, data_dir=folder, say=lines.append) for _ in range(2)]
        first, second = (start.result() for start in starts)
    assert first == second == status(folder)
    assert lines == [f"waiting for another es-reasonrank that is at work in {folder}"]


def test_a_server_abandoned_by_its_starter_is_replaced(folder: Path, running: Server) -> None:
    """As when `up` itself is killed before the server answers."""
    left = state.read(folder)
    assert left is not None
    state.write(folder, left.model_copy(update={"ready": False}))
    assert status(folder) is None
    assert up(data_dir=folder).pid != running.pid
    assert not alive(running)


def test_a_server_abandoned_by_its_starter_can_be_stopped(folder: Path, running: Server) -> None:
    left = state.read(folder)
    assert left is not None
    state.write(folder, left.model_copy(update={"ready": False}))
    assert down(folder)
    assert not alive(running)


def test_a_port_that_was_taken_meanwhile_is_left_to_its_new_owner(folder: Path, stopped: Server) -> None:
    with socket.create_server(("127.0.0.1", int(stopped.url.rpartition(":")[2]))):
        assert up(data_dir=folder).url != stopped.url


def test_a_port_in_use_is_refused(folder: Path, stopped: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} cannot be used: another program uses it; choose another"):
            up(port=port, data_dir=folder)


def test_settings_reach_the_server(folder: Path, stopped: Server) -> None:
    server = up(data_dir=folder, settings={"action.auto_create_index": "false"})
    assert httpx.post(f"{server.url}/none/_doc", json={}, trust_env=False, timeout=60).status_code == 404


def test_a_setting_that_the_server_refuses_is_named(folder: Path, stopped: Server) -> None:
    with pytest.raises(ElasticError, match=r"ended at its start: .*unknown setting \[no\.such\].*; log: ") as caught:
        up(data_dir=folder, settings={"no.such": "1"})
    assert str(stopped.log) in str(caught.value)
    assert status(folder) is None


def test_a_start_that_takes_too_long_leaves_no_process(folder: Path, stopped: Server) -> None:
    with pytest.raises(ElasticError, match=r"did not answer in time; give it more with --timeout; log: "):
        up(data_dir=folder, timeout=0.2)
    left = state.read(folder)
    assert left is not None
    assert not processes.runs(left.pid, state.mark(folder, left.version))


def test_versions_keep_their_indices_apart(folder: Path, running: Server) -> None:
    """Elasticsearch 9 would upgrade what 8 wrote, and then 8 could never read it again."""
    assert httpx.put(f"{running.url}/apart", trust_env=False, timeout=60).is_success
    down(folder)
    other = next(version for version in DEFAULTS if version != running.version)
    try:
        server = up(version=other, data_dir=folder)
    except MissingError as error:
        pytest.skip(str(error))
    assert httpx.head(f"{server.url}/apart", trust_env=False, timeout=60).status_code == 404
    down(folder)
    back = up(version=running.version, data_dir=folder)
    assert httpx.head(f"{back.url}/apart", trust_env=False, timeout=60).is_success


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process that has nothing to do with the server."""
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("ready", [True, False])
def test_a_number_that_passed_to_another_process_is_no_server(tmp_path: Path, bystander: int, ready: bool) -> None:
    state.write(tmp_path, state.State(version=DEFAULTS[0], port=9200, pid=bystander, ready=ready))
    assert status(tmp_path) is None
    assert not down(tmp_path)
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text('{"version": "9.5.3"'),
        lambda path: path.write_text('{"version": "x", "port": 1, "pid": 1, "ready": true}'),
        lambda path: path.write_bytes(b"\xff\x00"),
        lambda path: path.mkdir(),
    ],
)
def test_a_damaged_state_file_is_no_server(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    damage(tmp_path / "server.json")
    assert status(tmp_path) is None
    assert not down(tmp_path)

"""`es-reasonrank elastic` as a user runs it: what it prints, and the code that it ends with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from es_reasonrank.elastic.embedded import down
from es_reasonrank.elastic.embedded.jdks import Jdk, installed
from tests.here import Ended, Here


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """The user's data folder of these tests."""
    yield tmp_path / "data"
    down(tmp_path / "data" / "elasticsearch")


Run = Callable[..., Ended]


@pytest.fixture
def run(here: Here, data_dir: Path) -> Run:
    """Types `es-reasonrank elastic` with arguments, and with variables by name."""

    def typed(*arguments: str, **variables: str) -> Ended:
        here.knowing(ES_REASONRANK_DATA_DIR=str(data_dir), **variables)
        return here.typed("elastic", *arguments)

    return typed


@pytest.fixture
def jdk() -> Jdk:
    """A JDK that the server can be built with."""
    found = next((java for java in installed() if isinstance(java, Jdk) and java.feature >= 21), None)
    return found or pytest.skip("no JDK of Java 21 or newer")


def test_a_servers_life(run: Run) -> None:
    started = run("up", "--json")
    if started.code == 3:
        pytest.skip(started.err)
    assert started.code == 0, started.err
    server = json.loads(started.out)
    assert server.keys() == {"url", "version", "pid", "data", "log"}
    assert httpx.get(server["url"], trust_env=False, timeout=60).json()["version"]["number"] == server["version"]
    assert Path(server["log"]).is_file()
    assert json.loads(run("status", "--json").out) == server
    shown = run()
    assert shown.code == 0
    assert [line.split() for line in shown.out.splitlines()] == [[name, str(value)] for name, value in server.items()]
    assert run("down") == Ended(0, "stopped\n", "")
    assert run("down") == Ended(0, "no embedded Elasticsearch runs\n", "")
    assert json.loads(run("down", "--json").out) == {"stopped": False}


def test_status_where_none_runs(run: Run, data_dir: Path) -> None:
    sentence = "error: no embedded Elasticsearch runs; start it with: es-reasonrank elastic up\n"
    assert run() == run("status") == Ended(3, "", sentence)
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--heap", "much"], "heap 'much' is no size; write it like 512m or 2g"),
        (["--version", "7.17.0"], "Elasticsearch '7.17.0' cannot be embedded; choose 9.5.3 or 8.19.21"),
        (["--set", "a"], "--set 'a' must be of the form KEY=VALUE"),
        (["--set", "network.host=0.0.0.0"], "setting 'network.host' cannot be changed"),
        (["--data-dir", "/dev/null/x"], "folder /dev/null/x cannot be written: Not a directory; choose another"),
        (["--port", "0"], "Invalid value for '--port'"),
    ],
)
def test_wrong_options(run: Run, arguments: list[str], sentence: str) -> None:
    ended = run("up", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_too_little_memory(run: Run) -> None:
    ended = run("up", "--heap", "9000g")
    assert ended.code == 3
    assert "Elasticsearch with a heap of 9000g needs about 9216512; end other programs" in ended.err


def test_no_maven(run: Run, jdk: Jdk, tmp_path: Path) -> None:
    ended = run(
        "up",
        PATH=str(tmp_path),
        ES_REASONRANK_JAVA_HOME=str(jdk.home),
        ES_REASONRANK_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("error: Maven is needed once, to get Elasticsearch from Maven Central, and there is no")


@pytest.mark.skipif(shutil.which("mvn") is None, reason="no Maven")
def test_maven_central_cannot_be_reached(run: Run, jdk: Jdk, tmp_path: Path) -> None:
    nothing_there = f"-Dmaven.repo.local={tmp_path}/repository -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9"
    cache = tmp_path / "cache"
    ended = run("up", MAVEN_OPTS=nothing_there, ES_REASONRANK_CACHE_DIR=str(cache))
    assert (ended.code, ended.out) == (6, "")
    first, second = ended.err.splitlines()
    assert first == "building Elasticsearch 9.5.3 from Maven Central, once; about 40 MB"
    assert second.startswith("error: Maven Central cannot be reached; check the network")
    assert "Connection refused" in Path(second.rpartition("log: ")[2]).read_text()
    left = [path.name for path in (cache / "elasticsearch" / "9.5.3").iterdir()]
    assert sorted(left) == ["build.log", "lock"]

"""Servers that only tests need: Elasticsearch with security, and OpenSearch. Each runs as a process of its own."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from es_reasonrank.elastic.embedded import build as embedded
from es_reasonrank.elastic.embedded import launch
from tests.service.servers.maven import built, jdk
from tests.service.servers.recording import free_port

VERSION = "9.5.3"
_HERE = Path(__file__).parent
_EMBEDDED = Path(embedded.__file__).parent / "java"
_SECURITY = {
    "xpack.security.enabled": "true",
    "xpack.security.enrollment.enabled": "false",
    "xpack.security.autoconfiguration.enabled": "false",
    "xpack.security.http.ssl.enabled": "false",
    "xpack.security.transport.ssl.enabled": "false",
    "xpack.license.self_generated.type": "basic",
}


@contextmanager
def secured(folder: Path, users: Mapping[str, tuple[str, str]], roles: str) -> Iterator[str]:
    """Elasticsearch that asks for a login, on its free licence. Gives its address.

    Args:
        users: a password and a role by name.
        roles: the file of roles, in YAML.
    """
    java = jdk(21)
    versions = (f"-Delasticsearch.version={VERSION}", "-Dmaven.compiler.release=21")
    folder = folder.resolve()
    config = folder / "config"
    config.mkdir()
    (config / "roles.yml").write_text(roles)
    (config / "users").write_text("".join(f"{name}:{_hashed(word)}\n" for name, (word, _) in users.items()))
    (config / "users_roles").write_text("".join(f"{role}:{name}\n" for name, (_, role) in users.items()))
    starting = launch.Launch(
        jdk=java,
        build=built("security", [_EMBEDDED, _HERE / "security"], java, *versions),
        home=folder,
        log=folder / "logs" / "elasticsearch.log",
        version=VERSION,
        port=0,
        heap="512m",
        settings=_SECURITY,
    )
    process = launch.start(starting)
    try:
        port = launch.wait(starting, process, seconds=90, say=lambda line: None)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(process)


@contextmanager
def opensearch(folder: Path) -> Iterator[str]:
    """OpenSearch 3.8. Gives its address."""
    java = jdk(21)
    build = built("opensearch", [_HERE / "opensearch"], java)
    port = free_port()
    flags = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    classes = f"{build / 'classes'}:{build / 'lib'}/*"
    command = [str(java.java), *flags, "-cp", classes, "Main", str(folder.resolve()), str(port)]
    with (folder / "opensearch.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, folder / "opensearch.log")
        yield url
    finally:
        _end(process)


def _hashed(password: str) -> str:
    """A password as Elasticsearch keeps it."""
    salt = os.urandom(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    return f"{{PBKDF2}}10000${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server ended at its start: {launch.last_error(log.read_text())}")
        try:
            if httpx.get(f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=10).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not answer within {seconds:g} s; log: {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

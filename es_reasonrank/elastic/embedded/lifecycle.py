"""Up and down: at most one server on a data folder, whoever asks, and however the last one ended."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from pathlib import Path

from es_reasonrank.elastic.embedded import memory, releases
from es_reasonrank.elastic.embedded.build import built
from es_reasonrank.elastic.embedded.jdks import installed
from es_reasonrank.elastic.embedded.launch import Launch, check_settings, start, wait
from es_reasonrank.elastic.embedded.locks import Say, locked
from es_reasonrank.elastic.embedded.processes import runs, stop
from es_reasonrank.elastic.embedded.state import (
    Server,
    State,
    folder_of,
    home,
    log_file,
    mark,
    read,
    server,
    status,
    write,
)
from es_reasonrank.errors import SettingsError

HEAP = "512m"
STOP_SECONDS = 30.0
_REMEDY = "choose another with --data-dir, or ES_REASONRANK_DATA_DIR"


def up(
    *,
    version: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    heap: str = HEAP,
    settings: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    say: Say = lambda line: None,
) -> Server:
    """Start the server, or find the one that runs; return when it answers and its indices are open.

    Args:
        version: a release of Elasticsearch; by default the one that ran last on the data folder, else the newest
            that the Java of this machine can run.
        port: on 127.0.0.1; by default the one used last if it is free, else any that is.
        data_dir: where indices and logs are kept.
        heap: the memory for Java's objects, like 512m; a server that runs keeps its own.
        settings: further settings of Elasticsearch by name; a server that runs keeps its own.
        timeout: seconds that the start may take, without a first build.
        say: told in a line what takes long.

    Raises:
        SettingsError: an argument is wrong, or does not go with the server that runs.
        MissingError: Java, Maven or memory is missing.
        ElasticError: the build failed, or the server did.
    """
    version = releases.full(version) if version else None
    check_settings(settings or {})
    memory.heap_bytes(heap)
    folder = folder_of(data_dir)
    with locked(folder, remedy=_REMEDY, say=say):
        running = status(folder)
        if running is not None:
            return _same(running, version, port)
        last = read(folder)
        if last is not None:  # a server may still be there, abandoned by a start that was cut off
            stop(last.pid, mark(folder, last.version), seconds=STOP_SECONDS)
        memory.require(heap)
        chosen, jdk = releases.choose(version, last.version if last else None, installed())
        launch = Launch(
            jdk=jdk,
            build=built(chosen, jdk, say),
            home=home(folder, chosen),
            log=log_file(folder, chosen),
            version=chosen,
            port=_port(port, last.port if last else 0),
            heap=heap,
            settings=settings or {},
        )
        return _started(launch, folder, timeout, say)


def down(data_dir: Path | None = None, *, say: Say = lambda line: None) -> bool:
    """Stop the server on `data_dir`. Returns whether there was one.

    Raises:
        ElasticError: it does not end.
    """
    folder = folder_of(data_dir)
    if not folder.is_dir():
        return False
    with locked(folder, remedy=_REMEDY, say=say):
        last = read(folder)
        if last is None or not runs(last.pid, mark(folder, last.version)):
            return False
        stop(last.pid, mark(folder, last.version), seconds=STOP_SECONDS)
        return True


def _same(running: Server, version: str | None, port: int | None) -> Server:
    """The server that runs, if it is the one that is asked for."""
    if version in (None, running.version) and (port is None or running.url.endswith(f":{port}")):
        return running
    raise SettingsError(
        f"Elasticsearch {running.version} already runs at {running.url}; stop it first "
        "(es-reasonrank elastic down), or choose another --data-dir for a second one"
    )


def _started(launch: Launch, folder: Path, seconds: float, say: Say) -> Server:
    process = start(launch)
    state = State(version=launch.version, port=launch.port, pid=process.pid, ready=False)
    try:
        write(folder, state)
        port = wait(launch, process, seconds=seconds, say=say)
        state = state.model_copy(update={"port": port, "ready": True})
        write(folder, state)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = 0  # it outlives this process on purpose; Popen would warn of it
    return server(folder, state)


def _port(wanted: int | None, last: int) -> int:
    """The port to ask for; 0 lets the server choose one that is free."""
    problem = _taken(wanted or last)
    if wanted and problem:
        raise SettingsError(f"port {wanted} cannot be used: {problem}; choose another with --port, or leave it out")
    return 0 if problem else wanted or last


def _taken(port: int) -> str:
    """Why nothing can listen on `port` of this machine; empty where something can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that just ended do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return "another program uses it" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return ""

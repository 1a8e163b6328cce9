"""One server process: its command line, its start until it answers, and what its log says when it ends instead."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from es_reasonrank.elastic.embedded.jdks import Jdk
from es_reasonrank.elastic.embedded.locks import Say
from es_reasonrank.errors import ElasticError, SettingsError

_TICK = 0.05
_DEATH_SECONDS = 5
_SETTINGS = {
    "cluster.name": "es-reasonrank",
    "node.name": "embedded",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    "transport.port": "0",
    "node.portsfile": "true",
    # A small heap that is nearly full is no reason to refuse requests, and a full disk none to refuse a demo's few.
    "indices.breaker.total.use_real_memory": "false",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "logger.level": "WARN",
    # Maven Central has no native libraries: the server says so, with a stack trace, and goes on without them. It also
    # advises flags that would make it slower to start.
    "logger.org.elasticsearch.nativeaccess": "OFF",
    "logger.org.elasticsearch.simdvec": "ERROR",
}
_OURS = (
    "path.",
    "network.",
    "http.port",
    "http.host",
    "http.bind_host",
    "http.publish",
    "transport.",
    "node.portsfile",
)
"""Settings with an option of their own, and those that would open the server to others: it asks for no login."""


@dataclass(frozen=True)
class Launch:
    """All that a server's process starts with."""

    jdk: Jdk
    build: Path
    home: Path
    log: Path
    version: str
    port: int
    heap: str
    settings: Mapping[str, str]

    def command(self) -> list[str]:
        """The command line. Quick to start rather than quick at its peak: one simple collector, one simple compiler."""
        flags = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Dfile.encoding=UTF-8"]
        if self.jdk.feature >= 24:  # it warns of what Lucene and Netty have always done
            flags += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
        classes = os.pathsep.join((str(self.build / "classes"), str(self.build / "lib" / "*")))
        settings = {**_SETTINGS, **self.settings, "path.home": str(self.home), "http.port": str(self.port)}
        arguments = [f"{key}={value}" for key, value in settings.items()]
        return [str(self.jdk.java), f"-Xmx{self.heap}", *flags, "-cp", classes, "reasonrank.embedded.Main", *arguments]


def check_settings(settings: Mapping[str, str]) -> None:
    """Refuse settings that are not the user's to change.

    Raises:
        SettingsError: naming the first.
    """
    for key in settings:
        if key.startswith(_OURS):
            raise SettingsError(
                f"setting {key!r} cannot be changed: the embedded server listens on this machine only, "
                "and has --port and --data-dir for the rest"
            )


def start(launch: Launch) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own, so that it outlives this one.

    Raises:
        SettingsError: the folder for its log cannot be written.
    """
    try:
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        _ports_file(launch).unlink(missing_ok=True)
        if launch.log.exists():
            launch.log.replace(launch.log.with_suffix(".old.log"))
        with launch.log.open("wb") as output:
            return subprocess.Popen(
                launch.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=launch.home,
                start_new_session=True,
            )
    except OSError as error:
        raise SettingsError(
            f"Elasticsearch cannot be started in {launch.home}: {error.strerror}; choose another --data-dir"
        ) from error


def wait(launch: Launch, process: subprocess.Popen[bytes], *, seconds: float, say: Say) -> int:
    """Wait until the server answers and its indices are open. Returns its port.

    Raises:
        ElasticError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    port = _wait_for_port(launch, process, deadline)
    if not _wait_for_indices(launch, process, port, deadline):
        say(f"some indices are still closed after {seconds:g} s: http://127.0.0.1:{port}/_cluster/allocation/explain")
    return port


def _wait_for_port(launch: Launch, process: subprocess.Popen[bytes], deadline: float) -> int:
    while time.monotonic() < deadline:
        try:
            return int(_ports_file(launch).read_text().split()[0].rpartition(":")[2])
        except OSError:
            pass
        if process.poll() is not None:
            raise died(launch, process.returncode)
        time.sleep(_TICK)
    raise ElasticError(
        f"Elasticsearch {launch.version} did not answer in time; give it more with --timeout; log: {launch.log}"
    )


def _wait_for_indices(launch: Launch, process: subprocess.Popen[bytes], port: int, deadline: float) -> bool:
    import httpx

    seconds = max(1.0, deadline - time.monotonic())
    health = f"http://127.0.0.1:{port}/_cluster/health?wait_for_status=yellow&timeout={seconds:.0f}s"
    try:
        return httpx.get(health, timeout=seconds + 5, trust_env=False).is_success
    except httpx.TimeoutException:
        return False
    except httpx.TransportError as error:
        with suppress(subprocess.TimeoutExpired):
            raise died(launch, process.wait(timeout=_DEATH_SECONDS)) from error
        return False


def _ports_file(launch: Launch) -> Path:
    """Where the server writes its address when it has one."""
    return launch.log.parent / "http.ports"


def died(launch: Launch, code: int) -> ElasticError:
    """What a server that ended says in its log."""
    reason = last_error(launch.log.read_text(encoding="utf-8", errors="replace"))
    if not reason:
        reason = "killed by the system, probably for lack of memory" if code == -9 else f"exit code {code}"
    return ElasticError(f"Elasticsearch {launch.version} ended at its start: {reason}; log: {launch.log}")


def last_error(log: str) -> str:
    """The last line that speaks of an error; what the server itself calls fatal goes before everything else."""
    lines = [line.strip() for line in log.splitlines()]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    errors = [line for line in lines if re.search("error|exception", line, re.I) and not line.startswith("at ")]
    return next(reversed(fatal or errors), "")

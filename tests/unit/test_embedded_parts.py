"""The embedded server without a server: sizes and free memory, the command line, and sentences out of logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_reasonrank.elastic.embedded import memory
from es_reasonrank.elastic.embedded.build import failure, fingerprint
from es_reasonrank.elastic.embedded.jdks import Jdk
from es_reasonrank.elastic.embedded.launch import Launch, check_settings, died, last_error
from es_reasonrank.errors import MissingError, SettingsError

MEBIBYTE = 1024**2
LOG = Path("/cache/build.log")


def launch(folder: Path, *, feature: int = 25, settings: dict[str, str] | None = None) -> Launch:
    return Launch(
        jdk=Jdk(Path("/jdk"), feature),
        build=Path("/build"),
        home=folder / "9",
        log=folder / "elasticsearch.log",
        version="9.5.3",
        port=9200,
        heap="1g",
        settings=settings or {},
    )


@pytest.mark.parametrize(("heap", "size"), [("512m", 512), ("2g", 2048), ("2G", 2048), ("262144k", 256)])
def test_sizes(heap: str, size: int) -> None:
    assert memory.heap_bytes(heap) == size * MEBIBYTE


@pytest.mark.parametrize("heap", ["", "512", "m", "1.5g", "-1g", "1 g", "1t"])
def test_what_is_no_size(heap: str) -> None:
    with pytest.raises(SettingsError, match="is no size; write it like 512m or 2g"):
        memory.heap_bytes(heap)


def test_a_heap_that_is_too_small() -> None:
    with pytest.raises(SettingsError, match="heap '64m' is too small for Elasticsearch; give it at least 128m"):
        memory.heap_bytes("64m")


def test_the_smaller_of_the_machine_and_the_container(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4096 kB\nMemFree:  1 kB\nMemAvailable:  2048 kB\n")
    assert memory.available(tmp_path, tmp_path) == 2048 * 1024
    for name, text in {"max": "1000\n", "current": "700\n", "stat": "file 9\ninactive_file 200\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.available(tmp_path, tmp_path) == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available(tmp_path, tmp_path) == 2048 * 1024


def test_a_system_that_does_not_say_what_is_free(tmp_path: Path) -> None:
    assert memory.available(tmp_path, tmp_path) is None


@pytest.mark.parametrize(("free", "heap"), [(1024, "512m"), (768, "256m"), (None, "512m")])
def test_enough_memory(monkeypatch: pytest.MonkeyPatch, free: int | None, heap: str) -> None:
    monkeypatch.setattr(memory, "available", lambda: free and free * MEBIBYTE)
    memory.require(heap)


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 700 * MEBIBYTE)
    expected = "700 MiB of memory are free, and Elasticsearch with a heap of 512m needs about 1024; .* a smaller --heap"
    with pytest.raises(MissingError, match=expected):
        memory.require("512m")


def test_the_command_line(tmp_path: Path) -> None:
    command = launch(tmp_path, settings={"logger.level": "INFO"}).command()
    assert command[0] == "/jdk/bin/java"
    assert "-Xmx1g" in command
    assert {"http.port=9200", "network.host=127.0.0.1", "logger.level=INFO"} <= set(command)
    assert f"path.home={tmp_path}/9" in command
    assert len(command) == len(set(command))


def test_flags_that_an_older_java_does_not_know_are_left_out(tmp_path: Path) -> None:
    assert "--sun-misc-unsafe-memory-access=allow" in launch(tmp_path).command()
    assert "--sun-misc-unsafe-memory-access=allow" not in launch(tmp_path, feature=21).command()


@pytest.mark.parametrize("key", ["network.host", "http.port", "path.data", "transport.host", "http.publish_host"])
def test_settings_that_would_open_the_server_are_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=f"setting '{key}' cannot be changed: the embedded server listens on this"):
        check_settings({"logger.level": "INFO", key: "0.0.0.0"})


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", ""),
        ("all is well\n", ""),
        ("java.lang.Exception: a\n\tat x\nfatal: BindException[b]\n\n", "BindException[b]"),
        ("x ERROR one\ny ERROR two\nz WARN three\n", "y ERROR two"),
        ("Terminating due to OutOfMemoryError: heap\n\tat x.Error\n", "Terminating due to OutOfMemoryError: heap"),
    ],
)
def test_the_line_of_a_log_that_says_why(log: str, line: str) -> None:
    assert last_error(log) == line


@pytest.mark.parametrize(
    ("code", "reason"), [(-9, "killed by the system, probably for lack of memory"), (3, "exit code 3")]
)
def test_a_server_that_ended_without_a_word(tmp_path: Path, code: int, reason: str) -> None:
    started = launch(tmp_path)
    started.log.touch()
    assert str(died(started, code)) == f"Elasticsearch 9.5.3 ended at its start: {reason}; log: {started.log}"


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "[INFO] x\n[ERROR] Failed to execute goal: Could not find artifact "
            "org.elasticsearch:elasticsearch:jar:9.9.9 in central -> [Help 1]\n",
            "Elasticsearch 9.9.9 is not on Maven Central; choose another --version; log: /cache/build.log",
        ),
        (
            "[ERROR] org.elasticsearch:elasticsearch:jar:9.9.9 was not found in https://x during a previous attempt.\n",
            "Elasticsearch 9.9.9 is not on Maven Central; choose another --version; log: /cache/build.log",
        ),
        (
            "[ERROR] Plugin x could not be resolved: Could not transfer artifact x: Unknown host repo.maven.org\n",
            "Maven Central cannot be reached; check the network, or set a proxy or mirror in ~/.m2/settings.xml; "
            "log: /cache/build.log",
        ),
        (
            "[ERROR] COMPILATION ERROR : \n[ERROR] Main.java\n",
            "building Elasticsearch 9.9.9 failed: COMPILATION ERROR :; log: /cache/build.log",
        ),
        ("", "building Elasticsearch 9.9.9 failed: Maven says nothing; log: /cache/build.log"),
    ],
)
def test_why_a_build_failed(output: str, sentence: str) -> None:
    assert str(failure("9.9.9", output, LOG)) == sentence


def test_a_change_of_the_sources_is_a_new_build(tmp_path: Path) -> None:
    (tmp_path / "a.java").write_text("a")
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == first
    (tmp_path / "a.java").write_text("b")
    second = fingerprint(tmp_path)
    (tmp_path / "a.java").rename(tmp_path / "b.java")
    assert len({first, second, fingerprint(tmp_path)}) == 3

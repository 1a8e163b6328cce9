"""Processes by number and argument, with and without /proc."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from es_reasonrank.elastic.embedded import processes

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
MARK = "mark=/some folder"


@pytest.fixture(params=["/proc", "ps"], autouse=True)
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where arguments are read: macOS has no /proc."""
    if request.param == "ps":
        monkeypatch.setattr(processes, "_PROC", tmp_path)
    source = Path("/proc/self") if request.param == "/proc" else Path(shutil.which("ps") or "/none")
    if not source.exists():
        pytest.skip(f"no {request.param}")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not end when it is asked to."""
    with subprocess.Popen(["sh", "-c", STUBBORN, "sh", MARK, "last"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize(("argument", "found"), [(MARK, True), (MARK[:-1], False), ("other", False)])
def test_a_process_is_known_by_a_whole_argument(process: subprocess.Popen[bytes], argument: str, found: bool) -> None:
    assert processes.runs(process.pid, argument) is found


def test_a_process_that_ended_does_not_run(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert not processes.runs(process.pid, MARK)


def test_a_process_that_does_not_end_is_killed(process: subprocess.Popen[bytes]) -> None:
    processes.stop(process.pid, MARK, seconds=0.2)
    assert not processes.runs(process.pid, MARK)


def test_a_process_with_other_arguments_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    processes.stop(process.pid, "mark=/other", seconds=0.2)
    assert processes.runs(process.pid, MARK)
    assert process.poll() is None
